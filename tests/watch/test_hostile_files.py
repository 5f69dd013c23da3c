"""Whatever lies in the incoming folder: it is set aside with its reason, and the round goes on."""

from __future__ import annotations

import json
import os
import pickle
import stat
import struct

import h5py
import numpy as np
import pytest

from lomar_cli.watching import admit
from tests.watch.playing import CLIENTS, Place, Play, npz, trained

ESCAPE = "\x1b[2J"


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def huge(path):
    """A safetensors file of some bytes whose header declares 4 TB."""
    head = {"fc.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
    raw = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw)


def arrays(**changes):
    found = {**trained(1)["site-00"], **changes}
    return npz({name: array for name, array in found.items() if array is not None})


def write(content):
    return lambda path: path.write_bytes(content)


def hdf5(path):
    with h5py.File(path, "w") as handle:
        handle["fc.weight"] = h5py.ExternalLink("/etc/passwd", "x")


def of_many(path):
    path.write_bytes(
        npz({"client_ids": np.array(["site-03", "site-04"]), "fc.bias": np.ones((2, 3))})
    )


FILES = {
    "pickle.npz": (write(pickle.dumps({"fc.bias": [1.0]})), "pickle"),
    "short.npz": (write(arrays()[:400]), "damaged"),
    "text.npz": (write(b"not arrays at all"), "is none of"),
    "shape.npz": (write(arrays(**{"fc.bias": np.ones(4, np.float32)})), "has shape"),
    "type.npz": (write(arrays(**{"fc.bias": np.ones(3)})), "has type float64"),
    "more.npz": (write(arrays(extra=np.ones(3, np.float32))), "extra"),
    "fewer.npz": (write(arrays(**{"fc.bias": None})), "is missing"),
    "objects.npz": (write(arrays(**{"fc.bias": np.array([None])})), ""),
    "names.npz": (write(arrays(**{f"x{ESCAPE}": np.ones(3, np.float32)})), ""),
    "count.npz": (write(arrays(num_examples=np.ones(3, np.int64))), "num_examples"),
    "huge.safetensors": (huge, "--max-bytes"),
    "external.h5": (hdf5, "link"),
    "many.npz": (of_many, "many clients"),
    "link.npz": (lambda path: path.symlink_to("/etc/passwd"), "is a link"),
    "loop.npz": (lambda path: path.symlink_to(path), "is a link"),
    "pipe.npz": (os.mkfifo, "is a link"),
    "folder": (lambda path: (path / "inside").mkdir(parents=True), "is a link"),
    "line\nend.npz": (write(arrays()), "control"),
    f"es{ESCAPE}cape.npz": (write(arrays()), "control"),
    os.fsdecode(b"\xff\xfe.npz"): (write(arrays()), "control"),
    "x" * 251 + ".npz": (write(arrays()), "longer than 240"),
}


@pytest.mark.parametrize("name", FILES, ids=lambda name: repr(name)[1:20])
def test_one_bad_file_changes_nothing_but_itself(name, place, tmp_path):
    make, mention = FILES[name]
    good = Place(tmp_path / "good")
    for one in (good, place):
        one.send_all(trained(1))
    make(place.incoming / name)
    os.utime(place.incoming / name, (1000, 1000), follow_symlinks=False)
    play = Play(place)
    play.watch()
    Play(good).watch()
    ((kept, reason),) = place.aside().items()
    assert mention in reason
    assert kept.isascii()
    assert kept.isprintable()
    for text in [reason, *play.said, *play.warned]:
        assert text.strip("\n").isprintable(), repr(text)
    for made in ("round.h5", "scores.h5", "scores.csv", "model.npz"):
        here, there = (one.verdicts / "000001" / made for one in (place, good))
        assert here.read_bytes() == there.read_bytes()
    told = json.loads((place.verdicts / "000001" / "verdict.json").read_text())
    assert len(told["set_aside"]) == 1
    assert told["clients"] == CLIENTS


def test_a_file_with_more_bytes_than_allowed_is_not_opened(place, monkeypatch):
    place.send_all(trained(1))
    place.send("big.npz", b"x" * 5000)
    os.utime(place.incoming / "big.npz", (1, 1))
    opened = []
    read = admit.registry.importer
    monkeypatch.setattr(admit.registry, "importer", lambda p: opened.append(p.name) or read(p))
    Play(place).watch(max_bytes=4000)
    assert "5,000 bytes" in place.aside()["big.npz"]
    assert set(opened) > {"site-00.npz"}
    assert "big.npz" not in opened


def test_numbers_that_are_none_are_for_the_scorer(place):
    sent = trained(1)
    sent["site-05"]["fc.weight"] = np.full((3, 4), np.nan, np.float32)
    place.send_all(sent)
    Play(place).watch()
    assert place.aside() == {}
    told = json.loads((place.verdicts / "000001" / "verdict.json").read_text())
    assert told["flagged"] == ["site-05"]
    assert told["model"] == "model.npz"


def test_a_reader_that_breaks_does_not_end_the_watch(place, monkeypatch):
    place.send_all(trained(1, clients=CLIENTS + 2))
    read = admit.registry.importer

    def broken(path):
        if path.stem == "site-00":
            raise MemoryError
        if path.stem == "site-01":
            raise ZeroDivisionError("x")
        return read(path)

    monkeypatch.setattr(admit.registry, "importer", broken)
    Play(place).watch()
    assert "memory" in place.aside()["site-00.npz"]
    assert "ZeroDivisionError" in place.aside()["site-01.npz"]


def plain(clients):
    return {
        name: {key: value for key, value in arrays.items() if key != "num_examples"}
        for name, arrays in clients.items()
    }


def test_nobody_makes_the_others_look_wrong_by_sending_first(place):
    """Without a base model, what most clients sent is right; the round waits for more of it."""
    place.send("aaa.npz", npz({"fc.weight": np.ones((2, 2), np.float32)}))
    place.send("aab.npz", npz({"fc.weight": np.ones((3, 4)), "fc.bias": np.ones(3)}))
    sent = plain(trained(1, clients=CLIENTS))
    Play(place, {0: lambda: place.send_all(sent)}).watch(differences=True, base_model=None)
    assert sorted(place.aside()) == ["aaa.npz", "aab.npz"]
    assert f"what {CLIENTS - 2} of {CLIENTS} clients sent" in place.aside()["aaa.npz"]
    told = json.loads((place.verdicts / "000001" / "verdict.json").read_text())
    assert told["clients"] == CLIENTS


def test_one_that_counts_among_those_who_do_not(place):
    sent = plain(trained(1))
    sent["site-00"]["num_examples"] = np.int64(10**9)
    place.send_all(sent)
    Play(place, {5: lambda: place.send("site-99.npz", npz(sent["site-01"]))}).watch()
    assert list(place.aside()) == ["site-00.npz"]
    assert "num_examples" in place.aside()["site-00.npz"]


def test_whoever_changes_a_file_that_was_taken_is_found_out(place):
    """A sender that kept its file open: the round is looked at again without it."""
    sent = trained(1)
    last = npz(sent.pop("site-11"))
    place.send_all(sent)
    taken = place.incoming / ".lomar" / "taken" / "000001"

    def spoil():
        (taken / "site-00.npz").write_bytes(b"nothing of use")
        (taken / "site-01.npz").unlink()
        place.send("site-11.npz", last)

    play = Play(place, {5: spoil})
    play.watch(timeout=60.0)
    assert list(place.aside()) == ["site-00.npz"]
    assert "changed after it was taken up" in play.warned[0]
    told = json.loads((place.verdicts / "000001" / "verdict.json").read_text())
    assert told["clients"] == CLIENTS - 2


def test_strangers_may_not_look_into_what_was_taken(place):
    place.send_all(trained(1))
    Play(place).watch()
    assert stat.S_IMODE((place.incoming / ".lomar").stat().st_mode) == 0o700


def test_the_same_bad_name_again_and_again(place):
    contents = [b"nothing of use", b"nor this", b"nor that"]
    script = {3 * n: lambda n=n: place.send("bad.npz", contents[n]) for n in range(3)}
    Play(place, {**script, 9: lambda: place.send_all(trained(1))}).watch()
    assert sorted(place.aside()) == ["bad.npz", "bad.npz.2", "bad.npz.3"]
    files = place.incoming / ".lomar" / "aside" / "000001" / "files"
    assert [path.read_bytes() for path in sorted(files.iterdir())] == contents


def test_names_that_two_readings_would_shorten_twice(place):
    """Keras's ending is taken off a name once: a second time it would be another client's."""
    sent = trained(1)
    names = list(sent)
    place.send("q.npz", npz(sent[names[0]]))
    place.send("q.weights.weights.h5", npz(sent[names[1]]))
    for name in names[2:]:
        place.send(f"{name}.npz", npz(sent[name]))
    assert Play(place).watch() == 1
    table = (place.verdicts / "000001" / "scores.csv").read_text()
    assert {"q", "q.weights"} < {line.partition(",")[0] for line in table.splitlines()}


def test_a_method_that_breaks_on_a_round_does_not_end_the_watch(place, monkeypatch):
    from lomar_cli.watching import judge

    def broken(*args, **options):
        raise ValueError("Input contains NaN")

    monkeypatch.setattr(judge, "score", broken)
    place.send_all(trained(1))
    assert Play(place).watch() == 1
    said = json.loads((place.verdicts / "000001" / "verdict.json").read_text())
    assert said["status"] == "failed" and "ValueError: Input contains NaN" in said["problem"]
