"""Scheme natural: a client a group of a person's own data."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.data import registry
from lomar_cli.errors import InputError, UsageError
from lomar_cli.stages.attack_split import attack_split
from lomar_cli.stages.partition import partition

ROWS = [f"{i},{i % 7},{'abc'[i % 3]},{'yes' if i % 2 else 'no'}" for i in range(60)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("\n".join(["one,two,site,kind", *ROWS]) + "\n")
    return path


def made(tmp_path, table, **more):
    options = {"label_column": "kind", "group_column": "site"}
    return partition(
        "csv",
        tmp_path / "split.h5",
        scheme="natural",
        data_file=table,
        data_options=options,
        force=True,
        **more,
    )


def test_every_client_holds_one_group_whole(tmp_path, table):
    split = made(tmp_path, table)
    data = registry.load("csv", None, table, split.data_options)
    assert data.x_train.shape[1] == 2, "neither label nor group is a feature"
    # Row i holds the number i and the group i % 3.
    groups = [sorted({int(data.x_train[row, 0]) % 3 for row in own}) for own in split.samples]
    assert sorted(groups) == [[0], [1], [2]]
    everything = np.sort(np.concatenate(split.samples))
    np.testing.assert_array_equal(everything, np.arange(len(data.y_train)))


def test_fewer_clients_and_samples(tmp_path, table):
    split = made(tmp_path, table, clients=2, samples=5)
    assert [len(own) for own in split.samples] == [5, 5]
    again = made(tmp_path, table, clients=2, samples=5)
    assert all((a == b).all() for a, b in zip(split.samples, again.samples, strict=True))
    with pytest.raises(UsageError, match="only 3 groups"):
        made(tmp_path, table, clients=4)


def test_attackers_are_turned_and_not_added(tmp_path, table):
    made(tmp_path, table)
    path, output = tmp_path / "split.h5", tmp_path / "poisoned.h5"
    options = {"flip": ["yes:no"], "style": "mixed"}
    with pytest.raises(UsageError, match="--convert turns some"):
        attack_split(path, output, "label-flip", options, malicious="1", data_file=table)
    done = attack_split(path, output, "label-flip", options, convert="1", data_file=table)
    assert len(done.malicious) == 1
    assert done.samples > 0


def test_data_that_name_no_groups_are_refused(tmp_path):
    with pytest.raises(UsageError, match="does not say who its samples come from"):
        partition("digits", tmp_path / "split.h5", scheme="natural")


@pytest.mark.parametrize(
    ("column", "said"), [("kind", "is the label's column"), ("sites", "did you mean 'site'")]
)
def test_a_wrong_column_is_named(tmp_path, table, column, said):
    with pytest.raises(UsageError, match=said):
        registry.load("csv", None, table, {"label_column": "kind", "group_column": column})


@pytest.mark.parametrize("halves", [False, True])
def test_npz_says_it_by_an_array(tmp_path, halves):
    x = np.arange(40, dtype=np.float32).reshape(20, 2)
    y, group = np.arange(20) % 2, np.array(["red", "blue"] * 10)
    path = tmp_path / "own.npz"
    if halves:
        np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y, group_train=group)
    else:
        np.savez(path, x=x, y=y, group=group)
    split = partition("npz", tmp_path / "split.h5", scheme="natural", data_file=path)
    data = registry.load("npz", None, path)
    assert len(split.clients) == 2
    for own in split.samples:
        # Rows 0, 2, 4 ... are red: their first number is a multiple of 4.
        assert len({int(data.x_train[row, 0]) % 4 for row in own}) == 1


def test_npz_groups_of_another_length(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x=np.ones((6, 2)), y=np.arange(6) % 2, group=np.arange(5))
    with pytest.raises(InputError, match="for each of the 6 samples"):
        registry.load("npz", None, path)
