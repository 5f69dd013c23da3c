"""Reading a results folder: what is one point, and what is not."""

from __future__ import annotations

import json
import os

import pytest

from lomar_cli.errors import InputError
from lomar_cli.experiments.reading import read_results
from tests.experiments import made


def test_seeds_of_a_point_are_one_group(tmp_path):
    plan = made.plan([made.setting("MNIST", imbalance=[0.0, 0.5])])
    found = read_results(made.folder(tmp_path / "r", plan, made.accuracies))
    assert len(found.groups) == 2 * 4
    lomar = found.groups[0]
    assert lomar.seeds == [0, 1]
    assert lomar.values("overall") == pytest.approx([0.8, 0.9])
    # By hand: the deviation of 0.8 and 0.9 is 0.1 / sqrt(2).
    assert lomar.mean("overall") == pytest.approx(0.85)
    assert lomar.spread("overall") == pytest.approx(0.1 / 2**0.5)
    assert found.seconds == pytest.approx(1.5 * 16)


@pytest.mark.parametrize(
    ("attack", "data"),
    [({"poison_fraction": [0.5, 1.0]}, {}), ({}, {"clients": [10, 20]})],
)
def test_another_axis_is_never_mixed_into_the_seeds(tmp_path, attack, data):
    plan = made.plan([made.setting("MNIST", attack, **data)])
    found = read_results(made.folder(tmp_path / "r", plan, made.accuracies))
    assert all(group.seeds == [0, 1] for group in found.groups)
    told = {(group.place.setting, group.place.attack) for group in found.groups}
    attacked = {one for one in told if one[1] != "none"}
    assert len(attacked) == 2
    assert any("poison fraction 0.5" in a or "clients 20" in s for s, a in attacked)


def test_clean_runs_belong_to_their_flips(tmp_path):
    """Accuracy on source labels of the clean run depends on which labels these are."""
    plan = made.plan([made.setting("MNIST", {"flip": [["1:7"], ["4:9"]]})])
    found = read_results(made.folder(tmp_path / "r", plan, made.accuracies))
    for place in found.places():
        clean = [group for group in found.at(place) if group.clean]
        assert [group.place.flips for group in clean] == [place.flips]


def test_oracle_and_blind_can_be_told_apart(tmp_path):
    found = read_results(
        made.folder(tmp_path / "r", made.plan([made.setting("M")]), made.accuracies)
    )
    assert {group.point.defense: group.assumed for group in found.groups}["Krum"] == "oracle"
    assert {group.assumed for group in found.groups} == {"", "oracle"}


def test_cells_to_do_and_cells_without_result_are_counted(tmp_path):
    def status(cell):
        return ("failed", "boom") if cell.defense["name"] == "Krum" else ("done", "")

    plan = made.plan([made.setting("MNIST")])
    results = made.folder(tmp_path / "r", plan, made.accuracies, status)
    os.truncate(results / "cells" / f"{plan.cells[0].key}.json", 20)
    found = read_results(results)
    assert found.missing == 1
    assert [(g.point.defense, t.seed, t.reason) for g, t in found.troubles] == [
        ("Krum", 0, "boom"),
        ("Krum", 1, "boom"),
    ]


@pytest.mark.parametrize("broken", [{"cells": 3}, {"title": None, "cells": ["x"]}, {}])
def test_what_lomar_run_did_not_write_is_refused(tmp_path, broken):
    (tmp_path / "experiment.json").write_text(json.dumps({"result_version": 1, **broken}))
    with pytest.raises(InputError, match="run it again"):
        read_results(tmp_path)


def test_a_cell_with_other_contents_is_as_good_as_absent(tmp_path):
    plan = made.plan([made.setting("MNIST")])
    results = made.folder(tmp_path / "r", plan, made.accuracies)
    (results / "cells" / f"{plan.cells[0].key}.json").write_text('{"cell": 5}')
    assert read_results(results).missing == 1


def test_a_result_that_was_changed_or_renamed_is_as_good_as_absent(tmp_path):
    plan = made.plan([made.setting("MNIST")])
    results = made.folder(tmp_path / "r", plan, made.accuracies)
    first, second, *_ = sorted((results / "cells").glob("*.json"))
    changed = json.loads(first.read_text())
    changed["rows"][-1]["overall"] = 0.999
    first.write_text(json.dumps(changed))
    other = json.loads(second.read_text())
    second.with_name("0123456789abcdef.json").write_text(json.dumps(other))
    head = json.loads((results / "experiment.json").read_text())
    head["cells"].append("0123456789abcdef")
    (results / "experiment.json").write_text(json.dumps(head))
    found = read_results(results)
    assert found.missing == 2
    assert 0.999 not in [value for group in found.groups for value in group.values("overall")]


def test_numbers_that_differ_late_are_points_of_their_own(tmp_path):
    plan = made.plan([made.setting("MNIST")], seeds=[0], training={"lr": [0.1234561, 0.1234564]})
    found = read_results(made.folder(tmp_path / "r", plan, made.accuracies))
    assert all(group.seeds == [0] for group in found.groups)
    assert len(found.groups) == 2 * 4
