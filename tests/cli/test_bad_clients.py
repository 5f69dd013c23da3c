"""``dump`` and files from strangers: refused in one line, never unpickled, nothing written."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from tests.commands import lomar, refused
from tests.making import write_client

GOOD = {"fc.weight": np.ones((3, 4), np.float32), "fc.bias": np.ones(3, np.float32)}


class Trap:
    """Unpickling it would be seen."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def npy(header, body=bytes(64), version=1):
    """An npy file with any header."""
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header.encode("latin1") + body


def described(shape="(4,)", descr="'<f4'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n"


def npz(name, content, **how):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **how) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def objects():
    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    return stream.getvalue()


def damaged(content, *places):
    changed = bytearray(content)
    for place in places:
        changed[place] ^= 0xFF
    return bytes(changed)


def dump(folder, code, mentions, *files, options=("--differences",)):
    return refused(folder, code, mentions, "dump", *files, *options, "-o", folder / "r.h5")


LIES = {
    "npy, pickle": ("a.npy", objects()),
    "npz, pickle": ("a.npz", npz("w.npy", objects())),
    "npy, a pickle by itself": ("a.npy", b"\x80\x04K\x01."),
    "npy, endless shape": ("a.npy", npy(described(f"({2**40},)"))),
    "npz, endless shape": ("a.npz", npz("w.npy", npy(described(f"({2**40}, {2**40})")))),
    "npz, endless but empty": ("a.npz", npz("w.npy", npy(described(f"({2**40}, 0)")))),
    "npy, negative shape": ("a.npy", npy(described("(-2, -2)"))),
    "npy, shape of a float": ("a.npy", npy(described("(4.0,)"))),
    "npy, 70 dimensions": ("a.npy", npy(described(str((1,) * 70)))),
    "npy, no size": ("a.npy", npy(described(descr="'|V0'"))),
    "npy, nested type": ("a.npy", npy(described(descr="('<f4', (2,))"))),
    "npy, half a type": ("a.npy", npy(described(descr="('<f4',)"))),
    "npy, fields": ("a.npy", npy(described(descr="[('a', '<f4')]"))),
    "npy, unknown type": ("a.npy", npy(described(descr="'<q9'"))),
    "npy, open brackets": ("a.npy", npy("{'descr': (((((\n")),
    "npy, keys of two kinds": ("a.npy", npy("{'descr': '<f4', 1: 2, 'shape': (1,)}\n")),
    "npy, deep expression": ("a.npy", npy("-" * 5000 + "1\n")),
    "npy, deep brackets": ("a.npy", npy("(" * 900 + ")" * 900)),
    "npy, code": ("a.npy", npy("__import__('os').getcwd()\n")),
    "npy, version 9": ("a.npy", npy(described(), version=9)),
    "npy, cut in the header": ("a.npy", npy(described())[:30]),
    "npy, cut in the numbers": ("a.npy", npy(described(), b"")),
    "npz, cut short": ("a.npz", npz("w.npy", npy(described()))[:-30]),
    "npz, empty": ("a.npz", b"PK\x05\x06" + bytes(18)),
    "npz, no arrays in it": ("a.npz", npz("readme.txt", b"hello")),
    "npz, name that is no UTF-8": ("a.npz", npz("é.npy", b"x").replace("é".encode(), b"\xff\xff")),
    "npz, damaged lzma": (
        "a.npz",
        damaged(npz("w.npy", npy(described()), compression=zipfile.ZIP_LZMA), 50, 60, 70),
    ),
    "npz, damaged bzip2": (
        "a.npz",
        damaged(npz("w.npy", npy(described()), compression=zipfile.ZIP_BZIP2), 50, 60),
    ),
    "npz, damaged deflate": (
        "a.npz",
        damaged(npz("w.npy", npy(described()), compression=zipfile.ZIP_DEFLATED), 40, 50),
    ),
    "npz, name with an escape": ("a.npz", npz("\x1b[31mw.npy", npy(described()))),
    "npz, no name": ("a.npz", npz(".npy", npy(described()))),
    "text": ("a.npz", b"hello\n"),
    "nothing": ("a.npz", b""),
}


@pytest.mark.parametrize("what", LIES)
def test_a_file_that_lies(what, tmp_path):
    name, content = LIES[what]
    (tmp_path / name).write_bytes(content)
    options = ("--differences", "--output-layer", "none")
    dump(tmp_path, 3, [name], tmp_path / name, options=options)


def test_a_header_of_python_2_brings_no_stray_warning(tmp_path, recwarn):
    (tmp_path / "old.npy").write_bytes(npy(described("(4L,)")))
    options = ("--differences", "--output-layer", "none", "-o", tmp_path / "r.h5")
    assert lomar("dump", tmp_path / "old.npy", *options).exit_code in (0, 3)
    assert [str(warning.message) for warning in recwarn] == []


DIFFERENT = {
    "another name": ({"fc.weight": GOOD["fc.weight"], "bias": GOOD["fc.bias"]}, "fc.bias"),
    "one more": ({**GOOD, "more": GOOD["fc.bias"]}, "more"),
    "another shape": ({**GOOD, "fc.bias": np.ones((3, 1), np.float32)}, "fc.bias"),
    "another type": ({**GOOD, "fc.bias": np.ones(3)}, "fc.bias"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_clients_that_differ(what, tmp_path):
    arrays, mention = DIFFERENT[what]
    first = write_client(tmp_path / "first.npz", GOOD)
    second = write_client(tmp_path / "second.npz", arrays)
    dump(tmp_path, 3, ["second.npz", mention, "first.npz"], first, second)


@pytest.mark.parametrize("dtype", ["c8", "U3", "M8[s]", "V4"])
def test_arrays_that_hold_no_numbers(dtype, tmp_path):
    path = write_client(tmp_path / "ints.npz", {**GOOD, "fc.bias": np.ones(3, "i8").astype(dtype)})
    dump(tmp_path, 3, ["ints.npz", "fc.bias"], path)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize <= 8, reason="no wider floats here")
def test_floats_wider_than_the_format_has(tmp_path):
    path = write_client(tmp_path / "wide.npz", {**GOOD, "fc.bias": np.ones(3, np.longdouble)})
    dump(tmp_path, 3, ["wide.npz", "fc.bias"], path)


def test_two_arrays_of_one_name(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("w.npy", npy(described()))
        archive.writestr("w.npy", npy(described()))
    (tmp_path / "twice.npz").write_bytes(stream.getvalue())
    dump(tmp_path, 3, ["twice.npz", "'w'"], tmp_path / "twice.npz")


def test_an_empty_array(tmp_path):
    path = write_client(tmp_path / "c.npz", {"fc.weight": np.ones((0, 4), "f4")})
    dump(tmp_path, 3, ["c.npz", "fc.weight"], path)


@pytest.mark.parametrize("inside", [[], ["README.md"], [".hidden.npz"]])
def test_a_folder_without_clients(inside, tmp_path):
    (tmp_path / "clients").mkdir()
    for name in inside:
        (tmp_path / "clients" / name).write_text("x")
    dump(tmp_path, 3, ["clients", ".npz"], tmp_path / "clients")


def test_two_clients_of_one_name(tmp_path):
    write_client(tmp_path / "a.npz", GOOD)
    np.save(tmp_path / "a.npy", np.ones(3, np.float32))
    dump(tmp_path, 3, ["'a'", "twice"], tmp_path / "a.npz", tmp_path / "a.npy")
    dump(tmp_path, 3, ["'a'", "twice"], tmp_path / "a.npz", tmp_path / "a.npz")


@pytest.mark.parametrize("name", ["a\x1b[31m.npz", "a\nb.npz", "a\u202eb.npz"])
def test_a_file_name_that_may_not_be_shown(name, tmp_path):
    path = write_client(tmp_path / name, GOOD)
    dump(tmp_path, 3, ["client id"], path)


def test_what_the_files_hold_must_be_said(tmp_path):
    path = write_client(tmp_path / "c.npz", GOOD)
    dump(tmp_path, 2, ["--base-model", "--differences"], path, options=())
    both = ("--differences", "--base-model", path)
    dump(tmp_path, 2, ["--base-model", "--differences"], path, options=both)


def test_a_base_model_of_other_parameters(tmp_path):
    path = write_client(tmp_path / "c.npz", GOOD)
    for what, (arrays, mention) in DIFFERENT.items():
        base = write_client(tmp_path / f"{what}.npz", arrays)
        dump(tmp_path, 3, [base.name, mention], path, options=("--base-model", base))
    nan = write_client(tmp_path / "nan.npz", {**GOOD, "fc.bias": np.float32([1, np.nan, 1])})
    dump(tmp_path, 3, ["nan.npz", "fc.bias"], path, options=("--base-model", nan))


@pytest.mark.parametrize(
    ("options", "code", "mentions"),
    [
        (["--layers", "conv*"], 3, ["--layers", "conv*", "fc.weight"]),
        (["--layers", ","], 2, ["--layers"]),
        (["--output-layer", "fc.wieght"], 2, ["--output-layer", "'fc.weight'?"]),
        (["--output-layer", "fc.weight", "--label-axis", "2"], 2, ["--label-axis"]),
        (["--output-layer", "fc.weight", "--label-axis", "-1"], 2, ["--label-axis"]),
        (["--output-layer", "none", "--layers", ","], 2, ["--layers"]),
        (["--max-bytes", "10"], 3, ["c.npz", "--max-bytes"]),
        (["--max-bytes", "much"], 2, ["--max-bytes", "much"]),
        (["--round", "-1"], 2, ["--round"]),
    ],
)
def test_options_that_do_not_fit_the_files(options, code, mentions, tmp_path):
    path = write_client(tmp_path / "c.npz", GOOD)
    dump(tmp_path, code, mentions, path, options=("--differences", *options))


def test_a_kernel_that_lies_the_other_way_names_its_axis(tmp_path):
    path = write_client(tmp_path / "c.npz", {"fc.weight": np.ones((4, 3)), "fc.bias": np.ones(3)})
    options = ("--differences", "--output-layer", "fc.weight")
    dump(tmp_path, 2, ["--label-axis 1"], path, options=options)


WEIGHTS = {
    "no column": ("client,count\nc,1\n", "num_examples"),
    "no line for a client": ("client,num_examples\nother,1\n", "'c'"),
    "twice": ("client,num_examples\nc,1\nc,2\n", "line 3"),
    "negative": ("client,num_examples\nc,-1\n", "num_examples"),
    "a fraction": ("client,num_examples\nc,1.5\n", "num_examples"),
    "text": ("client,num_examples\nc,many\n", "line 2"),
    "endless": ("client,num_examples\nc," + "9" * 5000 + "\n", "num_examples"),
    "empty": ("", "w.csv"),
    "no clients": ("client,num_examples\n", "w.csv"),
    "short line": ("client,num_examples\nc\n", "w.csv"),
    "an open quote": ('client,num_examples\n"c,1\n', "w.csv"),
    "a zero byte": ("client,num_examples\nc\0,1\n", "w.csv"),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_weights_that_do_not_fit(what, tmp_path):
    text, mention = WEIGHTS[what]
    path = write_client(tmp_path / "c.npz", GOOD)
    (tmp_path / "w.csv").write_text(text)
    options = ("--differences", "--weights", tmp_path / "w.csv")
    dump(tmp_path, 3, ["w.csv", mention], path, options=options)
