"""Every attribute and every data set of our formats, with every wrong type: refused, one line.

Generated from the archived files of each kind, so that a new field is tried as it comes.
"""

from __future__ import annotations

import contextlib
import shutil

import h5py
import numpy as np
import pytest

from tests.commands import check_refused, lomar, refused
from tests.files.test_archived import ARCHIVE
from tests.making import change, put, replace, texts

KINDS = ("poisoned", "backdoor", "model", "round", "scores")
# What is checked for nothing but its type, or left out of the digest.
FREE = ("generator",)
COMPOUND = np.zeros((), [("a", "i4"), ("b", "f4")])


def attribute_values(value):
    """Values that are wrong for an attribute, whatever it says."""
    wrong = {
        "an array": np.ones(3),
        "an array of one": np.array([value]) if not isinstance(value, bytes) else texts([value]),
        "nothing": h5py.Empty("f4"),
        "a compound": COMPOUND,
        "an opaque": np.void(b"1234"),
        "a reference": "reference",
        "truth": np.bool_(True),
        "a complex number": np.complex64(1),
        "no UTF-8": np.bytes_(b"\xff\xfe"),
    }
    if isinstance(value, bytes):
        wrong |= {"a number": np.int64(1), "a float": np.float64(1.5)}
    else:
        wrong |= {"text": "1", "no text": ""}
    if isinstance(value, np.integer):
        wrong |= {"a float": np.float64(value), "a huge number": np.uint64(2**64 - 1)}
        wrong |= {"far below": np.int64(-(2**63))}
    return wrong


def data_values(data):
    """Data sets that are wrong in the place of one of ours."""
    text = h5py.check_string_dtype(data.dtype) is not None
    values = data[()]
    wrong = {
        "a scalar": np.float32(1) if not text else texts(["x"])[0],
        "one more axis": np.asarray(values)[None],
        "truth": np.ones(data.shape, bool),
        "compounds": np.zeros(data.shape, COMPOUND.dtype),
        "complex numbers": np.ones(data.shape, "c8"),
        "nothing": h5py.Empty("f4"),
    }
    if text:
        wrong |= {"numbers": np.ones(data.shape), "no UTF-8": np.full(data.shape, b"\xff\xfe")}
    elif data.dtype.kind in "iu":
        wrong |= {"floats": np.asarray(values, "f8"), "text": np.full(data.shape, b"1")}
        wrong |= {"huge numbers": np.full(data.shape, 2**64 - 1, "u8")}
    else:
        wrong |= {"integers": np.ones(data.shape, "i4"), "text": np.full(data.shape, b"1")}
        wrong |= {"floats of 16 bytes": np.asarray(values, np.longdouble)}
    if data.ndim and len(data):
        wrong["one row less"] = values[:-1]
        wrong["one row more"] = np.concatenate([values, values[-1:]])
    return wrong


def fields(path):
    """Every attribute (where, name) and every data set (path) of a file."""
    attributes, data = [], []
    with h5py.File(path) as handle:
        attributes += [("/", name) for name in handle.attrs]

        def visit(where, item):
            attributes.extend((where, name) for name in item.attrs)
            if isinstance(item, h5py.Dataset):
                data.append(where)

        handle.visititems(visit)
    return attributes, data


@pytest.fixture(params=KINDS)
def original(request):
    return ARCHIVE / f"{request.param}.h5"


def tried(original, tmp_path, what, edit, seal):
    """None if the changed file is refused as promised, else what happened."""
    path = tmp_path / "odd.h5"
    shutil.copy(original, path)
    change(path, edit, seal=False)
    if seal:
        # The digest of some of these is not defined.
        with contextlib.suppress(TypeError, ValueError):
            change(path, lambda handle: None)
    ran = lomar("info", path)
    if ran.exit_code == 3:
        check_refused(ran, 3, "odd.h5")
        return None
    return f"{what}: exit {ran.exit_code} {ran.stderr[-200:]}"


def test_every_attribute_of_every_wrong_type(original, tmp_path):
    attributes, _ = fields(original)
    passed = []
    for where, name in attributes:
        with h5py.File(original) as handle:
            wrong = attribute_values(handle[where].attrs[name])
        for what, value in wrong.items():
            if name in FREE and what in ("text", "no text"):
                continue

            def edit(handle, where=where, name=name, value=value):
                if isinstance(value, str) and value == "reference":
                    handle[where].attrs[name] = handle.ref
                else:
                    put(handle[where], name, value)

            passed.append(
                tried(original, tmp_path, f"{where} {name}: {what}", edit, name != "content_sha256")
            )
    assert len(passed) > 50
    assert [what for what in passed if what] == []


def test_every_data_set_of_every_wrong_type(original, tmp_path):
    _, data = fields(original)
    passed = []
    for where in data:
        with h5py.File(original) as handle:
            wrong = data_values(handle[where])
        for what, values in wrong.items():
            if where == "notes" and what.startswith("one row"):
                continue  # There may be any number of notes.
            if (where, what) == ("labels", "one row less") and original.stem == "poisoned":
                continue  # How many labels there are is known to the data set.

            def edit(handle, where=where, values=values):
                replace(handle, where, values)

            passed.append(tried(original, tmp_path, f"{where}: {what}", edit, True))
    assert len(passed) > 20
    assert [what for what in passed if what] == []


@pytest.mark.parametrize("kind", ["float99", "object", "", 3], ids=str)
def test_a_type_that_clients_cannot_have_sent(kind, round_file, tmp_path):
    change(round_file, lambda handle: put(handle["updates/fc.weight"], "stored_type", kind))
    refused(tmp_path, 3, ["stored_type"], "export", round_file, "-o", tmp_path / "r.npz")
    ran = lomar("validate", round_file)
    assert (ran.exit_code, "stored_type" in ran.stdout + ran.stderr) == (3, True)
