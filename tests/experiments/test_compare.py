"""Two runs side by side, and the worst case over attacks."""

from __future__ import annotations

import csv
import io

import pytest

from lomar_cli.experiments.compare import compare, comparison_csv, comparison_tables
from lomar_cli.experiments.reading import read_results
from lomar_cli.experiments.worst import worst_case, worst_table
from tests.experiments import made


@pytest.fixture
def both(tmp_path):
    """The right run is better by 0.01 with seed 0 and by 0.03 with seed 1; it has a seed more."""

    def better(cell):
        row = made.accuracies(cell)
        return row | {"overall": row["overall"] + 0.01 + 0.02 * cell.seed}

    first = made.plan([made.setting("MNIST", {"malicious": ["10%", "40%"]})])
    second = made.plan([made.setting("MNIST")], seeds=(0, 1, 2))
    left = read_results(made.folder(tmp_path / "a", first, made.accuracies))
    right = read_results(made.folder(tmp_path / "b", second, better))
    return compare(left, right, ("a", "b"))


def test_differences_are_taken_seed_by_seed(both):
    rows = list(csv.DictReader(io.StringIO(comparison_csv(both))))
    (row,) = [r for r in rows if (r["defense"], r["measure"]) == ("LoMar", "overall")]
    # Over seeds 0 and 1, which both have: not 0.11 as between the means of two and three seeds.
    assert float(row["difference"]) == pytest.approx(0.02, abs=1e-6)
    assert float(row["difference sd"]) == pytest.approx(0.02 / 2**0.5, abs=1e-6)
    assert (row["a seeds"], row["b seeds"]) == ("2", "3")


def test_tables_show_both_and_the_difference(both):
    tables = comparison_tables(both)
    assert [head[1] for head in tables[0].heads[:3]] == ["a", "b", "difference"]
    assert dict(tables[0].rows)["LoMar"][2].shown == "+0.020 ± 0.014"


def test_what_stands_in_one_run_only_is_told(both):
    assert {(name, point.place.malicious) for name, point in both.alone} == {("a", "40%")}


ATTACKS = ["label-flip", "alie", "none"]


def _worst(tmp_path, alarms):
    damage = {"label-flip": 0.3, "alie": 0.6, "none": 0.9}

    def row(cell):
        found = {"source": damage[cell.attack["name"]] + 0.1 * cell.seed, "overall": 0.9}
        if cell.attack["name"] == "none" and not cell.defense.get("clean"):
            found["false_alarms"] = alarms
        return found

    plan = made.plan([made.setting("MNIST", {"name": ATTACKS})])
    return worst_case(read_results(made.folder(tmp_path / "r", plan, row)))


def test_the_worst_case_is_the_lowest_mean_and_names_its_attack(tmp_path):
    worst = _worst(tmp_path, 0.25)
    assert worst.defenses == ["LoMar", "Krum", "No defense"]
    value = worst.lowest[0][0]
    assert value.mean == pytest.approx(0.35)
    assert value.text == "label-flip 1:7, 10%"
    assert worst.alarms[0][0].mean == 0.25
    assert worst_table(worst).heads[-1][0] == "false alarms, no attack"


def test_false_alarms_that_nobody_measured_are_no_zero(tmp_path):
    worst = _worst(tmp_path, None)
    assert not worst.alarmed
    assert all(head[0] == "lowest" for head in worst_table(worst).heads)


def test_settings_that_differ_in_their_attack_only_are_one_column(tmp_path):
    settings = [made.setting("flips"), made.setting("alie", {"name": "alie"})]
    found = read_results(made.folder(tmp_path / "r", made.plan(settings), made.accuracies))
    worst = worst_case(found)
    assert worst.columns == ["digits, lambda 0"]
    (by_attack,) = worst.attacks
    assert by_attack.names == ["flips", "alie"]
    assert by_attack.means[0] == pytest.approx([0.425, 0.425])


def test_one_attack_has_no_worst_case(tmp_path):
    settings = [made.setting("MNIST"), made.setting("KDD", clients=20)]
    found = read_results(made.folder(tmp_path / "r", made.plan(settings), made.accuracies))
    assert worst_case(found) is None
