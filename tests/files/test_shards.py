"""Several files as one round: the same numbers as one file's, and no set that is none."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lomar_cli.errors import InputError
from lomar_cli.files.append import append_client
from lomar_cli.files.joined import Joined
from lomar_cli.files.round import Shard, create_round, open_round, open_rounds
from lomar_cli.files.stretches import stretches
from lomar_cli.files.updates import OutputLayer
from tests.making import change, put, tensors, write_round

CLIENTS = [f"c{number}" for number in range(8)]


def part(path, rows, updates=None, shard=None, **changes):
    """A file of some rows of a round of eight clients."""
    whole = updates or tensors(8)
    write_round(path, {n: a[rows] for n, a in whole.items()}, CLIENTS[rows])
    with open_round(path) as found:
        head = replace(found.head, **changes)
        sent = dict(found.updates.tensors)
    with create_round(path, head, [], force=True, shard=shard) as writer:
        writer.write(0, sent)
    with open_round(path) as found:
        return path, found.sha256


@pytest.fixture
def shards(tmp_path):
    """Eight clients in three shards."""
    paths, before = [], ""
    for number, rows in enumerate((slice(0, 3), slice(3, 6), slice(6, 8)), 1):
        path = tmp_path / f"s{number}.h5"
        _, before = part(path, rows, shard=Shard(number, 3, before))
        paths.append(path)
    return paths


def refused(paths, *mentions):
    with pytest.raises(InputError) as caught, open_rounds(paths):
        pass
    for mention in mentions:
        assert str(mention) in str(caught.value)
    assert "\n" not in str(caught.value)


KEYS = st.one_of(
    st.integers(0, 7),
    st.slices(8).filter(lambda one: one.step in (None, 1)),
    st.just(slice(None)),
    st.lists(st.integers(0, 7), min_size=1).map(np.array),
    st.lists(st.booleans(), min_size=8, max_size=8).map(np.array),
)


@settings(max_examples=80, deadline=None)
@given(first=KEYS, rest=st.lists(st.slices(4), max_size=2), cuts=st.sets(st.integers(1, 7)))
def test_joined_reads_as_numpy(first, rest, cuts):
    whole = np.arange(8 * 4 * 4.0).reshape(8, 4, 4)
    rest = [one for one in rest if one.step in (None, 1)]
    edges = [0, *sorted(cuts), 8]
    parts = [whole[a:b] for a, b in itertools.pairwise(edges)]
    found = Joined(parts, ["x"] * len(parts))
    key = (first, *rest)
    np.testing.assert_array_equal(found[key], whole[key])
    np.testing.assert_array_equal(found.whole(), whole)


def test_joined_knows_its_end():
    joined = Joined([np.zeros((2, 3)), np.ones((1, 3))], ["x", "y"])
    with pytest.raises(IndexError):
        joined[3]


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2"])
def test_streamed_as_from_one_file(kind, tmp_path):
    """Stretch for stretch the same, for any byte order."""
    updates = {n: a.astype(kind) for n, a in tensors(8, 5, 40).items()}
    paths = [
        part(tmp_path / f"{i}.h5", slice(*at), updates)[0] for i, at in enumerate(((0, 5), (5, 8)))
    ]
    one, _ = part(tmp_path / "one.h5", slice(0, 8), updates)
    with open_rounds(paths, memory=1) as many, open_round(one, memory=1) as single:
        assert many.updates.streamed and single.updates.streamed
        pairs = zip(
            stretches(many.updates.tensors, 700),
            stretches(single.updates.tensors, 700),
            strict=True,
        )
        for a, b in pairs:
            assert a.pieces == b.pieces
            np.testing.assert_array_equal(a.block, b.block)
        for name, known in many.updates.magnitudes.items():
            np.testing.assert_array_equal(known, single.updates.magnitudes[name])


@pytest.mark.parametrize("memory", [1, 2**30])
def test_shards_are_the_round(shards, memory):
    updates = tensors(8)
    for order in (shards, shards[::-1], [shards[1], shards[0], shards[2]]):
        with open_rounds(order, memory) as found:
            assert list(found.head.clients) == CLIENTS
            assert [one.path for one in found.files] == shards
            for name, array in updates.items():
                np.testing.assert_array_equal(found.updates.tensors[name][:], array)
            own = [one.sha256 for one in found.files]
            text = "lomar/round set\n" + "".join(f"{digest}\n" for digest in own)
            assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
            parts = {f"part_{i}": digest for i, digest in enumerate(own, 1)}
            assert found.inputs() == {"round": found.sha256, **parts}


def test_a_shard_is_a_round_for_those_who_know_no_shards(shards):
    with open_round(shards[1]) as found:
        assert list(found.head.clients) == CLIENTS[3:6]
    with h5py.File(shards[1]) as handle:
        assert handle.attrs["format_version"] == 1


def test_one_file_keeps_its_digest(tmp_path):
    path, digest = part(tmp_path / "a.h5", slice(0, 8))
    with open_rounds([path]) as found:
        assert (found.sha256, found.inputs()) == (digest, {"round": digest})


@pytest.mark.parametrize("left", [(0,), (1,), (2,), (0, 2), (0, 1)])
def test_a_missing_shard_is_named(shards, left):
    given = [shards[i] for i in left]
    gone = [str(i + 1) for i in range(3) if i not in left]
    verb = "is shard" if len(gone) == 1 else "are shards"
    refused(given, f"missing {verb} {', '.join(gone)}", " of 3")


def test_shards_of_two_writings_do_not_mix(shards, tmp_path):
    """Killed between two of them when it was written again: the old ones do not fit."""
    part(shards[0], slice(0, 3), {n: a + 1 for n, a in tensors(8).items()}, Shard(1, 3))
    refused(shards, shards[0], "another set, or of another writing")


def test_two_sets_and_a_plain_file(shards, tmp_path):
    more = {n: np.concatenate([a, a + 1]) for n, a in tensors(8).items()}
    late = write_round(tmp_path / "late.h5", {n: a[8:10] for n, a in more.items()}, ["x", "y"])
    with open_rounds([shards[2], late, shards[0], shards[1]]) as found:
        assert list(found.head.clients) == [*CLIENTS, "x", "y"]


def test_a_client_in_two_files_is_named(tmp_path):
    a, _ = part(tmp_path / "a.h5", slice(0, 5))
    b, _ = part(tmp_path / "b.h5", slice(4, 8))
    refused([a, b], b, a, "'c4'")


def test_a_file_twice_is_named(tmp_path):
    a, _ = part(tmp_path / "a.h5", slice(0, 5))
    refused([a, a], a, "named twice")
    (tmp_path / "link.h5").hardlink_to(a)
    refused([a, tmp_path / "link.h5"], "link.h5", a, "same file")
    (tmp_path / "copy.h5").write_bytes(a.read_bytes())
    refused([a, tmp_path / "copy.h5"], "copy.h5", a, "the same as")
    refused([a, tmp_path / "none.h5"], "none.h5", "no such file")


OTHER = {
    "round_number": (2, "round_number", "is 2", "it is 1"),
    "base_sha256": ("ab" * 32, "base_sha256", "abababababab", "not known"),
    "architecture": ("logistic", "architecture", "logistic"),
    "output": (OutputLayer("fc.weight", None, 1), "output", "axis 1"),
    "labels": (["x", "y", "z"], "labels", "x"),
    "buffers": (frozenset(["more"]), "buffers", "more"),
}


@pytest.mark.parametrize("field", OTHER)
def test_files_of_different_models_are_named(field, tmp_path):
    value, *mentions = OTHER[field]
    updates = {**tensors(8), "more": np.ones((8, 2), np.float32)}
    a, _ = part(tmp_path / "a.h5", slice(0, 5), updates)
    b, _ = part(tmp_path / "b.h5", slice(5, 8), updates, **{field: value})
    refused([a, b], b, a, *mentions)


def test_other_parameters_are_named(tmp_path):
    a, _ = part(tmp_path / "a.h5", slice(0, 5))
    made = tensors(8)
    more = {**made, "more": np.ones((8, 2), np.float32)}
    wide = {**made, "fc.weight": np.ones((8, 3, 5), np.float32)}
    double = {n: a.astype(np.float64) for n, a in made.items()}
    turned = dict(reversed(made.items()))
    cases = ((more, "more", "missing"), (wide, "[3, 5]", "[3, 4]"), (double, "float64", "float32"))
    for updates, *mentions in (*cases, (turned, "order of parameters")):
        b, _ = part(tmp_path / "b.h5", slice(5, 8), updates)
        refused([a, b], a, b, *mentions)


@pytest.mark.parametrize("memory", [1, 2**30])
def test_damage_is_named_with_its_file(shards, memory):
    with h5py.File(shards[1], "r+") as handle:
        handle["updates/fc.weight"][1, 0, 0] += 1
    with pytest.raises(InputError, match=r"s2\.h5.*'c4'.*damaged"), open_rounds(shards, memory):
        pass


def test_without_updates_only_the_rest_is_checked(shards):
    with h5py.File(shards[1], "r+") as handle:
        handle["updates/fc.weight"][1, 0, 0] += 1
    with open_rounds(shards, updates=False) as found:
        assert found.updates.streamed
        assert [len(one.digests) for one in found.files] == [3, 3, 2]
    with h5py.File(shards[1], "r+") as handle:
        handle["clients/num_examples"][0] += 1
    with (
        pytest.raises(InputError, match=r"s2\.h5: content_sha256"),
        open_rounds(shards, updates=False),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "value", "mention"),
    [
        ("shard", 0, "is 0 of 3"),
        ("shard", 4, "is 4 of 3"),
        ("shard", 2.5, "integer"),
        ("shards", "x", "integer"),
        ("shard_before", "x", "SHA-256"),
        ("shard_before", 3, "string"),
    ],
)
def test_a_bad_number_is_refused(shards, name, value, mention):
    change(shards[1], lambda handle: put(handle, name, value))
    refused(shards, shards[1], name, mention)


def test_nothing_comes_before_the_first(shards):
    change(shards[0], lambda handle: put(handle, "shard_before", "0" * 64))
    refused(shards, shards[0], "shard_before")


def test_nothing_is_appended_to_a_shard(shards):
    before = shards[1].read_bytes()
    arrays = {name: array[0] for name, array in tensors(1).items()}
    with pytest.raises(InputError, match="shard 2 of 3"):
        append_client(shards[1], "late", 1, arrays)
    assert shards[1].read_bytes() == before
