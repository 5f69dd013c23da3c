"""docs/reproduction.md holds what the files beside it say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAD = "setting,lambda,malicious,attack,defense,source,source_sd,not_applicable\n"


@pytest.fixture
def generator(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location(
        "generator", ROOT / "docs" / "generate_reproduction.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "reproduction").mkdir()
    monkeypatch.setattr(module, "HERE", tmp_path)
    return module


def table(generator, keys, rows):
    (generator.HERE / "reproduction" / "a.csv").write_text(HEAD + rows)
    text = generator.filled(f"before\n<!-- csv a.csv {keys} -->\nold\n<!-- end -->\nafter\n")
    assert text.startswith("before\n<!-- csv a.csv")
    assert text.endswith("<!-- end -->\nafter\n")
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]


def test_the_page_is_current():
    spec = importlib.util.spec_from_file_location(
        "generator", ROOT / "docs" / "generate_reproduction.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.filled(module.PAGE.read_text()) == module.PAGE.read_text()


def test_ours_beside_the_papers(generator):
    rows = "MNIST,0,10%,flip,LoMar,0.97,0.001,\nMNIST,0,10%,flip,Bulyan,,,too few\n"
    head, _, first, second = table(generator, "columns=source paper=table3", rows)
    assert head == ["defense", "source, paper", "source"]
    assert first == ["LoMar", "0.977", "0.970 ± 0.001"]
    assert second[0] == "Bulyan"
    assert second[-1] == "n/a"


def test_values_across_and_an_unattacked_run_in_every_column_of_its_lambda(generator):
    rows = "M,0.0,10%,flip,A,0.1,,\nM,0.5,10%,flip,A,0.2,,\n"
    rows += "M,0.0,,none,C,0.3,,\nM,0.5,,none,C,0.4,,\n"
    head, _, attacked, clean = table(generator, "columns=source along=lambda,malicious", rows)
    assert head == ["source", "lambda 0, 10%", "lambda 0.5, 10%"]
    assert attacked == ["A", "0.100", "0.200"]
    assert clean == ["C", "0.300", "0.400"]


@pytest.mark.parametrize(
    ("keys", "rows", "said"),
    [
        ("columns=source defense=B", "M,0,10%,flip,A,0.1,,\n", "no row has"),
        ("columns=source along=malicious", "M,0,1,f,A,0.1,,\nN,0,1,f,A,0.2,,\n", "2 rows for one"),
    ],
)  # fmt: skip
def test_a_choice_that_fits_nothing_or_too_much(generator, keys, rows, said):
    with pytest.raises(SystemExit, match=said):
        table(generator, keys, rows)


def test_what_is_still_to_be_written_is_no_page(generator):
    with pytest.raises(SystemExit, match="SOME_TEXT is still to be written"):
        generator.filled("A SOME_TEXT\n")
