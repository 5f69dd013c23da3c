"""A round in several files, from ``dump --shard`` to the next model: as if it were one."""

from __future__ import annotations

import csv
import json
import subprocess
import time

import numpy as np
import pytest

from lomar_cli.files.round import Shard, open_round
from tests.commands import command_line, environment, lomar, refused, works
from tests.making import tensors, write_client

CLIENTS = 23


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Client files, five of them odd, dumped as one file and as shards of five."""
    folder = tmp_path_factory.mktemp("shards")
    updates = folder / "updates"
    updates.mkdir()
    whole = tensors(CLIENTS, labels=3, features=40)
    for row in range(CLIENTS):
        sent = {name: array[row] * (3 if row < 5 else 1) for name, array in whole.items()}
        write_client(updates / f"site-{row:02}.npz", sent)
    more = (updates, "--differences", "--output-layer", "fc.weight")
    works("dump", *more, "-o", folder / "one.h5")
    works("dump", *more, "--shard", 5, "-o", folder / "round-{}.h5")
    return folder


def parts(folder):
    return sorted(folder.glob("round-*.h5"))


def rows(path):
    with path.open() as stream:
        return [{**row, "round_sha256": ""} for row in csv.DictReader(stream)]


def test_at_most_so_many_clients_a_file_in_order(made):
    found = parts(made)
    assert [path.name for path in found] == [f"round-{n}.h5" for n in range(1, 6)]
    names, before = [], ""
    for number, path in enumerate(found, 1):
        with open_round(path) as one:
            assert one.files[0].shard == Shard(number, 5, before)
            before = one.sha256
            names += one.head.clients
            (step,) = one.provenance
            assert step["options"]["shard"] == 5
    assert names == [f"site-{row:02}" for row in range(CLIENTS)]


@pytest.mark.parametrize(
    ("shard", "last"), [(1, "r23.h5"), (3, "r8.h5"), (23, "r1.h5"), (99, "r1.h5")]
)
def test_numbers_sort_as_names(shard, last, made, tmp_path):
    works("dump", made / "updates", "--differences", "--shard", shard, "-o", tmp_path / "r{}.h5")
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found[-1] == last
    assert len({len(name) for name in found}) == 1


@pytest.mark.parametrize("method", ["lomar-auto", "lomar", "foolsgold", "ecod"])
@pytest.mark.parametrize("memory", ["2G", "1K"])
def test_scores_are_those_of_the_one_file(method, memory, made, tmp_path):
    more = ("--method", method, "--memory", memory)
    works("score", *parts(made)[::-1], *more, "-o", tmp_path / "many.csv")
    works("score", made / "one.h5", *more, "-o", tmp_path / "one.csv")
    assert rows(tmp_path / "many.csv") == rows(tmp_path / "one.csv")


def test_all_methods_at_once(made, tmp_path):
    works("score", *parts(made), "--method", "all", "--format", "csv", "-o", tmp_path / "many")
    works("score", made / "one.h5", "--method", "all", "--format", "csv", "-o", tmp_path / "one")
    for path in (tmp_path / "one").iterdir():
        assert rows(tmp_path / "many" / path.name) == rows(path)


def test_from_scores_to_the_next_model(made, tmp_path):
    """The table names the set; what comes after takes the set and nothing else."""
    many, one = (tmp_path / "many.h5", tmp_path / "one.h5")
    works("score", *parts(made), "-o", many)
    works("score", made / "one.h5", "-o", one)
    info = json.loads(works("info", *parts(made), "--json").stdout)
    steps = json.loads(works("info", many, "--json").stdout)["provenance"]
    inputs = steps[-1]["inputs"]
    assert inputs["round"] == info["sha256"]
    assert list(info["files"].values()) == [inputs[f"part_{n}"] for n in range(1, 6)]
    assert [step["stage"] for step in steps] == ["dump"] * 5 + ["score"]
    model = ("--from-zero", "-o")
    works("aggregate", *parts(made), "--scores", many, *model, tmp_path / "a.npz")
    works("aggregate", made / "one.h5", "--scores", one, *model, tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    for wrong in (made / "one.h5",):
        out = ("--scores", many, *model, tmp_path / "c.npz")
        refused(tmp_path, 3, ["round_sha256"], "aggregate", wrong, *out)
    works("filter", *parts(made), "--scores", many, "-o", tmp_path / "many-kept.h5")
    works("filter", made / "one.h5", "--scores", one, "-o", tmp_path / "one-kept.h5")
    with open_round(tmp_path / "many-kept.h5") as a, open_round(tmp_path / "one-kept.h5") as b:
        assert a.sha256 == b.sha256
        assert a.files[0].shard is None
    found = works("validate", *parts(made), many, "--json").stdout
    assert '"warnings": []' in found
    assert "warning" not in works("validate", *parts(made), many).stderr


def test_explain_takes_them_before_the_client(made):
    many = json.loads(works("explain", *parts(made), "site-03", "--json").stdout)
    one = json.loads(works("explain", made / "one.h5", "site-03", "--json").stdout)
    assert many == one


def test_a_part_is_no_round(made, tmp_path):
    found = parts(made)
    out = ("-o", tmp_path / "s.csv")
    refused(tmp_path, 3, ["round-2.h5", "shard 2 of 5", "1, 3, 4, 5"], "score", found[1], *out)
    few = [path for path in found if path != found[2]]
    refused(tmp_path, 3, ["missing is shard 3"], "score", *few, *out)
    ran = works("validate", *few)
    assert "missing is shard 3" in ran.stderr
    history = ("--history", found[0], *out)
    refused(tmp_path, 2, ["shard 1 of 5"], "score", made / "one.h5", *history)


def test_info_tells_of_a_shard(made):
    assert json.loads(works("info", parts(made)[1], "--json").stdout)["shard"] == "shard 2 of 5"
    assert lomar("info", *parts(made), "--layers").exit_code == 2


@pytest.mark.parametrize(
    ("name", "shard", "code", "mention"),
    [
        ("round.h5", 5, 2, "round-{}.h5"),
        ("round-{}-{}.h5", 5, 2, "once"),
        ("round-{}.h5", 0, 2, "shard"),
    ],
)
def test_a_name_without_a_place_for_the_number(name, shard, code, mention, made, tmp_path):
    given = ("--differences", "--shard", shard, "-o", tmp_path / name)
    ran = lomar("dump", made / "updates", *given)
    assert ran.exit_code == code
    assert mention in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept_or_told_of(made, tmp_path):
    more = (made / "updates", "--differences", "-o", tmp_path / "r-{}.h5")
    works("dump", *more, "--shard", 5)
    refused(tmp_path, 4, ["r-1.h5"], "dump", *more, "--shard", 5)
    (tmp_path / "r-1.h5").unlink()
    refused(tmp_path, 4, ["r-2.h5"], "dump", *more, "--shard", 5)
    ran = works("dump", *more, "--shard", 10, "-f")
    assert "r-4.h5, r-5.h5: not of this set" in ran.stderr
    works("score", *(tmp_path / f"r-{n}.h5" for n in (1, 2, 3)))
    with pytest.raises(AssertionError, match=r"r-4\.h5: is shard 4 of 5"):
        works("score", *sorted(tmp_path.iterdir()))
    with pytest.raises(AssertionError, match="--shard is settled"):
        works("dump", *more, "--shard", 5, "--append")


def test_counts_that_only_later_files_have(tmp_path):
    """What is wrong with a later file ends it; the shards before are whole, and no round."""
    for row in range(4):
        arrays = {name: array[0] for name, array in tensors(1).items()}
        count = {"num_examples": np.int64(7)} if row == 3 else {}
        write_client(tmp_path / f"c{row}.npz", {**arrays, **count})
    given = ("--differences", "--shard", 2, "-o", tmp_path / "r-{}.h5")
    ran = lomar("dump", tmp_path, *given)
    assert (ran.exit_code, "'c0': its file has no num_examples" in ran.stderr) == (3, True)
    assert [path.name for path in tmp_path.glob("*.h5")] == ["r-1.h5"]
    assert lomar("score", tmp_path / "r-1.h5").exit_code == 3


def test_killed_between_shards(made, tmp_path):
    """Each file is whole or absent, the set is known not to be whole, and -f writes it anew."""
    given = (made / "updates", "--differences", "--shard", 1, "-o", tmp_path / "r-{}.h5")
    running = subprocess.Popen(command_line("dump", *given, "-q"), env=environment())
    deadline = time.monotonic() + 60
    while not (tmp_path / "r-03.h5").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    running.kill()
    running.wait()
    left = sorted(tmp_path.glob("r-*.h5"))
    assert 3 <= len(left) < CLIENTS, "it was not killed in time"
    assert "invalid" not in works("validate", *left).stdout
    ran = lomar("score", *left)
    assert (ran.exit_code, "missing" in ran.stderr) == (3, True)
    works("dump", *given, "-f")
    works("score", *sorted(tmp_path.glob("r-*.h5")))
    assert list(tmp_path.glob(".*")) == []
