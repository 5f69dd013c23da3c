"""Blocks of parameters over all clients: every number once, in order, whatever the shapes."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lomar_cli.files.stretches import ahead, stretches
from lomar_cli.files.updates import OutputLayer, Updates

SHAPE = st.lists(st.integers(1, 7), max_size=3).map(tuple)


@settings(max_examples=60, deadline=None)
@given(
    shapes=st.lists(st.tuples(SHAPE, st.sampled_from(["f2", "f4", ">f4", "f8"])), min_size=1),
    clients=st.integers(1, 5),
    most=st.integers(1, 4000),
    chunked=st.sampled_from([None, True, "gzip"]),
)
def test_every_number_comes_once_in_order(shapes, clients, most, chunked):
    rng = np.random.default_rng(0)
    made = {
        str(place): rng.normal(size=(clients, *shape)).astype(dtype)
        for place, (shape, dtype) in enumerate(shapes[:5])
    }
    found = {name: np.full(array[0].size, 0, object) for name, array in made.items()}
    with h5py.File("x.h5", "w", driver="core", backing_store=False) as handle:
        source = made
        if chunked:
            more = {"compression": "gzip"} if chunked == "gzip" else {}
            source = {
                n: handle.create_dataset(n, data=a, chunks=True, **more) for n, a in made.items()
            }
        order = []
        for stretch in stretches(source, most):
            assert stretch.block.dtype.isnative
            assert stretch.block.nbytes <= max(most, clients * 8)
            for piece in stretch.pieces:
                part = stretch.block[:, piece.columns]
                order.append((int(piece.name), piece.start))
                for place, column in enumerate(part.T, piece.start):
                    assert found[piece.name][place] == 0, "read twice"
                    found[piece.name][place] = column.tolist()
    assert order == sorted(order)
    for name, array in made.items():
        expected = array.reshape(clients, -1).T.tolist()
        assert list(found[name]) == expected


def test_reading_ahead_changes_nothing_and_passes_errors_on():
    assert list(ahead(iter(range(50)))) == list(range(50))

    def broken():
        yield 1
        raise OSError("damaged")

    with pytest.raises(OSError, match="damaged"):
        list(ahead(broken()))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_label_read_from_a_file_is_the_label_in_memory(axis, tmp_path):
    rng = np.random.default_rng(0)
    shape = (6, 4, 9, 5) if axis == 0 else (6, 9, 4, 5)
    arrays = {"w": rng.normal(size=shape), "b": rng.normal(size=(6, 4)), "x": np.ones((6, 3))}
    counts, names = np.ones(6, int), list("abcdef")
    output = OutputLayer("w", "b", axis)
    whole = Updates(names, counts, arrays, output)
    with h5py.File(tmp_path / "x.h5", "w") as handle:
        sets = {name: handle.create_dataset(name, data=array) for name, array in arrays.items()}
        there = Updates(names, counts, sets, output)
        few = there.only_labels(range(1, 3))
        for label in range(4):
            expected = whole.label_block(label)
            read = [s.block.copy() for s in stretches(there.label_tensors(label), 200)]
            np.testing.assert_array_equal(np.concatenate(read, axis=1), expected)
            if label in (1, 2):
                np.testing.assert_array_equal(few.label_block(label - 1), expected)
        assert there.streamed and not few.streamed
