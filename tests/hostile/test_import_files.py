"""Client files that mean harm: refused in one line with exit 3, nothing run, nothing written."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest

from lomar_cli.files.importers import hdf5
from tests.commands import Ran, check_refused, environment, refused, works
from tests.hostile.torch_files import RECORD, TORCH, state, torch_zip

MARK = "LOMAR_TEST_WAS_RUN"


class Trap:
    """Unpickling it writes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (exec, (f"open({self.path!r}, 'w').write('run')",))


def dump(folder, mention, path):
    options = ("--differences", "--output-layer", "none", "-o", folder / "r.h5")
    refused(folder, 3, [path.name, mention], "dump", path, *options)
    # And as the base model that every command of a server would read.
    other = ("dump", path, "--base-model", path, "--output-layer", "none", "-o", folder / "r.h5")
    refused(folder, 3, [path.name], *other)


def tensors(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def about(start, end, shape=(2,), kind="F32"):
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}


TENSORS = {
    "a header of 2^60 bytes": (tensors({"a": about(0, 8)}, bytes(8), 2**60), "header"),
    "a header beyond the file": (tensors({"a": about(0, 8)}, bytes(8), 500), "header"),
    "no JSON": (tensors(b'{"a": nothing}'), "JSON"),
    "deep JSON": (tensors(b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"), "JSON"),
    "overlap": (tensors({"a": about(0, 8), "b": about(4, 12)}, bytes(12)), "overlaps"),
    "the same bytes twice": (tensors({"a": about(0, 8), "b": about(0, 8)}, bytes(8)), "overlaps"),
    "a hole": (tensors({"a": about(0, 8), "b": about(12, 20)}, bytes(20)), "hole"),
    "out of range": (tensors({"a": about(0, 2**40, (2**38,))}, bytes(8)), "--max-bytes"),
    "just out of range": (tensors({"a": about(0, 16, (4,))}, bytes(8)), "the file has"),
    "bytes to spare": (tensors({"a": about(0, 8)}, bytes(100)), "the file has"),
    "backwards": (tensors({"a": about(8, 0)}, bytes(8)), "data_offsets"),
    "negative": (tensors({"a": about(-8, 0)}, bytes(8)), "data_offsets"),
    "negative shape": (tensors({"a": about(0, 8, (-2,))}, bytes(8)), "shape"),
    "a shape that overflows": (tensors({"a": about(0, 8, (2**62, 8))}, bytes(8)), "shape"),
    "endless but empty": (tensors({"a": about(0, 0, (2**40, 0))}), "empty"),
    "shape of floats": (tensors({"a": about(0, 8, (2.0,))}, bytes(8)), "shape"),
    "shape of truth": (tensors({"a": about(0, 4, (True,))}, bytes(4)), "shape"),
    "a key twice": (
        tensors(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
                b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        "twice",
    ),
    "offsets twice": (
        tensors(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],'
                b'"data_offsets":[0,8]}}', bytes(8)),
        "twice",
    ),
    "an unknown type": (tensors({"a": about(0, 2, (2,), "F8_E4M3")}, bytes(2)), "F8_E4M3"),
    "truth that is neither": (tensors({"a": about(0, 2, (2,), "BOOL")}, b"\x01\x07"), "truth"),
    "more fields": (tensors({"a": {**about(0, 8), "code": "x"}}, bytes(8)), "nothing else"),
    "a list": (tensors(b'{"a":[]}'), "dtype"),
    "metadata of numbers": (tensors({"__metadata__": {"x": 1}}), "texts"),
    "clients that do not fit": (
        tensors({"__metadata__": {"client_ids": '["x"]'}, "a": about(0, 8)}, bytes(8)),
        "first axis",
    ),
    "clients that are no list": (
        tensors({"__metadata__": {"client_ids": "[" * 10**4}, "a": about(0, 8)}, bytes(8)),
        "client_ids",
    ),
    "a name with an escape": (tensors({"\x1b[2J": about(0, 8)}, bytes(8)), "refused"),
    "no tensors": (tensors({}), "no arrays"),
}  # fmt: skip


@pytest.mark.parametrize("what", TENSORS)
def test_safetensors(what, tmp_path):
    content, mention = TENSORS[what]
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    dump(tmp_path, mention, path)


@pytest.mark.parametrize("ending", ["npz", "npy", "pt", "pth", "safetensors", "h5", "pkl", "bin"])
def test_a_pickle_under_any_ending(ending, tmp_path):
    path = tmp_path / f"x.{ending}"
    path.write_bytes(pickle.dumps(Trap(tmp_path / MARK)))
    dump(tmp_path, "pickle", path)
    # In a folder it is not passed over where its ending says that it is a client's.
    if ending != "bin":
        refused(
            tmp_path, 3, [path.name], "dump", tmp_path, "--differences", "-o", tmp_path / "r.h5"
        )
    assert not (tmp_path / MARK).exists()


def test_hdf5_names_that_are_no_text(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        handle.create_group(b"\xff\xfe")
    dump(tmp_path, "x.h5", tmp_path / "x.h5")


def test_zip_bombs(tmp_path):
    bomb = torch_zip(tmp_path / "a.pt", state(), RECORD, compression=zipfile.ZIP_DEFLATED)
    dump(tmp_path, "compressed", bomb)
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d,)}\n" % (2**33)
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
    with (
        zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w.npy", "w", force_zip64=True) as member,
    ):
        member.write(start)
        for _ in range(16):
            member.write(bytes(2**20))
    dump(tmp_path, "declares", tmp_path / "b.npz")
    # And one that says what it holds: half a gigabyte of zeros in half a megabyte.
    (tmp_path / "b.npz").unlink()
    with (
        zipfile.ZipFile(tmp_path / "c.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w.npy", "w") as member,
    ):
        member.write(npy(f"({2**27},)", b""))
        for _ in range(2**9):
            member.write(bytes(2**20))
    dump(tmp_path, "times its size", tmp_path / "c.npz")


def npy_bytes(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


NAMED = npy_bytes(np.array(["ab", "cd"]))
NPZ = {
    "no text": ({"client_ids": NAMED[:-4] + struct.pack("<I", 0x110000)}, "client_ids"),
    "texts of no length": ({"client_ids": NAMED.replace(b"<U2", b"<U0")}, "client_ids"),
    "a row too much": ({"client_ids": NAMED, "w": npy_bytes(np.ones((2, 3))) + b"x"}, "w"),
    "a shape that was made smaller": ({"w": npy_bytes(np.ones(3)).replace(b"(3,)", b"(2,)")}, "w"),
}


@pytest.mark.parametrize("what", NPZ)
def test_npz(what, tmp_path):
    members, mention = NPZ[what]
    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        for name, content in {"w": npy_bytes(np.ones((2, 3))), **members}.items():
            archive.writestr(f"{name}.npy", content)
    dump(tmp_path, mention, tmp_path / "c.npz")


def test_a_member_that_lies_before_the_archive(tmp_path):
    """The list of members says that it begins later than it does, so that offsets turn negative."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("client_ids.npy", npy("(2,)"))
    raw = bytearray((tmp_path / "x.npz").read_bytes())
    at = raw.rindex(b"PK\x05\x06") + 16
    raw[at : at + 4] = struct.pack("<I", struct.unpack_from("<I", raw, at)[0] + 1000)
    (tmp_path / "x.npz").write_bytes(raw)
    dump(tmp_path, "one directory", tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\up", "C:\\x"])
def test_a_member_that_would_lie_elsewhere_is_a_name_and_nothing_more(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        stream = io.BytesIO()
        np.save(stream, np.ones(3, np.float32))
        archive.writestr(f"{name}.npy", stream.getvalue())
    before = set(tmp_path.parent.rglob("*"))

    options = ("--differences", "--output-layer", "none")
    works("dump", tmp_path / "x.npz", *options, "-o", tmp_path / "r.h5")
    works("export", tmp_path / "r.h5", "-o", tmp_path / "out")
    wanted = {tmp_path / "r.h5", tmp_path / "out", tmp_path / "out" / "x.npz"}
    assert set(tmp_path.parent.rglob("*")) - before == wanted


def external(handle):
    handle["layers/x"] = h5py.ExternalLink("other.h5", "/secret")


def soft(handle):
    handle["layers/x"] = h5py.SoftLink("/layers/dense")


def cycle(handle):
    handle["layers/dense/loop"] = handle["layers"]


def twice(handle):
    handle["layers/again"] = handle["layers/dense"]


def virtual(handle):
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "secret", (2,))
    handle.create_virtual_dataset("layers/x", layout)


def outside(handle):
    handle.create_dataset("layers/x", (2,), "f4", external=[("other.bin", 0, h5py.h5f.UNLIMITED)])


def lzf(handle):
    handle.create_dataset("layers/x", (8,), "f4", compression="lzf")


def petabytes(handle):
    handle.create_dataset("layers/x", (2**50,), "f4", chunks=(1024,))


def bomb(handle):
    handle.create_dataset("layers/x", (2**31,), "f4", chunks=(2**22,), compression="gzip")


def huge_chunk(handle):
    handle.create_dataset("layers/x", (2**30,), "f4", chunks=(2**28,), compression="gzip")


def packed(handle, filters, stored, length=1024, chunk=1024):
    """A data set of one chunk of these filters, with these bytes in its place."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((chunk,))
    for each in filters:
        getattr(plist, f"set_{each}")(*([6] if each == "deflate" else []))
    space = h5py.h5s.create_simple((length,), (h5py.h5s.UNLIMITED,))
    made = h5py.h5d.create(handle["layers"].id, b"x", h5py.h5t.IEEE_F32LE, space, plist)
    made.write_direct_chunk((0,), stored)
    return made


def inflates(handle):
    """64 KiB that HDF5 would make 64 MiB of for a chunk of 4 KiB."""
    packed(handle, ["deflate"], zlib.compress(bytes(2**26), 9))


def packed_twice(handle):
    """300 bytes that HDF5 would make 64 MiB of."""
    packed(handle, ["deflate", "deflate"], zlib.compress(zlib.compress(bytes(2**26), 9), 9))


def gzip_and_then_others(handle):
    packed(handle, ["deflate", "shuffle"], zlib.compress(bytes(4096)))


def deep(handle):
    handle["layers/" + "/".join(["a"] * 60)] = np.ones(2)


def named_type(handle):
    handle["layers/x"] = np.dtype("f4")


def strings(handle):
    handle["layers/x"] = np.array(["a", "b"], dtype=h5py.string_dtype())


def compound(handle):
    handle["layers/x"] = np.zeros(3, dtype=[("a", "f4"), ("b", "i4")])


def references(handle):
    handle["layers/x"] = np.array([handle.ref], dtype=h5py.ref_dtype)


HDF5 = [
    external, soft, cycle, twice, virtual, outside, lzf, petabytes, bomb, huge_chunk, deep,
    named_type, strings, compound, references, packed_twice, gzip_and_then_others,
]  # fmt: skip


@pytest.mark.parametrize("attack", HDF5, ids=lambda attack: attack.__name__)
def test_hdf5_like_keras(attack, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.ones(2, "f4")
    (tmp_path / "other.bin").write_bytes(bytes(100))
    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as handle:
        handle["layers/dense/vars/0"] = np.ones((4, 3), "f4")
        attack(handle)
    dump(tmp_path, "layers" if attack is not cycle else "", path)


def test_what_hdf5_would_inflate_without_end(tmp_path):
    for name, content in (("x.h5", inflates), ("y.h5", honest)):
        with h5py.File(tmp_path / name, "w") as handle:
            handle["layers/dense/vars/0"] = np.ones((4, 3), "f4")
            content(handle)
    dump(tmp_path, "layers/x: has a chunk that unpacks to more", tmp_path / "x.h5")
    found = next(iter(hdf5.read(tmp_path / "y.h5", 2**30))).arrays["layers/x"]
    np.testing.assert_array_equal(found, np.arange(2**21, dtype=np.float32))


def honest(handle):
    """Chunks so large that they are unpacked to see, of every filter that is read."""
    values = np.arange(2**21, dtype=np.float32)
    options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
    handle.create_dataset("layers/x", data=values, chunks=(2**20 + 7,), **options)


def protobuf(*fields):
    out = b""
    for number, content in fields:
        size, length = b"", len(content)
        while length > 127:
            size += bytes([length & 127 | 128])
            length >>= 7
        out += bytes([number << 3 | 2]) + size + bytes([length]) + content
    return out


def record(raw, kind=b"numpy.ndarray"):
    return protobuf((1, protobuf((1, b"w"), (2, protobuf((1, b"float32"), (3, kind), (4, raw))))))


def npy(shape, body=bytes(8)):
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


FLOWER = {
    "endless": record(npy(f"({2**40},)")),
    "twice": record(npy("(2,)")) * 2,
    "cut": record(npy("(2,)"))[:-3],
    "a pickle inside": record(npy("(2,)")) + record(pickle.dumps(1)),
    "another kind": record(npy("(2,)")) + record(npy("(2,)"), b"torch"),
    "an endless number": record(npy("(2,)")) + b"\x0a" + b"\xff" * 20,
}


@pytest.mark.parametrize("what", FLOWER)
def test_flower(what, tmp_path):
    (tmp_path / "x.bin").write_bytes(FLOWER[what])
    dump(tmp_path, "", tmp_path / "x.bin")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are Linux's")
@pytest.mark.parametrize("what", ["safetensors", "torch", "npz", "deflated", "hdf5"])
def test_little_memory_is_enough_to_refuse(what, tmp_path):
    """In a process that may not hold more than 200 MB of data; torch is not even imported."""
    path = tmp_path / "x"
    if what == "safetensors":
        path.write_bytes(TENSORS["a header of 2^60 bytes"][0])
    elif what == "torch":
        torch_zip(path, TORCH["a length that lies"][0], RECORD)
    elif what == "npz":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w.npy", npy(f"({2**40},)"))
    elif what == "deflated":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("w.npy", npy(f"({2**31},)", bytes(2**26)))
    else:
        with h5py.File(path, "w") as handle:
            handle["layers/dense/vars/0"] = np.ones((4, 3), "f4")
            bomb(handle)
    script = tmp_path / "limited.py"
    script.write_text(
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_DATA, (200 * 2**20,) * 2)\n"
        "sys.argv[0] = 'lomar'\n"
        "runpy.run_module('lomar_cli', run_name='__main__')\n"
    )

    done = subprocess.run(
        [sys.executable, script, "dump", path, "--differences", "-o", tmp_path / "r.h5"],
        capture_output=True, text=True, timeout=60, check=False,
        env=environment(OPENBLAS_NUM_THREADS="1"),
    )  # fmt: skip
    check_refused(Ran(done.returncode, done.stdout, done.stderr), 3, "x")
    assert not (tmp_path / "r.h5").exists()
