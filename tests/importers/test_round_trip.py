"""Out and in again: exact to the bit, in every format and type."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lomar_cli.files.importers.base import from_bfloat16, to_bfloat16
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.round import open_round
from lomar_cli.stages.dump import Selection, dump
from lomar_cli.stages.export import export
from tests.files.names import names
from tests.making import write_base, write_round

FORMATS = ("npz", "safetensors", "pt")
BITS = {"f2": np.uint16, "f4": np.uint32, "f8": np.uint64}


def needs(kind):
    if kind == "pt":
        pytest.importorskip("torch", reason="torch files need the extra 'train'")


@st.composite
def rounds(draw):
    """Updates of any bits at all: NaN with any payload, infinities, denormals, minus zero."""
    clients = draw(st.integers(1, 4))
    made = {}
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        kind = draw(st.sampled_from(sorted(BITS)))
        shape = (clients, *draw(st.lists(st.integers(1, 3), max_size=3)))
        count = int(np.prod(shape))
        top = 2 ** (8 * np.dtype(kind).itemsize) - 1
        bits = draw(st.lists(st.integers(0, top), min_size=count, max_size=count))
        made[name] = np.array(bits, BITS[kind]).view(kind).reshape(shape)
    counts = draw(st.lists(st.integers(0, 2**50), min_size=clients, max_size=clients))
    return made, counts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("round-trip")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("many", [True, False], ids=["one file", "a file a client"])
@settings(max_examples=12, deadline=None)
@given(made=rounds())
def test_a_round(kind, many, made, folder):
    needs(kind)
    tensors, counts = made
    if {"client_ids", "num_examples"} & set(tensors):
        return
    path = write_round(folder / "r.h5", tensors, num_examples=counts, output=None)
    out = folder / (f"r.{kind}" if many else f"clients-{kind}")
    export(path, out, kind, force=True, folder=not many)
    again = folder / "again.h5"
    # Whatever their names, all of them are scored: a round has to have something to score.
    scored = Selection(include=["*"])
    dump([out], again, differences=True, selection=scored, output_layer="none", force=True)
    with open_round(path) as one, open_round(again) as two:
        assert list(two.head.clients) == list(one.head.clients)
        assert two.head.num_examples.tolist() == counts
        assert list(two.head.shapes) == list(tensors)
        for name, tensor in tensors.items():
            back = np.asarray(two.updates.tensors[name][...])
            assert back.dtype == tensor.dtype
            assert back.tobytes() == tensor.tobytes()


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=12, deadline=None)
@given(made=st.dictionaries(names, st.sampled_from(sorted(BITS)), min_size=1, max_size=4))
def test_a_model(kind, made, folder):
    needs(kind)
    if "num_examples" in made or "client_ids" in made:
        return
    rng = np.random.default_rng(len(made))
    parameters = {name: rng.normal(size=(2, 3)).astype(d) for name, d in made.items()}
    write_base(folder / "m.h5", parameters)
    export(folder / "m.h5", folder / f"m.{kind}", force=True)
    found = read_parameters(folder / f"m.{kind}")
    assert list(found.arrays) == list(parameters)
    for name, values in parameters.items():
        assert found.arrays[name].dtype == values.dtype
        assert found.arrays[name].tobytes() == values.tobytes()


@settings(max_examples=300, deadline=None)
@given(bits=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20))
def test_every_bfloat16_survives(bits):
    found = from_bfloat16(np.array(bits, np.uint16))
    back = to_bfloat16(found)
    nan = np.isnan(found)
    assert (back[~nan] == np.array(bits, np.uint16)[~nan]).all()
    assert np.isnan(from_bfloat16(back))[nan].all()


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_bfloat16_is_rounded_as_torch_does(values):
    torch = pytest.importorskip("torch", reason="torch is the witness")
    made = np.array(values, np.float32)
    wanted = torch.from_numpy(made).to(torch.bfloat16).to(torch.float32).numpy()
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(made)), wanted)
