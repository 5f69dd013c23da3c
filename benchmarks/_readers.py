"""What `fuzz_coverage.py` drives: every reader of strangers' bytes, small files to begin from.

Imported under the fuzzer, so that it follows all that is imported here.
"""

from __future__ import annotations

import importlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files.importers import registry, safetensors
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from lomar_cli.files.sidecar import read_sidecar
from lomar_cli.files.truth import read_truth

ARCHIVE = Path(__file__).resolve().parent.parent / "tests" / "golden" / "format1"
MAX_BYTES = 2**20
Seeds = Callable[[], list[bytes]]
Read = Callable[[Path], object]
Wrap = Callable[[bytes], bytes]


def _as_is(raw: bytes) -> bytes:
    return raw


def _in_npz(raw: bytes) -> bytes:
    return _zip({"w.npy": raw})


def _in_torch(raw: bytes) -> bytes:
    return _zip({"x/data.pkl": raw, "x/version": b"3\n", "x/data/0": bytes(24)})


def _zip(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _npys() -> list[bytes]:
    kinds = ("f4", "f2", "f8", "i8", "?")
    return [_npy(np.ones((2, 3), kind)) for kind in kinds] + [_npy(np.ones(2, ">f4"))]


def _npzs() -> list[bytes]:
    ids = {"client_ids.npy": _npy(np.array(["a", "b"])), "num_examples.npy": _npy(np.array([1, 2]))}
    one = {"fc/w.npy": _npy(np.ones((2, 3), "f4")), "num_examples.npy": _npy(np.int64(3))}
    return [_zip(one), _zip({**ids, "w.npy": _npy(np.ones((2, 3), "f4"))})]


def _safetensors() -> list[bytes]:
    made = []
    for kind in ("f4", "V2", "f2", "i8", "?"):
        stream = io.BytesIO()
        safetensors.write(stream, {"w": np.zeros((2, 3), kind), "b": np.zeros(2, kind)})
        made.append(stream.getvalue())
    stream = io.BytesIO()
    about = {"client_ids": '["a", "b"]', "num_examples": "3"}
    safetensors.write(stream, {"w": np.zeros((2, 3), "f4")}, about)
    return [*made, stream.getvalue()]


def _pickles() -> list[bytes]:
    import torch

    made = []
    for document in (
        {"w": torch.ones(2, 3)},
        {"state_dict": {"w": torch.ones(6)}, "num_examples": 3},
        {"client_ids": ["a", "b"], "num_examples": [1, 2], "updates": {"w": torch.ones(2, 3)}},
    ):
        stream = io.BytesIO()
        torch.save(document, stream)
        with zipfile.ZipFile(stream) as archive:
            name = next(n for n in archive.namelist() if n.endswith("data.pkl"))
            made.append(archive.read(name))
    return made


def _hdf5() -> list[bytes]:
    made = []
    for groups in (["layers/dense/vars"], ["clients/a", "clients/b"]):
        stream = io.BytesIO()
        with h5py.File(stream, "w") as handle:
            for group in groups:
                handle[f"{group}/0"] = np.ones((2, 3), "f4")
        made.append(stream.getvalue())
    return made


def _flower() -> list[bytes]:
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    small = b"\x93NUMPY\x01\x00\x36\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n"
    inner = field(1, b"float32") + field(3, b"numpy.ndarray") + field(4, small + bytes(8))
    one = field(1, b"w") + field(2, inner)
    # A length of 128 or more takes two bytes.
    return [b"\x0a" + bytes([len(one) & 127 | 128, len(one) >> 7]) + one]


def _archived(*names: str) -> Seeds:
    return lambda: [(ARCHIVE / name).read_bytes() for name in names]


def _sidecars() -> list[bytes]:
    return [
        b"client,num_examples\na,1\nb,2\n",
        b'{"round_number": 3, "clients": {"a": 1}}',
        b'{"clients": [{"client": "a", "num_examples": 2}]}',
    ]


def _imported(name: str) -> Read:
    """An importer as ``dump`` drives it: whose file it is, its clients, then all of them."""
    wanted = importlib.import_module(f"lomar_cli.files.importers.{name}")

    def read(path: Path) -> None:
        found = registry.importer(path)
        if found is not wanted:
            raise InputError("another format's")
        found.clients(path, MAX_BYTES)
        for one in found.read(path, MAX_BYTES):
            assert sum(array.nbytes for array in one.arrays.values()) <= 4 * MAX_BYTES

    return read


def _ours(kind: str) -> Read:
    def read_round(path: Path) -> None:
        with open_round(path, max_bytes=MAX_BYTES):
            pass

    return {
        "round": read_round,
        "scores": read_scores,
        "sidecar": read_sidecar,
        "truth": read_truth,
    }[kind]


READERS: dict[str, tuple[Seeds, Wrap, Callable[[], Read]]] = {
    "npy": (_npys, _as_is, lambda: _imported("npy")),
    "npz": (_npzs, _as_is, lambda: _imported("npz")),
    "npy in npz": (_npys, _in_npz, lambda: _imported("npz")),
    "safetensors": (_safetensors, _as_is, lambda: _imported("safetensors")),
    "pickle": (_pickles, _in_torch, lambda: _imported("pt")),
    "flower": (_flower, _as_is, lambda: _imported("flower")),
    "hdf5": (_hdf5, _as_is, lambda: _imported("hdf5")),
    "round": (_archived("round.h5"), _as_is, lambda: _ours("round")),
    "scores": (
        _archived("scores.csv", "scores.tsv", "scores.json"),
        _as_is,
        lambda: _ours("scores"),
    ),
    "sidecar": (_sidecars, _as_is, lambda: _ours("sidecar")),
    "truth": (_archived("truth.json"), _as_is, lambda: _ours("truth")),
}
