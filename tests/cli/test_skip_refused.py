"""``dump --skip-refused``: what cannot be used is left out and named, whatever its name."""

from __future__ import annotations

import pickle
import shutil

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from lomar_cli.files.importers import npz
from lomar_cli.files.round import open_round
from tests.commands import refused, works
from tests.making import read_updates, tensors, write_base, write_client, write_round


def folder(tmp_path, count=5, names=None):
    """Client files, and the numbers in them."""
    made = tensors(count)
    place = tmp_path / "clients"
    place.mkdir()
    names = names or [f"m{row}" for row in range(count)]
    for row, name in enumerate(names):
        np.savez(place / f"{name}.npz", **{key: array[row] for key, array in made.items()})
    return place, made


def dumped(tmp_path, place, *more):
    ran = works("dump", place, "--differences", "--skip-refused", "-o", tmp_path / "r.h5", *more)
    with open_round(tmp_path / "r.h5") as found:
        return ran, list(found.head.clients), found.provenance[-1]["options"]


def lying(path):
    path.write_bytes(b"PK\x03\x04 and no more")


def pickled(path):
    path.write_bytes(pickle.dumps({"fc.weight": [1, 2]}))


def of_another_shape(path):
    np.savez(path, **{"fc.weight": np.zeros((4, 4), "f4"), "fc.bias": np.zeros(2, "f4")})


def of_another_type(path):
    np.savez(path, **{key: array[0].astype("f8") for key, array in tensors(1).items()})


def without_a_bias(path):
    np.savez(path, **{"fc.weight": tensors(1)["fc.weight"][0]})


def counted_alone(path):
    np.savez(path, **{key: array[0] for key, array in tensors(1).items()}, num_examples=3)


@pytest.mark.parametrize("name", ["a", "z"])
@pytest.mark.parametrize(
    "spoil",
    [lying, pickled, of_another_shape, of_another_type, without_a_bias, counted_alone],
    ids=lambda spoil: spoil.__name__,
)
def test_one_client_stops_nobody(spoil, name, tmp_path):
    place, made = folder(tmp_path)
    spoil(place / f"{name}.npz")
    refused(tmp_path, 3, ["--skip-refused goes on without"], *line(tmp_path))
    ran, clients, said = dumped(tmp_path, place)
    assert clients == [f"m{row}" for row in range(5)]
    np.testing.assert_array_equal(read_updates(tmp_path / "r.h5")["fc.weight"], made["fc.weight"])
    assert f"{name}.npz: " in ran.stderr and "skipped 1 of 6 files" in ran.stderr
    assert said["skipped"] == [name]


def line(tmp_path):
    return ("dump", tmp_path / "clients", "--differences", "-o", tmp_path / "r.h5")


def test_nothing_is_skipped_where_all_is_well(tmp_path):
    place, _ = folder(tmp_path)
    ran, clients, said = dumped(tmp_path, place)
    assert len(clients) == 5 and said["skipped"] == [] and "of 5 files" not in ran.stderr


def test_who_came_first_is_not_right_for_that(tmp_path):
    place, _ = folder(tmp_path, 5)
    for name in ("a0", "a1", "a2"):
        of_another_shape(place / f"{name}.npz")
    ran, clients, _ = dumped(tmp_path, place)
    assert clients == [f"m{row}" for row in range(5)]
    assert "what 5 of 8 files hold has" in ran.stderr


def test_the_base_model_says_what_is_right(tmp_path):
    place, _ = folder(tmp_path, 3)
    base = write_base(tmp_path / "base.h5", {key: a[0] for key, a in tensors(1, seed=9).items()})
    for name in ("a0", "a1"):
        of_another_shape(place / f"{name}.npz")
    ran = works("dump", place, "--base-model", base, "--skip-refused", "-o", tmp_path / "r.h5")
    assert "the base model has" in ran.stderr and "3 clients" in ran.stdout + ran.stderr


def test_with_most_refused_nobody_knows(tmp_path):
    place, _ = folder(tmp_path, 2)
    for name in ("a0", "a1", "a2"):
        lying(place / f"{name}.npz")
    refused(tmp_path, 3, ["a0.npz", "3 of 5 files are refused"], *line(tmp_path), "--skip-refused")
    assert not (tmp_path / "r.h5").exists()


def test_a_file_may_not_take_another_clients_name(tmp_path):
    place, _ = folder(tmp_path, 4)
    write_client(place / "a.npz", {**tensors(2), "client_ids": np.array(["new", "m2"])})
    ran, clients, _ = dumped(tmp_path, place)
    assert clients == ["m0", "m1", "m2", "m3"]
    assert "a.npz: another file is of the client 'm2', too" in ran.stderr


def test_names_are_escaped(tmp_path):
    place, _ = folder(tmp_path, 3)
    lying(place / "\x1b[2J.npz")
    ran, clients, said = dumped(tmp_path, place)
    assert "\x1b" not in ran.stderr and said["skipped"] == ["\\x1b[2J"] and len(clients) == 3


def test_shards_hold_the_same_clients(tmp_path):
    place, _ = folder(tmp_path, 5)
    lying(place / "m2b.npz")
    out = tmp_path / "r-{}.h5"
    works("dump", place, "--differences", "--skip-refused", "--shard", 2, "-o", out)
    names = []
    for path in sorted(tmp_path.glob("r-*.h5")):
        with open_round(path) as found:
            names += found.head.clients
    assert names == [f"m{row}" for row in range(5)]


def test_not_for_a_round_that_is_there(tmp_path):
    place, _ = folder(tmp_path, 1)
    path = write_round(tmp_path / "r.h5", 2)
    more = ("dump", place, "--differences", "--append", "-o", path, "--skip-refused")
    refused(tmp_path, 2, ["for new rounds"], *more)


def test_a_file_of_many_clients_is_taken_or_left(tmp_path):
    place, _ = folder(tmp_path, 2)
    write_client(place / "x.npz", {**tensors(2), "client_ids": np.array(["new", "newer"])})
    write_client(place / "y.npz", {**tensors(2), "client_ids": np.array(["twice", "twice"])})
    ran, clients, _ = dumped(tmp_path, place)
    assert clients == ["m0", "m1", "new", "newer"] and "y.npz: " in ran.stderr


def test_two_files_of_one_client_are_nobodys(tmp_path):
    place, made = folder(tmp_path, 4)
    save_file({key: array[1] for key, array in made.items()}, place / "m1.safetensors")
    ran, clients, said = dumped(tmp_path, place)
    assert clients == ["m0", "m2", "m3"] and said["skipped"] == ["m1", "m1"]
    assert ran.stderr.count("another file is of the client 'm1', too") == 2


def test_files_that_claim_the_same_clients_are_all_refused(tmp_path):
    place, _ = folder(tmp_path, 5)
    for name in ("x", "y"):
        write_client(place / f"{name}.npz", {**tensors(1), "client_ids": np.array(["shared"])})
    _, clients, said = dumped(tmp_path, place)
    assert clients == [f"m{row}" for row in range(5)] and said["skipped"] == ["x", "y"]


def test_a_name_that_the_pattern_does_not_find(tmp_path):
    place, _ = folder(tmp_path, 3, ["site-0", "site-1", "evil"])
    many = {**tensors(2), "client_ids": np.array(["p", "q"])}
    write_client(place / "many.npz", many)
    ran, clients, _ = dumped(tmp_path, place, "--client-pattern", r"site-(\d+)")
    assert sorted(clients) == ["0", "1", "p", "q"] and "finds nothing in" in ran.stderr


def test_a_pattern_that_is_none(tmp_path):
    folder(tmp_path, 2)
    for more in ((), ("--skip-refused",)):
        pattern = ("--client-pattern", "site-(")
        refused(tmp_path, 2, ["is no regular expression"], *line(tmp_path), *pattern, *more)


def test_a_stranger_to_the_weights(tmp_path):
    place, _ = folder(tmp_path, 3)
    counted_alone(place / "m3.npz")
    counted_alone(place / "stranger.npz")
    weights = tmp_path / "w.csv"
    weights.write_text("client,num_examples\n" + "".join(f"m{row},{row + 1}\n" for row in range(4)))
    ran, clients, _ = dumped(tmp_path, place, "--weights", weights)
    # Whether a file counts its samples does not matter where they are counted elsewhere.
    assert clients == ["m0", "m1", "m2", "m3"] and "no line for client 'stranger'" in ran.stderr
    with open_round(tmp_path / "r.h5") as found:
        assert found.head.num_examples.tolist() == [1, 2, 3, 4]


def test_as_many_of_one_kind_as_of_another(tmp_path):
    place, _ = folder(tmp_path, 3)
    for name in ("a0", "a1", "a2"):
        counted_alone(place / f"{name}.npz")
    refused(tmp_path, 3, ["nobody can say what is right"], *line(tmp_path), "--skip-refused")


def test_two_small_files_do_not_outvote_one_of_many_clients(tmp_path):
    place = tmp_path / "clients"
    place.mkdir()
    names = np.array([f"h{row}" for row in range(20)])
    write_client(place / "honest.npz", {**tensors(20), "client_ids": names})
    for name in ("a", "b"):
        of_another_shape(place / f"{name}.npz")
    refused(tmp_path, 3, ["nobody can say what is right"], *line(tmp_path), "--skip-refused")


def test_clients_of_a_file_must_be_alike(tmp_path):
    place, made = folder(tmp_path, 3)
    with h5py.File(place / "x.h5", "w") as handle:
        for name, shape in (("p", (3, 4)), ("q", (4, 4))):
            handle[f"clients/{name}/fc.weight"] = np.zeros(made["fc.weight"].shape[1:], "f4")
            handle[f"clients/{name}/fc.bias"] = np.zeros(shape[0], "f4")
    ran, clients, _ = dumped(tmp_path, place)
    assert clients == ["m0", "m1", "m2"] and "its first client has" in ran.stderr


def test_names_of_hdf5_that_are_no_text(tmp_path):
    place, _ = folder(tmp_path, 3)
    with h5py.File(place / "x.h5", "w") as handle:
        handle[b"\xff\xfe"] = np.ones(3)
    ran, clients, _ = dumped(tmp_path, place)
    assert clients == ["m0", "m1", "m2"] and "no UTF-8" in ran.stderr


def test_an_importer_that_breaks_stops_nobody(tmp_path, monkeypatch):
    place, _ = folder(tmp_path, 4)
    reads = npz.read

    def read(path, max_bytes):
        if path.stem == "m1":
            raise MemoryError
        if path.stem == "m2":
            raise RuntimeError("what?")
        return reads(path, max_bytes)

    monkeypatch.setattr(npz, "read", read)
    for name in ("m4", "m5"):
        shutil.copy(place / "m0.npz", place / f"{name}.npz")
    ran, clients, _ = dumped(tmp_path, place)
    assert clients == ["m0", "m3", "m4", "m5"]
    assert "does not fit into memory" in ran.stderr and "RuntimeError: what?" in ran.stderr


def test_layers_alone_are_compared(tmp_path):
    place, _ = folder(tmp_path, 3)
    more = {key: array[0] for key, array in tensors(1).items()}
    np.savez(place / "m3.npz", **more, extra=np.zeros(3, "f4"))
    _, clients, _ = dumped(tmp_path, place, "--layers", "fc.*")
    assert clients == ["m0", "m1", "m2", "m3"]


def test_a_mistyped_layer_is_not_the_clients_fault(tmp_path):
    folder(tmp_path, 3)
    ran = refused(tmp_path, 3, ["nothing matches 'fv.*'"], *line(tmp_path), "--layers", "fv.*")
    assert "--skip-refused" not in ran.stderr


def test_all_are_told(tmp_path):
    place, _ = folder(tmp_path, 12)
    for row in range(8):
        lying(place / f"x{row}.npz")
    ran, _, said = dumped(tmp_path, place)
    assert all(f"x{row}.npz: " in ran.stderr for row in range(8))
    assert said["skipped"] == [f"x{row}" for row in range(8)]
