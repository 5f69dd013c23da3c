"""Torch files that mean harm: refused before torch is asked, nothing run, nothing written."""

from __future__ import annotations

import time

import numpy as np
import pytest

from lomar_cli.errors import InputError
from lomar_cli.files.importers import pt
from tests.hostile.test_import_files import dump
from tests.hostile.torch_files import RECORD, TORCH, state, torch_zip


@pytest.fixture
def no_torch(monkeypatch):
    """Nothing may ask torch, which takes 600 MB to import."""
    monkeypatch.setattr(pt, "_torch", None)


@pytest.mark.parametrize("what", TORCH)
def test_torch_files(what, tmp_path, no_torch):
    pickled, records, mention = TORCH[what]
    dump(tmp_path, mention, torch_zip(tmp_path / "x.pt", pickled, records))


def test_the_honest_file_behind_those_is_read(tmp_path):
    pytest.importorskip("torch", reason="torch files need the extra 'train'")
    (found,) = pt.read(torch_zip(tmp_path / "x.pt", state(), RECORD), 2**20)
    np.testing.assert_array_equal(found.arrays["w"], [0, 0])


def test_what_lies_beside_a_model_is_walked_once(tmp_path):
    """A list within itself, and a tower of pairs of the same list: 2^40 paths, forty lists."""
    pytest.importorskip("torch", reason="torch files need the extra 'train'")
    within = b"]q\x00h\x00a"
    tower = b"]q\x00" + b"".join(b"h%c\x86q%c" % (n, n + 1) for n in range(40))
    for more in (within, tower):
        pickled = state(more=b"X\x01\x00\x00\x00a" + more + b"s")
        (found,) = pt.read(torch_zip(tmp_path / "x.pt", pickled, RECORD), 2**20)
        assert list(found.arrays) == ["w"]


def test_what_takes_long_is_bounded(tmp_path):
    """One list beside a model under many keys, and calls with a hundred thousand arguments."""
    pytest.importorskip("torch", reason="torch files need the extra 'train'")
    many = b"](" + b"N" * 300_000 + b"eq\x07"
    keys = b"".join(b"X\x05\x00\x00\x00%05dh\x07" % n for n in range(20_000))
    pickled = state(more=b"X\x01\x00\x00\x00a" + many + b"s(" + keys + b"u")
    started = time.process_time()
    (found,) = pt.read(torch_zip(tmp_path / "x.pt", pickled, RECORD), 2**20)
    assert list(found.arrays) == ["w"]
    assert time.process_time() - started < 20
    calls = b"ctorch._utils\n_rebuild_tensor_v2\nh\x00R"
    pickled = b"\x80\x02](" + b"N" * 100_000 + b"tq\x00" + calls * 4_000 + b"."
    with pytest.raises(InputError, match="calls"):
        list(pt.read(torch_zip(tmp_path / "y.pt", pickled, RECORD), 2**20))


@pytest.mark.parametrize("key", [2_000_000, -1, 0.1, None, ("a", 1, None), True])
def test_what_trainers_count_by_is_read(key, tmp_path):
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    torch.save({"model": {"w": torch.ones(2)}, "loss": {key: 0.3}}, tmp_path / "x.pt")
    (found,) = pt.read(tmp_path / "x.pt", 2**20)
    assert list(found.arrays) == ["w"]


def test_torch_files_of_other_times_and_kinds(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    wrong = {
        "old": ({"w": torch.ones(2)}, "before 1.6"),
        "module": (torch.nn.Linear(2, 2), "state_dict"),
        "wide": ({"w": torch.ones(1).expand(2**40)}, "w"),
        "sparse": ({"w": torch.ones(2, 2).to_sparse()}, "data.pkl"),
        "none": ({"epoch": 3}, "state_dict"),
        "complex": ({"w": torch.ones(2, dtype=torch.complex64)}, "data.pkl"),
    }
    for name, (document, _) in wrong.items():
        zipped = name != "old"
        path = tmp_path / f"{name}.pt"
        torch.save(document, path, _use_new_zipfile_serialization=zipped)
    monkeypatch.setattr(pt, "_torch", None)
    for name, (_, mention) in wrong.items():
        dump(tmp_path, mention, tmp_path / f"{name}.pt")
