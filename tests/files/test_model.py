"""Model files: parameters come back bit by bit; their digest is the same in every format."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lomar_cli.errors import InputError
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.model import Model, parameters_sha256, read_model, write_model
from lomar_cli.files.updates import OutputLayer
from tests.files.names import names
from tests.making import write_base

parameters = st.dictionaries(
    names,
    st.sampled_from(["f2", "f4", "f8"]).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=0, max_dims=3, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False},
        )
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=30, deadline=None)
@given(made=parameters, number=st.integers(0, 2**40))
def test_what_is_written_is_read(made, number, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.h5"
    write_model(path, Model(made, None, (), "logistic", number, [{"stage": "x"}]))
    found = read_model(path)
    assert list(found.parameters) == list(made)
    for name, array in made.items():
        assert found.parameters[name].tobytes() == array.tobytes()
        assert found.parameters[name].dtype == array.dtype
        assert found.parameters[name].shape == array.shape
    assert (found.architecture, found.round_number) == ("logistic", number)
    assert found.provenance == [{"stage": "x"}]
    assert found.sha256 == parameters_sha256(made)


def test_the_output_layer_and_the_labels_are_kept(tmp_path):
    made = {"head.kernel": np.ones((4, 3)), "head.bias": np.ones(3)}
    layer = OutputLayer("head.kernel", "head.bias", 1)
    write_model(tmp_path / "m.h5", Model(made, layer, ["a", "b c", "é"]))
    found = read_model(tmp_path / "m.h5")
    assert found.output == layer
    assert list(found.labels) == ["a", "b c", "é"]


def test_npz_and_h5_hold_the_same_parameters(tmp_path):
    made = {"w": np.float32([[1, 2]]), "b": np.float64([3])}
    np.savez(tmp_path / "m.npz", **made)
    write_base(tmp_path / "m.h5", made)
    digests = {
        parameters_sha256(read_parameters(tmp_path / name).arrays) for name in ("m.npz", "m.h5")
    }
    assert digests == {parameters_sha256(made)}


def test_the_digest_by_hand():
    made = {"w": np.float32([1, 2])}
    text = json.dumps(["w", "<f4", [2]]).encode() + b"\n" + bytes.fromhex("0000803f00000040")
    assert parameters_sha256(made) == hashlib.sha256(text).hexdigest()


def test_the_digest_is_of_names_types_shapes_and_values_not_of_order():
    made = {"a": np.float32([1, 2]), "b": np.float32([3])}
    digest = parameters_sha256(made)
    assert parameters_sha256(dict(reversed(made.items()))) == digest
    assert parameters_sha256({n: a.astype(">f4") for n, a in made.items()}) == digest
    others = [
        {"a": made["a"], "c": made["b"]},
        {**made, "a": made["a"].astype("f8")},
        {**made, "a": made["a"].reshape(2, 1)},
        {**made, "a": np.float32([2, 1])},
        {**made, "b": np.float32([3.0000002])},
        {"a": np.float32([1]), "b": np.float32([2, 3])},
    ]
    assert len({digest, *map(parameters_sha256, others)}) == 7


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_must_be_finite(value, tmp_path):
    write_base(tmp_path / "m.h5", {"w": np.array([1, value])})
    with pytest.raises(InputError, match="w: holds NaN or infinity"):
        read_model(tmp_path / "m.h5")
