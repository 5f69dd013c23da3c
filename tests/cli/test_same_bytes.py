"""The same inputs, options and seed give the same bytes: in another folder, process, or --jobs."""

from __future__ import annotations

import hashlib

import pytest

from tests.commands import process, works
from tests.making import tensors, write_client, write_round


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def without_torch(run, folder):
    """Every command that needs no training, by ``run``; their outputs lie in ``folder``."""
    size = ("--clients", 4, "--samples-per-client", 20, "--seed", 5)
    for scheme in ("paper", "iid", "dirichlet", "shards"):
        run("partition", "digits", *size, "--scheme", scheme, "-o", folder / f"{scheme}.h5")
    flip = ("--flip", "1:7", "--malicious", 2, "--seed", 5)
    run("attack", "label-flip", folder / "paper.h5", *flip, "-o", folder / "poisoned.h5")
    judge(run, folder, write_round(folder / "round.h5", tensors(9)), "--from-zero")


def judge(run, folder, path, *zero):
    scores = ("--scores", folder / "scores.h5")
    for kind in ("h5", "csv", "tsv", "json"):
        run("score", path, "-o", folder / f"scores.{kind}")
    run("filter", path, *scores, "-o", folder / "kept.h5")
    run("aggregate", path, *scores, *zero, "-o", folder / "model.h5")
    run("export", path, "-o", folder / "all.npz")
    run("export", path, "-o", folder / "clients")
    run("export", folder / "model.h5", "-o", folder / "model.npz")
    run("dump", folder / "clients", "--differences", "-o", folder / "dumped.h5")
    based = ("--base-model", folder / "model.npz")
    run("dump", folder / "clients", *based, "-o", folder / "based.h5")


@pytest.fixture
def folders(tmp_path):
    made = [tmp_path / "one", tmp_path / "a longer name of another folder"]
    for folder in made:
        folder.mkdir()
    return made


def test_every_output_without_torch(folders):
    for folder in folders:
        without_torch(works, folder)
    one, two = map(digests, folders)
    assert len(one) > 20
    assert one == two


def test_another_process_with_another_hash_seed(folders):
    from_here, from_there = folders
    path = {folder: write_round(folder / "round.h5") for folder in folders}
    for words in (("score", "scores.h5"), ("export", "all.npz")):
        works(words[0], path[from_here], "-o", from_here / words[1])
        ran = process(
            words[0], path[from_there], "-o", from_there / words[1], PYTHONHASHSEED="12345"
        )
        assert ran.exit_code == 0, ran.stderr
    assert digests(from_here) == digests(from_there)


def test_the_whole_pipeline_with_training(folders):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    for folder in folders:
        size = ("--clients", 6, "--samples-per-client", 20)
        works("partition", "digits", *size, "--seed", 5, "-o", folder / "split.h5")
        flip = ("--flip", "1:7", "--malicious", 1, "--seed", 5)
        works("attack", "label-flip", folder / "split.h5", *flip, "-o", folder / "poisoned.h5")
        short = ("--local-steps", 2, "--seed", 5)
        works("train", folder / "poisoned.h5", *short, "-o", folder / "round.h5")
        judge(works, folder, folder / "round.h5")
        start = ("--init", folder / "model.h5")
        works("train", folder / "poisoned.h5", *start, *short, "-o", folder / "round2.h5")
        truth = ("--scores", folder / "scores.csv", "--truth", folder / "truth.json")
        measured = ("evaluate", folder / "model.h5", "--split", folder / "split.h5", *truth)
        works(*measured, "-o", folder / "metrics.json")
    one, two = map(digests, folders)
    assert one == two


def test_jobs_do_not_change_training(tmp_path):
    pytest.importorskip("torch", reason="training needs the extra 'train'")
    # More than 50 clients are trained in two groups, which two jobs take at a time.
    size = ("--clients", 70, "--samples-per-client", 12)
    works("partition", "digits", *size, "-o", tmp_path / "s.h5")
    for jobs in (1, 2):
        short = ("--local-steps", 4, "--batch-size", 5, "--jobs", jobs)
        works("train", tmp_path / "s.h5", *short, "-o", tmp_path / f"{jobs}.h5")
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


OPTIONS = [
    ("-m", "lomar-auto"),
    ("-m", "lomar-auto", "--memory", "1"),
    ("-m", "lomar"),
    ("-m", "lomar", "--kernel", "gaussian"),
    ("-m", "lomar", "--memory", "1"),
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_jobs_do_not_change_scores(options, tmp_path):
    path = write_round(tmp_path / "round.h5", tensors(80, labels=10, features=200))
    for jobs in (1, 2, 7):
        works("score", path, *options, "--jobs", jobs, "-o", tmp_path / f"{jobs}.h5")
    one = (tmp_path / "1.h5").read_bytes()
    assert one == (tmp_path / "2.h5").read_bytes() == (tmp_path / "7.h5").read_bytes()


def test_the_order_in_which_files_are_named_is_the_order_of_the_clients(tmp_path):
    made = tensors(3)
    files = [
        write_client(tmp_path / f"{name}.npz", {key: array[row] for key, array in made.items()})
        for row, name in enumerate("bca")
    ]
    works("dump", *files, "--differences", "-o", tmp_path / "named.h5")
    works("dump", *sorted(files), "--differences", "-o", tmp_path / "sorted.h5")
    folder = tmp_path / "f"
    folder.mkdir()
    for file in reversed(files):
        file.rename(folder / file.name)
    works("dump", folder, "--differences", "-o", tmp_path / "folder.h5")
    assert (tmp_path / "folder.h5").read_bytes() == (tmp_path / "sorted.h5").read_bytes()
    assert (tmp_path / "named.h5").read_bytes() != (tmp_path / "sorted.h5").read_bytes()
