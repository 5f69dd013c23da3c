"""``dump --skip-refused``: what cannot be used is left out and named, whatever its name."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

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
    assert f"skipped 1 of 6 files: {name}.npz (" in ran.stderr and said["skipped"] == [name]


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
    assert "what 5 of 8 clients sent has" in ran.stderr


def test_the_base_model_says_what_is_right(tmp_path):
    place, _ = folder(tmp_path, 3)
    base = write_base(tmp_path / "base.h5", {key: a[0] for key, a in tensors(1, seed=9).items()})
    for name in ("a0", "a1", "a2"):
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
    assert "a.npz (names a client 'm2', as m2.npz does)" in ran.stderr


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
    assert clients == ["m0", "m1", "new", "newer"] and "y.npz (" in ran.stderr
