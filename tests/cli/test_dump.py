"""``dump``: client files of another system become a round."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from lomar_cli.files.model import parameters_sha256
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from tests.commands import refused, works
from tests.making import read_updates, tensors, write_base, write_client


@pytest.fixture
def folder(tmp_path):
    """Three client files and the numbers in them."""
    made = tensors(3)
    (tmp_path / "clients").mkdir()
    for row in range(3):
        one = {name: array[row] for name, array in made.items()}
        np.savez(tmp_path / "clients" / f"site-{row}.npz", **one)
    return tmp_path / "clients", made


def head_of(path):
    with open_round(path) as found:
        return found.head


def test_differences_are_taken_as_they_are(folder, tmp_path):
    clients, made = folder
    ran = works("dump", clients, "--differences", "-o", tmp_path / "r.h5")
    found = read_updates(tmp_path / "r.h5")
    assert list(found) == ["fc.weight", "fc.bias"]
    for name, array in made.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32
    assert ran.stdout == ""
    assert "3 clients, 2 parameters each" in ran.stderr
    head = head_of(tmp_path / "r.h5")
    assert list(head.clients) == ["site-0", "site-1", "site-2"]
    assert head.num_examples.tolist() == [1, 1, 1]
    assert head.base_sha256 == ""


@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_base_model_is_taken_off(ending, folder, tmp_path):
    clients, made = folder
    base = {name: array[0] for name, array in tensors(1, seed=9).items()}
    file = tmp_path / f"base.{ending}"
    np.savez(file, **base) if ending == "npz" else write_base(file, base)
    works("dump", clients, "--base-model", file, "-o", tmp_path / "r.h5")
    for name, found in read_updates(tmp_path / "r.h5").items():
        np.testing.assert_array_equal(found, made[name] - base[name])
    assert head_of(tmp_path / "r.h5").base_sha256 == parameters_sha256(base)


def test_weights_are_matched_by_name(folder, tmp_path):
    csv = tmp_path / "w.csv"
    csv.write_text("client,note,num_examples\nsite-2,x,30\nsite-0,y,10\nsite-1,z,0\nother,w,5\n")
    works("dump", folder[0], "--differences", "--weights", csv, "-o", tmp_path / "r.h5")
    assert head_of(tmp_path / "r.h5").num_examples.tolist() == [10, 0, 30]


def test_layers_keep_only_what_matches(folder, tmp_path):
    options = ("--differences", "--layers", "fc.w*")
    works("dump", folder[0], *options, "-o", tmp_path / "r.h5")
    head = head_of(tmp_path / "r.h5")
    assert list(head.shapes) == ["fc.weight"]
    assert (head.output.weight, head.output.bias) == ("fc.weight", None)


def test_without_an_output_layer_the_update_is_one_block(folder, tmp_path):
    options = ("--differences", "--output-layer", "none")
    works("dump", folder[0], *options, "-o", tmp_path / "r.h5")
    assert head_of(tmp_path / "r.h5").output is None
    works("score", tmp_path / "r.h5", "-m", "lomar", "-o", tmp_path / "s.h5")
    columns = read_scores(tmp_path / "s.h5").columns
    assert [n for n in columns if n.startswith("log_factor_label")] == ["log_factor_label_0"]


def test_the_only_candidate_is_the_output_layer(folder, tmp_path):
    ran = works("dump", folder[0], "--differences", "-o", tmp_path / "r.h5")
    assert "output layer: fc.weight" in ran.stderr
    assert "3 labels along axis 0" in ran.stderr
    assert "bias fc.bias" in ran.stderr


def test_two_candidates_are_listed_and_one_can_be_named(tmp_path):
    one = {"a.weight": np.ones((3, 4), np.float32), "b.weight": np.ones((5, 6), np.float32)}
    np.savez(tmp_path / "c.npz", **one)
    base = ("dump", tmp_path / "c.npz", "--differences", "-o", tmp_path / "r.h5")
    refused(tmp_path, 2, ["--output-layer", "a.weight", "b.weight", "none"], *base)
    works(*base, "--output-layer", "b.weight")
    assert head_of(tmp_path / "r.h5").output.weight == "b.weight"


def test_label_axis_turns_a_keras_kernel(tmp_path):
    made = tensors(6, labels=3, features=4)
    for layout in ("torch", "keras"):
        (tmp_path / layout).mkdir()
        for row in range(6):
            weight, bias = made["fc.weight"][row], made["fc.bias"][row]
            kernel = {"fc.weight": weight} if layout == "torch" else {"fc.kernel": weight.T}
            np.savez(tmp_path / layout / f"c{row}.npz", **kernel, **{"fc.bias": bias})
        axis = () if layout == "torch" else ("--output-layer", "fc.kernel", "--label-axis", 1)
        file = tmp_path / f"{layout}.h5"
        works("dump", tmp_path / layout, "--differences", *axis, "-o", file)
        works("score", file, "-o", tmp_path / f"{layout}.csv")
    torch, keras = (read_scores(tmp_path / f"{name}.csv") for name in ("torch", "keras"))
    assert list(torch.columns) == list(keras.columns)
    np.testing.assert_allclose(keras.suspicion, torch.suspicion, atol=1e-4)


def test_the_label_axis_of_a_kernel_is_guessed_by_its_bias(tmp_path):
    write_client(tmp_path / "c.npz", {"fc.kernel": np.ones((4, 3)), "fc.bias": np.ones(3)})
    works("dump", tmp_path / "c.npz", "--differences", "-o", tmp_path / "r.h5")
    output = head_of(tmp_path / "r.h5").output
    assert (output.weight, output.bias, output.label_axis) == ("fc.kernel", "fc.bias", 1)


def test_a_single_array_is_named_update(tmp_path):
    for name in ("b", "a"):
        np.save(tmp_path / f"{name}.npy", np.float32([1, 2, 3]))
    files = (tmp_path / "b.npy", tmp_path / "a.npy")
    works("dump", *files, "--differences", "--output-layer", "none", "-o", tmp_path / "r.h5")
    assert list(read_updates(tmp_path / "r.h5")) == ["update"]
    assert list(head_of(tmp_path / "r.h5").clients) == ["b", "a"]


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_arrive_whatever_their_order_in_memory(dtype, order, tmp_path):
    values = np.asarray(np.arange(12).reshape(3, 4) / 8, dtype=dtype, order=order)
    write_client(tmp_path / "c.npz", {"fc.weight": values})
    works("dump", tmp_path / "c.npz", "--differences", "-o", tmp_path / "r.h5")
    found = read_updates(tmp_path / "r.h5")["fc.weight"][0]
    np.testing.assert_array_equal(found, np.arange(12).reshape(3, 4) / 8)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


def test_other_files_in_a_folder_are_passed_over_with_a_warning(folder, tmp_path):
    clients, _ = folder
    (clients / "README.txt").write_text("about")
    (clients / ".hidden.npz").write_text("not ours")
    ran = works("dump", clients, "--differences", "-o", tmp_path / "r.h5")
    assert "lomar: warning: passed over, as they are no client files: README.txt" in ran.stderr
    assert len(head_of(tmp_path / "r.h5").clients) == 3


def test_the_round_number_is_kept(folder, tmp_path):
    works("dump", folder[0], "--differences", "--round", 7, "-o", tmp_path / "r.h5")
    assert head_of(tmp_path / "r.h5").round_number == 7


def test_the_same_updates_in_another_format_give_the_same_bytes(tmp_path):
    made = dict(sorted(tensors(3).items()))  # the order in which safetensors stores them
    for save, ending in (
        (np.savez, "npz"),
        (np.savez_compressed, "npz"),
        (save_file, "safetensors"),
    ):
        source = tmp_path / save.__name__
        source.mkdir()
        for row in range(3):
            one = {name: array[row].copy() for name, array in made.items()}
            file = source / f"site-{row}.{ending}"
            save(one, file) if save is save_file else save(file, **one)
        works("dump", source, "--differences", "-o", source / "r.h5")
    first, *others = (path.read_bytes() for path in sorted(tmp_path.glob("*/r.h5")))
    assert len(others) == 2
    assert all(other == first for other in others)


@pytest.mark.parametrize("shard", [None, 2])
def test_provenance_names_the_updates_as_they_are_stored(shard, folder, tmp_path):
    """By the digests that FORMAT says: of each client's numbers, a line a client of this file."""
    clients, made = folder
    names = [f"site-{row}" for row in range(3)]
    parts = {"r.h5": names} if shard is None else {"r-1.h5": names[:2], "r-2.h5": names[2:]}
    output = tmp_path / ("r.h5" if shard is None else "r-{}.h5")
    more = () if shard is None else ("--shard", shard)
    works("dump", clients, "--differences", *more, "-o", output)
    for file, inside in parts.items():
        lines = []
        for name in inside:
            raw = b"".join(array[names.index(name)].tobytes() for array in made.values())
            lines.append(f"{hashlib.sha256(raw).hexdigest()}  {name}\n")
        with open_round(tmp_path / file) as found:
            said = found.provenance[-1]["inputs"]["clients"]
        assert said == hashlib.sha256("".join(lines).encode()).hexdigest()
