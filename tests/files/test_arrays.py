"""Client files under random damage: read as they are or refused, and nothing else can happen."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from lomar_cli.errors import InputError
from lomar_cli.files.arrays import read_arrays, write_npz
from lomar_cli.files.sidecar import read_sidecar
from tests.files.names import names

ARRAYS = {"fc.weight": np.ones((3, 4), np.float32), "fc.bias": np.zeros(3)}


def saved(kind):
    stream = io.BytesIO()
    if kind == "npy":
        np.save(stream, ARRAYS["fc.weight"])
    elif kind == "npz":
        np.savez(stream, **ARRAYS)
    else:
        np.savez_compressed(stream, **ARRAYS)
    return stream.getvalue()


WHOLE = {kind: saved(kind) for kind in ("npy", "npz", "compressed npz")}


def read(content, folder):
    path = folder / "client.npz"
    path.write_bytes(content)
    try:
        return read_arrays(path)
    except InputError as error:
        assert "client.npz" in str(error)
        assert len(str(error).splitlines()) == 1
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays")


@pytest.mark.parametrize("kind", WHOLE)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_flipped_bytes(kind, data, folder):
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    found = read(bytes(content), folder)
    if found is not None:
        assert sum(array.nbytes for array in found.values()) <= len(content) * 10


@pytest.mark.parametrize("kind", WHOLE)
def test_cut_anywhere(kind, folder):
    for length in range(0, len(WHOLE[kind]), 3):
        assert read(WHOLE[kind][:length], folder) is None


LITERALS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 2**70), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
    ),
    max_leaves=6,
)
DESCRS = st.one_of(st.sampled_from(["<f4", ">f8", "|O", "|V0", "<U0", "<f16", "<M8[s]"]), LITERALS)
SHAPES = st.one_of(st.lists(st.integers(0, 4), max_size=3).map(tuple), LITERALS)


@pytest.mark.parametrize("shape", ["(True,)", "(True, 4)", "(2, False)"])
def test_truth_values_are_no_extents(shape, folder):
    """NumPy's own check lets them pass, as they are integers to Python."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    assert read(content, folder) is None


@settings(max_examples=150, deadline=None)
@given(descr=DESCRS, shape=SHAPES, fortran=st.one_of(st.booleans(), LITERALS))
def test_any_header(descr, shape, fortran, folder):
    header = repr({"descr": descr, "fortran_order": fortran, "shape": shape}).encode(
        "latin1", "replace"
    )
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    found = read(content, folder)
    if found is not None:
        assert found["update"].dtype.kind == "f"
        assert found["update"].nbytes <= 64


@settings(max_examples=40, deadline=None)
@given(
    made=st.dictionaries(names, st.sampled_from(["f2", "f4", "f8"]), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_what_is_written_is_read_here_and_by_numpy(made, seed, folder):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=(2, 3)).astype(dtype) for name, dtype in made.items()}
    stream = io.BytesIO()
    write_npz(stream, arrays)
    found = read(stream.getvalue(), folder)
    assert list(found) == list(arrays)
    with zipfile.ZipFile(stream) as archive:
        for name, array in arrays.items():
            assert found[name].tobytes() == array.tobytes()
            with archive.open(f"{name}.npy") as inner:
                np.testing.assert_array_equal(npy.read_array(inner), array)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=100))
def test_any_text_as_weights(text, folder):
    path = folder / "weights.csv"
    path.write_text(f"client,num_examples\n{text}", "utf-8", newline="")
    try:
        found = read_sidecar(path).num_examples
    except InputError as error:
        assert "weights.csv" in str(error)
    else:
        assert all(count >= 0 for count in found.values())
