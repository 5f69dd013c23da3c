"""KDD Cup 1999: reading, scaling, the split with its rare classes, and files that are refused."""

from __future__ import annotations

import gzip
import urllib.error
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets

from lomar_cli.data import kddcup99, registry
from lomar_cli.errors import InputError
from lomar_cli.files.split import read_split
from tests.commands import check_refused, lomar, works
from tests.data.real import FOLDER, needs

NAME = "kddcup.data_10_percent.gz"
# A class of each interesting size.
SIZES = {"smurf": 23, "normal": 11, "phf": 4, "spy": 2, "perl": 1}


def line(kind, duration=0, protocol="tcp", service="http", flag="SF", size=0):
    return f"{duration},{protocol},{service},{flag},{size}," + "0.50," * 36 + f"{kind}."


def lines():
    rng = np.random.default_rng(0)
    kinds = [kind for kind, count in SIZES.items() for _ in range(count)]
    made = []
    for kind in rng.permutation(kinds):
        protocol, service = str(rng.choice(["tcp", "udp"])), str(rng.choice(["http", "smtp", "x"]))
        made.append(line(kind, int(rng.integers(3)), protocol, service, "SF", rng.integers(10**6)))
    return [*made, made[0]]


def write(folder, text, name=NAME):
    folder.mkdir(exist_ok=True, parents=True)
    raw = ("\n".join(text) + "\n").encode()
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return folder


def test_classes_are_in_alphabetical_order_without_the_dot(tmp_path):
    found = kddcup99.load(write(tmp_path, lines()))
    assert found.labels == ["normal", "perl", "phf", "smurf", "spy"]


def test_every_class_trains_and_all_but_single_ones_test(tmp_path):
    found = kddcup99.load(write(tmp_path, lines()))
    counts = {
        label: (int((found.y_train == i).sum()), int((found.y_test == i).sum()))
        for i, label in enumerate(found.labels)
    }
    repeated = lines()[-1].rsplit(",", 1)[1].rstrip(".")
    sizes = {kind: count + (kind == repeated) for kind, count in SIZES.items()}
    expected = {
        kind: (count - (count // 5 or int(count > 1)), count // 5 or int(count > 1))
        for kind, count in sizes.items()
    }
    assert counts == expected
    assert counts["spy"] == (1, 1)


def test_duplicates_stay(tmp_path):
    found = kddcup99.load(write(tmp_path, lines()))
    assert len(found.y_train) + len(found.y_test) == sum(SIZES.values()) + 1


def test_scaled_by_the_training_part_alone():
    """By hand: one numeric feature that varies, of ten rows of one class."""
    sizes = [1, 3, 7, 9, 10**6, 1, 1, 1, 1, 0]
    text = [line("normal", size=size) for size in sizes] + [line("smurf", size=1)]
    rows = np.arange(len(text))
    numbers = np.zeros((len(text), 38))
    numbers[:, 1] = [*sizes, 1]
    classes = np.array([one.rsplit(",", 1)[1] for one in text])
    symbols = np.array([["tcp", "http", "SF"]] * len(text))
    found = kddcup99._assemble(kddcup99.Table(numbers, symbols, classes, rows), "here")
    low, high = np.log1p(1), np.log1p(9)
    wanted = [(np.log1p(size) - low) / (high - low) for size in (1, 3, 7, 9, 1, 1, 1, 1, 1)]
    np.testing.assert_allclose(found.x_train[:, 1], wanted, rtol=1e-6)
    # Beyond what the training part holds: the greatest and the least value there.
    assert found.x_test[:, 1].tolist() == [1, 0]


def test_symbols_are_one_hot_and_unknown_ones_all_zeros(tmp_path):
    text = [line("normal", protocol="tcp") for _ in range(4)] + [line("normal", protocol="icmp")]
    found = kddcup99.load(write(tmp_path, [*text, line("smurf", protocol="udp")]))
    # 38 numbers, protocols tcp and udp (icmp is in the test part only), one service, one flag.
    assert found.x_train.shape == (5, 42)
    assert found.x_train[:, 38:].tolist() == [[1, 0, 1, 1]] * 4 + [[0, 1, 1, 1]]
    assert found.x_test[:, 38:].tolist() == [[0, 0, 1, 1]]


def test_the_places_looked_in_and_plain_files(tmp_path):
    text = lines()
    one = kddcup99.load(write(tmp_path / "a" / "kddcup99", text).parent)
    other = kddcup99.load(write(tmp_path / "b", text, NAME.removesuffix(".gz")))
    assert one.sha256 == other.sha256


def bunch(text):
    """What scikit-learn's fetcher returns for these lines."""
    fields = [one.split(",") for one in text]
    data = np.empty((len(fields), 41), object)
    for row, parts in enumerate(fields):
        for column in range(41):
            symbolic = column in kddcup99.SYMBOLIC
            data[row, column] = parts[column].encode() if symbolic else float(parts[column])
    target = np.array([parts[-1].encode() for parts in fields], object)
    return SimpleNamespace(data=data, target=target)


def test_without_the_file_scikit_learn_fetches_the_same(tmp_path, monkeypatch):
    text = lines()
    monkeypatch.setattr(sklearn.datasets, "fetch_kddcup99", lambda **options: bunch(text))
    assert kddcup99.load(tmp_path).sha256 == kddcup99.load(write(tmp_path / "f", text)).sha256


def test_without_a_network_one_line_says_what_to_do(tmp_path, monkeypatch):
    def offline(**options):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(sklearn.datasets, "fetch_kddcup99", offline)
    ran = lomar("partition", "kddcup99", "--data-dir", tmp_path, "-o", tmp_path / "s.h5")
    check_refused(ran, 1, "kddcup99", "--data-dir", tmp_path)


@pytest.mark.parametrize(
    ("text", "mention"),
    [
        ([line("normal"), "1,2,3"], "line 2: has 3 fields"),
        ([line("normal"), line("smurf", size="many")], "many"),
        ([line("normal"), line("smurf", size="nan")], "NaN"),
        ([line("normal"), line("smurf", size=-1)], "below 0"),
        ([line("normal"), line("normal")], "two are needed"),
        ([line("normal"), line("\x1b[2J")], "label"),
        ([line("normal"), line("ü")], "cannot be read"),
        ([], "has 1 fields"),
    ],
)
def test_damaged_files_are_refused_in_one_line(text, mention, tmp_path):
    folder = write(tmp_path, text)
    with pytest.raises(InputError, match=mention):
        kddcup99.load(folder)


def test_a_truncated_archive_is_refused(tmp_path):
    path = write(tmp_path, lines()) / NAME
    path.write_bytes(path.read_bytes()[:-20])
    ran = lomar("partition", "kddcup99", "--data-dir", tmp_path, "-o", tmp_path / "s.h5")
    check_refused(ran, 3, NAME, "truncated")


def test_the_papers_partition_runs(tmp_path):
    """23 clients, each with a major label of its own, however rare it is."""
    folder = write(tmp_path, lines())
    split = ("partition", "kddcup99", "--data-dir", folder, "--clients", 5, "--imbalance", 0.5)
    ran = lomar(*split, "--samples-per-client", 20, "-o", tmp_path / "s.h5")
    assert ran.exit_code == 0, ran.stderr
    refused = lomar(*split, "--samples-per-client", 20, "--rare", "refuse", "-o", tmp_path / "r.h5")
    check_refused(refused, 2, "--rare repeat")


@needs("kddcup99")
def test_the_real_file():
    found = registry.load("kddcup99", FOLDER)
    assert len(found.y_train) + len(found.y_test) == 494_021
    assert len(found.labels) == 23
    # The paper's "class 11 to 9".
    assert (found.labels[11], found.labels[9]) == ("normal", "neptune")
    spy = found.labels.index("spy")
    assert ((found.y_train == spy).sum(), (found.y_test == spy).sum()) == (1, 1)
    assert np.unique(found.y_test).tolist() == list(range(23))
    assert found.x_train.min() >= 0 and found.x_train.max() == 1
    assert found.x_train.shape[1] == 117


@needs("kddcup99")
def test_the_papers_attack_can_be_made(tmp_path):
    """23 clients, 3 pure flippers 11 -> 9 (sec. 4.1.4): normal passed off as neptune."""
    clean, poisoned = tmp_path / "s.h5", tmp_path / "p.h5"
    real = ("--data-dir", FOLDER)
    works("partition", "kddcup99", "--imbalance", 0.9, *real, "-o", clean)
    flip = ("--flip", "11:9", "--malicious", 3)
    works("attack", "label-flip", clean, *flip, *real, "-o", poisoned)
    found = read_split(poisoned)
    assert len(found.clients) == 26
    assert {len(own) for own in found.samples} == {17_183}
    assert len(found.overlay.position) == 3 * 17_183
    assert {found.labels[i] for i in found.overlay.original} == {"normal"}
    assert {found.labels[i] for i in found.overlay.label} == {"neptune"}
