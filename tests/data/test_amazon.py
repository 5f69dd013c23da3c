"""Amazon Commerce Reviews: a small ARFF file of the same form, and files that are refused."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from lomar_cli.data import amazon, registry
from lomar_cli.errors import InputError
from lomar_cli.files.split import read_split
from tests.commands import check_refused, lomar, works
from tests.data.real import FOLDER, needs

NAME = "Amazon_initial_50_30_10000.arff"
AUTHORS, REVIEWS, WORDS = ("zoe", "Adam", "o'neil"), 10, 6
COUNTS = np.random.default_rng(0).integers(0, 400, (len(AUTHORS) * REVIEWS, WORDS))


def arff(counts=COUNTS, authors=AUTHORS, kind="numeric"):
    names = ",".join(f'"{name}"' if "'" in name else name for name in authors)
    head = ["% word counts", "@relation 'a b'", ""]
    head += [f"@ATTRIBUTE word_{i} {kind}" for i in range(WORDS)]
    head += [f"@attribute class {{{names}}}", "", "@data"]
    rows = [
        ",".join(map(str, row)) + f",{authors[i // REVIEWS % len(authors)]}"
        for i, row in enumerate(counts)
    ]
    return "\n".join(head + rows) + "\n"


def write(folder, text, name=NAME):
    folder.mkdir(exist_ok=True, parents=True)
    raw = text.encode()
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return folder


def test_logarithms_of_the_counts_split_by_author(tmp_path):
    found = amazon.load(write(tmp_path, arff()))
    # In the order of the file's declaration, not of the alphabet.
    assert found.labels == list(AUTHORS)
    assert np.bincount(found.y_train).tolist() == [8] * 3
    assert np.bincount(found.y_test).tolist() == [2] * 3
    test = np.arange(30) % 5 == 4
    np.testing.assert_allclose(found.x_test, np.log1p(COUNTS[test]), rtol=1e-6)
    np.testing.assert_allclose(found.x_train, np.log1p(COUNTS[~test]), rtol=1e-6)


def test_the_places_looked_in_and_the_archive(tmp_path):
    one = amazon.load(write(tmp_path / "a" / "amazon", arff(), f"{NAME}.gz").parent)
    assert one.sha256 == amazon.load(write(tmp_path / "b", arff())).sha256


def test_where_it_is_absent_one_line_says_what_to_do(tmp_path):
    ran = lomar("partition", "amazon", "--data-dir", tmp_path, "-o", tmp_path / "s.h5")
    check_refused(ran, 1, NAME, tmp_path, "--data-dir")


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ("", "@data"),
        ("@data\n1,2\n", "last attribute"),
        (arff().replace("@ATTRIBUTE word_3 numeric", "@ATTRIBUTE word_3 string"), "attribute 4"),
        (arff().replace("@ATTRIBUTE word_3 numeric", "@ATTRIBUTE word_3"), "cannot be read"),
        (arff().replace("{zoe,Adam", "{zoe,zoe"), "twice"),
        (arff() + "1,2,3\n", "row 31: has 3 fields"),
        (arff() + "{0 1, 6 zoe}\n", "row 31: has 2 fields"),
        (arff() + "1,2,3,4,5,6,bob\n", "row 31: the class 'bob'"),
        (arff() + "1,2,3,4,5,x,zoe\n", "cannot be read"),
        (arff() + "1,2,3,4,5,nan,zoe\n", "NaN"),
        (arff() + "1,2,3,4,5,-6,zoe\n", "below 0"),
        (arff().split("@data")[0] + "@data\n", "no rows"),
        (arff(authors=("zoe",)), "two are needed"),
    ],
)
def test_damaged_files_are_refused_in_one_line(text, mention, tmp_path):
    folder = write(tmp_path, text)
    with pytest.raises(InputError, match=mention) as error:
        amazon.load(folder)
    assert len(str(error.value).splitlines()) == 1


@needs("amazon")
def test_the_real_file():
    found = registry.load("amazon", FOLDER)
    assert found.x_train.shape == (1200, 10_000)
    assert np.bincount(found.y_train).tolist() == [24] * 50
    assert np.bincount(found.y_test).tolist() == [6] * 50
    assert np.expm1(found.x_train.max()) == pytest.approx(411, rel=1e-5)


@needs("amazon")
def test_the_papers_attack_can_be_made(tmp_path):
    """50 clients x 150 samples, 5 pure flippers 15 -> 10 (sec. 4.1.4): of 24 source samples."""
    clean, poisoned = tmp_path / "s.h5", tmp_path / "p.h5"
    real = ("--data-dir", FOLDER)
    works("partition", "amazon", "--imbalance", 0.9, *real, "-o", clean)
    flip = ("--flip", "15:10", "--malicious", 5)
    works("attack", "label-flip", clean, *flip, *real, "-o", poisoned)
    found = read_split(poisoned)
    assert len(found.clients) == 55
    assert {len(own) for own in found.samples} == {150}
    truth = registry.load("amazon", FOLDER).y_train
    malicious = json.loads((tmp_path / "truth.json").read_text())["malicious"]
    seen = dict(zip(found.clients, found.client_labels(truth), strict=True))
    for client, own in zip(found.clients, found.samples, strict=True):
        if client in malicious:
            assert set(seen[client]) == {10}
            assert set(truth[own]) == {15}
            # 150 = 6 x 24 + 6.
            assert sorted(np.unique_counts(own).counts) == [6] * 18 + [7] * 6
