"""Round files: what goes in comes out, piece by piece or whole, and damage is always seen."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lomar_cli.files.round import (
    RoundHead,
    chunk_shape,
    client_digest,
    create_round,
    decode_name,
    encode_name,
    open_round,
)
from lomar_cli.files.updates import OutputLayer
from lomar_cli.stages.score import score
from tests.files.names import names
from tests.making import read_updates, tensors, write_round

DTYPES = ["f2", "f4", "f8"]
SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple)


@settings(max_examples=30, deadline=None)
@given(
    clients=st.lists(names, min_size=1, max_size=6, unique=True),
    parameters=st.dictionaries(
        names, st.tuples(SHAPES, st.sampled_from(DTYPES)), min_size=1, max_size=4
    ),
    number=st.integers(0, 2**31),
    seed=st.integers(0, 2**32),
)
def test_whatever_is_written_is_read(clients, parameters, number, seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("round") / "r.h5"
    made = {
        name: rng.normal(size=(len(clients), *shape)).astype(dtype)
        for name, (shape, dtype) in parameters.items()
    }
    for array in made.values():
        array.flat[0] = rng.choice([np.nan, np.inf, -0.0, 0.5])
    head = RoundHead(
        clients=clients,
        num_examples=rng.integers(0, 2**40, len(clients)),
        shapes={name: shape for name, (shape, _) in parameters.items()},
        dtypes={name: np.dtype(dtype) for name, (_, dtype) in parameters.items()},
        output=None,
        labels=[],
        round_number=number,
        base_sha256="ab" * 32,
        architecture="logistic",
    )
    with create_round(path, head, [{"stage": "test"}]) as writer:
        for row in range(len(clients)):
            writer.write(row, {name: array[row : row + 1] for name, array in made.items()})
    for memory in (1, 2**30):
        with open_round(path, memory) as found:
            assert list(found.head.clients) == clients
            assert found.head.num_examples.tolist() == head.num_examples.tolist()
            assert dict(found.head.shapes) == dict(head.shapes)
            assert list(found.head.shapes) == list(head.shapes)
            assert dict(found.head.dtypes) == dict(head.dtypes)
            assert found.head.round_number == number
            assert found.head.base_sha256 == head.base_sha256
            assert found.head.architecture == "logistic"
            assert found.provenance == [{"stage": "test"}]
            for name, array in made.items():
                assert found.updates.tensors[name][:].tobytes() == array.tobytes()


@given(name=st.text())
def test_link_names_come_back_and_hold_no_slash(name):
    assert decode_name(encode_name(name)) == name
    assert "/" not in encode_name(name)
    assert encode_name(name) not in (".", "..")


@pytest.mark.parametrize("name", ["a/b", "100%", "%2F", "a%2Fb", ".", "..", "...", "a b", "é/ü"])
def test_awkward_parameter_names(name, tmp_path):
    made = {name: np.ones((2, 3), "f4"), "other": np.zeros((2, 1), "f4")}
    path = write_round(tmp_path / "r.h5", made, output=None)
    assert list(read_updates(path)) == [name, "other"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_scalar_parameters(dtype, tmp_path):
    made = {"scale": np.arange(5).astype(dtype), "w": np.ones((5, 2, 2), dtype)}
    path = write_round(tmp_path / "r.h5", made, output=OutputLayer("w"))
    found = read_updates(path)
    np.testing.assert_array_equal(found["scale"], made["scale"])
    assert found["scale"].dtype == np.dtype(dtype)


def test_the_order_of_parameters_is_kept(tmp_path):
    made = {name: np.ones((2, 2), "f4") for name in ("z", "a", "m10", "m9")}
    assert list(read_updates(write_round(tmp_path / "r.h5", made, output=None))) == list(made)


def same(values, others, name):
    """The same but for rounding: blocks of parameters are cut in another way."""
    if isinstance(values[0], float):
        np.testing.assert_allclose(values, others, rtol=1e-5, atol=1e-5, err_msg=name)
    else:
        assert values == others, name


@pytest.mark.parametrize(
    ("method", "options"),
    [("lomar-auto", {}), ("lomar", {"kernel": "laplace"}), ("lomar", {"kernel": "gaussian"})],
)
def test_streaming_scores_as_loading_does(method, options, tmp_path):
    made = {**tensors(30, labels=4), "hidden": tensors(30, 8, 16, seed=1)["fc.weight"]}
    made["fc.weight"][3] = np.nan
    path = write_round(tmp_path / "r.h5", made)
    loaded = score(path, name=method, options=options, memory=2**30)
    streamed = score(path, name=method, options=options, memory=1)
    assert loaded.columns.keys() == streamed.columns.keys()
    for name, values in loaded.columns.items():
        same(values, streamed.columns[name], name)


def test_streaming_does_not_load(tmp_path):
    path = write_round(tmp_path / "r.h5")
    with open_round(path, memory=1) as found:
        assert all(isinstance(t, h5py.Dataset) for t in found.updates.tensors.values())
    with open_round(path) as found:
        assert all(isinstance(t, np.ndarray) for t in found.updates.tensors.values())


def test_rounds_can_be_extended(tmp_path):
    with h5py.File(write_round(tmp_path / "r.h5")) as handle:
        for group in ("clients", "updates"):
            for name, data in handle[group].items():
                assert data.maxshape[0] is None, name


@pytest.mark.parametrize(
    ("clients", "shape"), [(60, (10, 784)), (60, (6_000_000,)), (3, ()), (100_000, (2,))]
)
def test_chunks_are_of_about_a_mebibyte(clients, shape):
    chunk = chunk_shape(clients, shape, 4)
    assert len(chunk) == 1 + len(shape)
    assert 4 * np.prod(chunk) <= 2**20
    assert all(1 <= c <= extent for c, extent in zip(chunk[1:], shape, strict=True))


def test_a_clients_digest_is_of_its_numbers_alone():
    made = tensors(3)
    moved = {name: np.concatenate([array[1:], array[:1]]) for name, array in made.items()}
    big = {name: array.astype(">f4") for name, array in made.items()}
    assert client_digest(made, 0) == client_digest(moved, 2) == client_digest(big, 0)
    made["fc.bias"][0, 0] = np.nextafter(made["fc.bias"][0, 0], np.float32(9))
    assert client_digest(made, 0) != client_digest(moved, 2)
