"""Tables in the paper's layouts, its numbers beside ours."""

from __future__ import annotations

import csv
import io

import pytest

from lomar_cli.experiments.complete import means_csv, rows_csv
from lomar_cli.experiments.layouts import layout_tables, sections
from lomar_cli.experiments.printed import Printed
from lomar_cli.experiments.reading import read_results
from lomar_cli.experiments.tables import as_csv, as_html, as_markdown
from tests.experiments import made


def results(tmp_path, plan, row=made.accuracies, **more):
    return read_results(made.folder(tmp_path / "r", plan, row, **more))


def test_table_3_has_the_data_sets_across_and_the_paper_beside(tmp_path):
    both = [made.setting("MNIST"), made.setting("KDD", {"flip": ["4:9"], "malicious": "3"})]
    (table,) = layout_tables(results(tmp_path, made.plan(both, layout="table3")))
    assert list(table.heads) == [
        (name, measure) for name in ("MNIST", "KDD") for measure in ("overall", "source", "other")
    ]
    assert [name for name, _ in table.rows] == ["LoMar", "Krum", "No defense", "No attack"]
    # Table 3 of the paper: Krum 0.883 0.051 0.815 on MNIST and 0.692 0.022 0.970 on KDD.
    krum = dict(table.rows)["Krum"]
    assert [value.paper for value in krum] == [0.883, 0.051, 0.815, 0.692, 0.022, 0.970]
    assert [value.mean for value in krum[:2]] == pytest.approx([0.55, 0.275])
    text = as_markdown(table)
    assert "| Krum | 0.550 ± 0.071 [0.883] |" in text
    assert "Told the true number of attackers: Krum." in text
    assert "true label is attacked" in text
    assert "MNIST overall paper" in as_csv(table).splitlines()[0]


def test_further_points_make_further_tables(tmp_path):
    plan = made.plan([made.setting("MNIST", imbalance=[0.0, 0.7])], layout="table3")
    tables = layout_tables(results(tmp_path, plan))
    assert [table.name for table in tables] == ["table3", "table3-2"]
    assert "lambda 0.7" in tables[1].caption


def test_table_4_has_a_column_for_every_flipped_label(tmp_path):
    flips = ["1:7", "6:9", "2:5", "0:8"]

    def row(cell):
        return made.accuracies(cell) | {"per_label": {str(i): i / 10 for i in range(10)}}

    plan = made.plan([made.setting("MNIST", {"flip": flips})], layout="labels")
    (table,) = layout_tables(results(tmp_path, plan, row))
    columns = [column for _, column in table.heads]
    assert columns == ["overall", "1", "7", "6", "9", "2", "5", "0", "8", "other"]
    lomar = dict(table.rows)["LoMar"]
    assert [value.mean for value in lomar[1:9]] == [0.1, 0.7, 0.6, 0.9, 0.2, 0.5, 0.0, 0.8]
    assert [value.paper for value in lomar] == [
        *(0.885, 0.962, 0.895, 0.936, 0.864, 0.844, 0.786, 0.955, 0.836, 0.875)
    ]


def test_other_flips_are_not_set_beside_the_paper(tmp_path):
    plan = made.plan([made.setting("MNIST", {"flip": ["1:7", "6:9"]})], layout="labels")
    (table,) = layout_tables(results(tmp_path, plan))
    assert not table.papers


def test_table_5_has_training_above_testing(tmp_path):
    def row(cell):
        return made.accuracies(cell) | {"training": {"overall": 0.7, "source": 0.6, "other": 0.5}}

    plan = made.plan([made.setting("faces")], layout="table5")
    training, testing = layout_tables(results(tmp_path, plan, row))
    assert (training.corner, testing.corner) == ("Training", "Testing")
    assert [value.mean for value in training.rows[0][1]] == pytest.approx([0.7, 0.6, 0.5])
    assert [value.paper for value in training.rows[0][1]] == [0.830, 0.733, 0.854]
    assert [value.paper for value in testing.rows[0][1]] == [0.897, 0.839, 0.912]
    assert testing.rows[0][1][0].mean == pytest.approx(0.85)


def test_table_5_without_training_accuracy_has_the_testing_part(tmp_path):
    (only,) = layout_tables(results(tmp_path, made.plan([made.setting("faces")], layout="table5")))
    assert only.corner == "Testing"


def test_what_has_no_result_says_why_and_is_no_zero(tmp_path):
    def status(cell):
        if cell.defense["name"] == "Krum":
            return "not applicable", "needs <9> clients | has 3"
        return "done", ""

    found = results(tmp_path, made.plan([made.setting("MNIST")], layout="table3"), status=status)
    (table,) = layout_tables(found)
    assert "| Krum | not applicable: needs <9> clients \\| has 3 |" in as_markdown(table)
    assert "not applicable: needs &lt;9&gt; clients" in as_html(table)
    (line,) = [
        row for row in csv.DictReader(io.StringIO(as_csv(table))) if row["defense"] == "Krum"
    ]
    assert line["MNIST overall"] == "" and "needs <9> clients" in line["text"]
    (line,) = [r for r in csv.DictReader(io.StringIO(means_csv(found))) if r["defense"] == "Krum"]
    assert line["overall"] == "" and line["not_applicable"] == "needs <9> clients | has 3"


def test_sections_show_every_place_once(tmp_path):
    plan = made.plan([made.setting("MNIST", {"malicious": ["10%", "40%"]})])
    tables = sections(results(tmp_path, plan))
    assert len(tables) == 2
    for table in tables:
        assert [name for name, _ in table.rows] == ["LoMar", "Krum", "No defense", "No attack"]


def test_the_complete_csv_has_a_line_a_seed_and_round(tmp_path):
    def row(cell):
        return [{"round": r, **made.accuracies(cell), "per_label": {"a": 0.5}} for r in (5, 10)]

    plan = made.plan([made.setting("MNIST")], rounds=10)
    lines = list(csv.DictReader(io.StringIO(rows_csv(results(tmp_path, plan, row)))))
    assert len(lines) == 4 * 2 * 2
    assert {line["round"] for line in lines} == {"5", "10"}
    assert {line["per_label.a"] for line in lines} == {"0.5"}


@pytest.mark.parametrize(
    ("name", "count"), [("table3", 3 * 7 * 3), ("table4", 6 * 10), ("table5", 5 * 6)]
)
def test_the_paper_is_there_in_full(name, count):
    paper = Printed(name)
    assert len(paper._values) == count
    assert all(0 <= value <= 1 for value in paper._values.values())


def test_names_are_found_whatever_their_case_and_spaces():
    paper = Printed("table3")
    assert paper.of("mnist", "FG+Krum", "source") == 0.996
    assert paper.of("MNIST", "Bulyan", "source") is None
