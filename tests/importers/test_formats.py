"""Files as other programs write them, read against what those programs put in."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from lomar_cli.errors import InputError
from lomar_cli.files.importers import registry
from lomar_cli.files.importers.base import DEFAULT_MAX_BYTES
from tests.making import tensors, write_base, write_round

ONE = {name: array[0] for name, array in tensors(1).items()}


def read(path):
    return list(registry.importer(path).read(path, DEFAULT_MAX_BYTES))


def check(path, wanted, types=None):
    (found,) = read(path)
    assert sorted(found.arrays) == sorted(wanted)
    for name, array in wanted.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    if types:
        assert found.types == types
    return found


@pytest.mark.parametrize("ending", [".bin", ".npz", ".h5", ""])
@pytest.mark.parametrize("kind", ["npz", "npy", "safetensors", "hdf5", "pt"])
def test_content_says_what_a_file_is_not_its_ending(kind, ending, tmp_path):
    path = tmp_path / f"x{ending}"
    wanted = ONE
    with path.open("wb") as stream:
        if kind == "npz":
            np.savez_compressed(stream, **ONE)
        elif kind == "npy":
            np.save(stream, ONE["fc.weight"])
            wanted = {"update": ONE["fc.weight"]}
        elif kind == "safetensors":
            from safetensors.numpy import save

            stream.write(save(ONE))
        elif kind == "pt":
            torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
            torch.save({n: torch.from_numpy(a) for n, a in ONE.items()}, stream)
    if kind == "hdf5":
        with h5py.File(path, "w") as handle:
            for name, array in ONE.items():
                handle[name] = array
    check(path, wanted)


def test_safetensors_of_the_library_in_every_type(tmp_path):
    torch = pytest.importorskip("torch", reason="the library's bfloat16 needs torch")
    from safetensors.torch import save_file

    made = {
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "brain": torch.tensor([[1.0, 3.0e38], [float("inf"), -0.5]], dtype=torch.bfloat16),
        "single": torch.tensor(0.1, dtype=torch.float32),
        "double": torch.tensor([0.1], dtype=torch.float64),
        "count": torch.tensor(7, dtype=torch.int64),
        "mask": torch.tensor([True, False]),
        "byte": torch.tensor([255], dtype=torch.uint8),
    }
    save_file(made, tmp_path / "x.safetensors", metadata={"format": "pt"})
    wanted = {n: (t.float() if n == "brain" else t).numpy() for n, t in made.items()}
    found = check(tmp_path / "x.safetensors", wanted)
    assert found.types["brain"] == "bfloat16"
    assert found.types["count"] == "int64"
    assert found.arrays["brain"].dtype == np.float32
    assert found.arrays["half"].dtype == np.float16
    assert found.arrays["count"].dtype == np.float64


def test_what_is_written_is_read_by_the_library(tmp_path):
    from safetensors.numpy import load_file

    from lomar_cli.files.importers import safetensors

    made = {"z": np.arange(6, dtype=">f4").reshape(2, 3), "a": np.float64(3), "é": np.ones(1, "f2")}
    with (tmp_path / "x").open("wb") as stream:
        safetensors.write(stream, made, {"about": "us"})
    found = load_file(tmp_path / "x")
    for name, array in made.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model", "net", "params"])
def test_a_state_dict_and_a_dict_that_holds_one(key, tmp_path):
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    state = model.state_dict()
    beside = {"epoch": 3, "lr": 0.1, "name": "x", "loss": torch.tensor(0.25)}
    torch.save(state if key is None else {key: state, **beside}, tmp_path / "x.pt")
    found = check(tmp_path / "x.pt", {n: t.numpy() for n, t in state.items()})
    assert found.types["1.num_batches_tracked"] == "int64"
    assert list(found.arrays) == list(state)


def test_what_nvflare_saves(tmp_path):
    """PTFileModelPersistor: a dict of model, meta_props and train_conf. NPModelPersistor: npy."""
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    from collections import OrderedDict

    state = OrderedDict((n, torch.from_numpy(a)) for n, a in ONE.items())
    document = OrderedDict(
        model=state,
        meta_props={"current_round": 2, "initial_metrics": None},
        train_conf={"train": {"model": "Net"}},
    )
    torch.save(document, tmp_path / "FL_global_model.pt")
    check(tmp_path / "FL_global_model.pt", ONE)
    np.save(tmp_path / "server.npy", ONE["fc.weight"])
    check(tmp_path / "server.npy", {"update": ONE["fc.weight"]})


def test_parameters_views_and_half_precision_of_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
    base = torch.arange(12.0).reshape(3, 4)
    made = {
        "turned": base.t(),
        "part": base[1:, 2],
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    }
    torch.save(made, tmp_path / "x.pt")
    wanted = {n: t.detach().float().numpy() for n, t in made.items()}
    check(tmp_path / "x.pt", wanted)


def test_keras_weights(tmp_path):
    """The layout of ``model.save_weights('x.weights.h5')`` in Keras 3."""
    kernel, bias = ONE["fc.weight"].T, ONE["fc.bias"]
    with h5py.File(tmp_path / "x.weights.h5", "w") as handle:
        handle.attrs["keras_version"] = "3.5.0"
        layer = handle.create_group("layers/dense")
        layer.attrs["name"] = "dense"
        layer["vars/0"], layer["vars/1"] = kernel, bias
        handle.create_group("layers/input_layer/vars")
        handle.create_group("optimizer/vars")["0"] = np.ones(5)
        handle.create_group("vars")
    found = check(
        tmp_path / "x.weights.h5", {"layers/dense/vars/0": kernel, "layers/dense/vars/1": bias}
    )
    from lomar_cli.files.output_layer import resolve_output

    output, _ = resolve_output({n: a.shape for n, a in found.arrays.items()}, None, None)
    assert (output.weight, output.bias, output.label_axis) == (
        "layers/dense/vars/0",
        "layers/dense/vars/1",
        1,
    )


def test_a_group_a_client(tmp_path):
    made = tensors(3)
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        for row, name in enumerate(["b", "a", "c"]):
            group = handle.create_group(f"clients/{name}")
            group.attrs["num_examples"] = 10 + row
            group["fc/weight"], group["fc/bias"] = made["fc.weight"][row], made["fc.bias"][row]
    assert registry.importer(tmp_path / "x.h5").clients(tmp_path / "x.h5", 2**20) == ["a", "b", "c"]
    found = read(tmp_path / "x.h5")
    assert [one.num_examples for one in found] == [11, 10, 12]
    np.testing.assert_array_equal(found[0].arrays["fc/weight"], made["fc.weight"][1])


def test_files_of_our_own(tmp_path):
    made = tensors(3)
    path = write_round(tmp_path / "r.h5", made, num_examples=[1, 2, 3])
    found = read(path)
    assert [one.num_examples for one in found] == [1, 2, 3]
    np.testing.assert_array_equal(found[2].arrays["fc.bias"], made["fc.bias"][2])
    check(write_base(tmp_path / "m.h5", ONE), ONE)


def test_flower_array_records(tmp_path):
    pytest.importorskip("flwr", reason="Flower is the witness")
    from flwr.app import Array, ArrayRecord
    from flwr.common.serde import array_record_to_proto

    record = ArrayRecord({name: Array(array) for name, array in ONE.items()})
    (tmp_path / "x.bin").write_bytes(array_record_to_proto(record).SerializeToString())
    check(tmp_path / "x.bin", ONE)
    many = ArrayRecord([np.full((2, 2), n, np.float32) for n in range(12)])
    (tmp_path / "y.bin").write_bytes(array_record_to_proto(many).SerializeToString())
    (found,) = read(tmp_path / "y.bin")
    assert list(found.arrays) == list(many)


@pytest.mark.parametrize("place", ["array", "attribute", "metadata", "key"])
def test_the_number_of_examples_inside(place, tmp_path):
    path = tmp_path / "x"
    if place == "array":
        with path.open("wb") as stream:
            np.savez(stream, **ONE, num_examples=np.int32(12))
    elif place == "attribute":
        with h5py.File(path, "w") as handle:
            handle["fc.weight"] = ONE["fc.weight"]
            handle.attrs["num_examples"] = 12
    elif place == "metadata":
        from safetensors.numpy import save

        path.write_bytes(save(ONE, {"num_examples": "12"}))
    else:
        torch = pytest.importorskip("torch", reason="torch files need the extra 'train'")
        torch.save({"model": {"w": torch.ones(2)}, "num_examples": 12}, path)
    (found,) = read(path)
    assert found.num_examples == 12
    assert "num_examples" not in found.arrays


@pytest.mark.parametrize("count", [-1, 2**60, 1.5, np.nan, np.inf, -np.inf, np.float32(0)])
def test_a_number_of_examples_that_no_client_has(count, tmp_path):
    """It is 0 then, and screening flags who has none."""
    with (tmp_path / "x.npz").open("wb") as stream:
        np.savez(stream, **ONE, num_examples=count)
    (found,) = read(tmp_path / "x.npz")
    assert found.num_examples == 0


@pytest.mark.parametrize("count", [[1, 2], "7", True])
def test_a_number_of_examples_that_is_no_number(count, tmp_path):
    with (tmp_path / "x.npz").open("wb") as stream:
        np.savez(stream, **ONE, num_examples=count)
    with pytest.raises(InputError, match="num_examples"):
        read(tmp_path / "x.npz")


def test_integers_that_a_round_would_not_keep(tmp_path):
    with (tmp_path / "x.npz").open("wb") as stream:
        np.savez(stream, **ONE, counter=np.int64(2**53 + 1))
    with pytest.raises(InputError, match=r"counter.*2\^53"):
        read(tmp_path / "x.npz")


def test_bfloat16_in_an_npz_has_lost_its_type(tmp_path):
    np.savez(tmp_path / "jax.npz", **{"fc.weight": np.zeros((3, 4), "V2")})
    with pytest.raises(InputError, match=r"type \|V2, .*bfloat16 has to be made float32"):
        registry.read_parameters(tmp_path / "jax.npz", DEFAULT_MAX_BYTES)


def test_a_round_is_no_model(tmp_path):
    from safetensors.numpy import save

    made = save({"w": np.ones((2, 3))}, {"client_ids": json.dumps(["a", "b"])})
    (tmp_path / "x").write_bytes(made)
    with pytest.raises(InputError, match="many clients"):
        registry.read_parameters(tmp_path / "x")
