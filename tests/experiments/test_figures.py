"""Figures: every point of a sweep is drawn, and drawn where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.experiments.reading import read_results
from tests.experiments import made

pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")

from lomar_cli.experiments.figures.gallery import figures
from lomar_cli.experiments.figures.heat import Panel, heat_maps
from lomar_cli.experiments.figures.verdicts import GRID, bounds, mean_roc
from lomar_cli.plots.canvas import floor, styles


def drawn(tmp_path, plan, row=made.accuracies):
    found = read_results(made.folder(tmp_path / "r", plan, row))
    return {name: figure for name, _, figure in figures(found)}


def shown(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_one_axis_has_a_row_of_panels_a_setting(tmp_path):
    tau = {"malicious": ["10%", "20%", "40%"]}
    plan = made.plan([made.setting("MNIST", tau), made.setting("KDD", tau, clients=20)])
    found = drawn(tmp_path, plan)
    panels = shown(found["by-tau"])
    assert len(panels) == 4
    assert panels[0].get_title(loc="left").startswith("MNIST")
    assert panels[2].get_title(loc="left").startswith("KDD")
    (lomar,) = [line for line in panels[0].lines if line.get_label() == "LoMar"]
    assert lomar.get_xdata() == pytest.approx([0.1, 0.2, 0.4], abs=0.01)
    assert lomar.get_ydata() == pytest.approx([0.85] * 3)


def test_two_axes_have_a_panel_for_every_value_of_the_other(tmp_path):
    setting = made.setting("MNIST", {"malicious": ["10%", "40%"]}, imbalance=[0.0, 0.5, 0.9])
    found = drawn(tmp_path, made.plan([setting]))
    by_tau = shown(found["by-tau-mnist-label-flip-pure-1-7"])
    by_lambda = shown(found["by-lambda-mnist-label-flip-pure-1-7"])
    assert [axes.get_title() for axes in by_tau[:3]] == ["lambda 0", "lambda 0.5", "lambda 0.9"]
    assert [axes.get_title() for axes in by_lambda[:2]] == ["tau 10%", "tau 40%"]
    assert (len(by_tau), len(by_lambda)) == (6, 4)


def test_more_defenses_than_lines_can_be_told_apart(tmp_path):
    many = [{"name": f"D{row}", "method": "lomar"} for row in range(12)]
    plan = made.plan(
        [made.setting("MNIST", {"malicious": ["10%", "40%"]}, imbalance=[0.0, 0.5])],
        [*many, {"name": "LoMar", "method": "lomar"}, made.DEFENSES[-1]],
    )
    found = drawn(tmp_path, plan, _scored)
    assert not [name for name in found if name.startswith(("by-tau", "by-lambda"))]
    overall, source = shown(found["by-place-mnist-label-flip-pure-1-7"])
    assert [tick.get_text() for tick in overall.get_xticklabels()][:2] == [
        "lambda 0\ntau 10%",
        "lambda 0\ntau 40%",
    ]
    # A row a defense, in order; the mean over seeds 0 and 1.
    assert len(overall.texts) == 4 * 14
    assert [text.get_text() for text in overall.texts[4 * 11 : 4 * 12 + 1]] == ["0.55"] * 4 + [
        "0.85"
    ]
    assert source.texts[0].get_text() in ("0.27", "0.28")
    histograms = [len(shown(found[name])) for name in ("scores-mnist", "scores-mnist-2")]
    assert histograms == [4 * 8, 4 * 5]


def test_the_clean_run_is_drawn_at_every_share(tmp_path):
    found = drawn(tmp_path, made.plan([made.setting("M", {"malicious": ["10%", "40%"]})]))
    (clean,) = [line for line in shown(found["by-tau"])[0].lines if line.get_label() == "No attack"]
    assert len(clean.get_xdata()) == 2


def _scored(cell):
    rng = np.random.default_rng(cell.seed)
    malicious = [0] * 20 + [1] * 5
    scores = {"threshold": 1.0, "suspicion": rng.normal(malicious).tolist(), "malicious": malicious}
    row = {**made.accuracies(cell), "auc": 0.8}
    return row | ({"scores": scores} if cell.defense.get("method") else {})


def test_every_place_has_its_roc_and_every_pair_its_histogram(tmp_path):
    setting = made.setting("MNIST", {"malicious": ["10%", "40%"]}, imbalance=[0.0, 0.5])
    found = drawn(tmp_path, made.plan([setting]), _scored)
    assert len(shown(found["roc"])) == 4
    assert len(shown(found["scores-mnist"])) == 4


def test_unattacked_rounds_have_a_histogram_and_no_roc(tmp_path):
    def row(cell):
        found = _scored(cell)
        if cell.attack["name"] == "none" and "scores" in found:
            found["scores"]["malicious"] = [0] * 25
        return found

    plan = made.plan([made.setting("MNIST", {"name": ["label-flip", "none"]})])
    found = drawn(tmp_path, plan, row)
    assert len(shown(found["roc"])) == 1
    assert len(shown(found["scores-mnist"])) == 2


def test_mean_roc_is_the_share_found_at_a_rate_of_false_alarms():
    """Against counting: raise the threshold over every suspicion, all of them different."""
    rng = np.random.default_rng(5)
    truth = np.array([0] * 50 + [1] * 20)
    suspicion = rng.normal(truth * 1.0)
    curve = mean_roc({"malicious": truth.tolist(), "suspicion": suspicion.tolist()})
    honest = np.sort(suspicion[truth == 0])[::-1]
    for place, rate in enumerate(GRID):
        alarms = round(rate * 50, 9)
        if alarms == int(alarms) and alarms < 50:
            # The most that is found before one more honest client is flagged.
            expected = np.mean(suspicion[truth == 1] > honest[int(alarms)])
            assert curve[place] == pytest.approx(expected), rate


def test_rounds_are_drawn_for_every_place(tmp_path):
    def rows(cell):
        return [{"round": r, **made.accuracies(cell)} for r in (1, 2, 3)]

    setting = made.setting("MNIST", {"malicious": ["10%", "40%"]}, imbalance=[0.0, 0.5])
    found = drawn(tmp_path, made.plan([setting], rounds=3), rows)
    assert len(shown(found["by-round-mnist-source"])) == 4
    assert len(shown(found["by-round-mnist-overall"])) == 4


def test_settings_of_like_names_keep_their_own_files(tmp_path):
    tau, lambdas = {"malicious": ["10%", "40%"]}, [0.0, 0.5]
    settings = [made.setting(name, tau, imbalance=lambdas) for name in ("A-B", "A B")]
    names = drawn(tmp_path, made.plan(settings))
    assert {"by-tau-a-b-label-flip-pure-1-7", "by-tau-a-b-label-flip-pure-1-7-2"} <= set(names)


def test_accuracy_without_flips_is_drawn_alone(tmp_path):
    def row(cell):
        return {"overall": 0.5, "source": None}

    attack = {"name": "alie", "malicious": ["10%", "40%"], "flip": []}
    found = drawn(tmp_path, made.plan([made.setting("MNIST", attack)]), row)
    assert len(shown(found["by-tau"])) == 1


def test_defenses_differ_in_more_than_colour():
    looks = styles([f"defense {i}" for i in range(16)])
    grey = {(look["marker"], look["linestyle"]) for look in looks.values()}
    assert len(grey) == 16


@pytest.mark.parametrize(
    ("values", "expected"), [([0.9, 0.95], 0.8), ([0.3, 0.9], 0.0), ([], 0.0), ([1.0], 0.9)]
)
def test_where_an_accuracy_axis_begins(values, expected):
    assert floor(values) == pytest.approx(expected)


def test_histograms_end_where_outliers_begin():
    low, high = bounds(np.array([*np.linspace(0, 1, 100), 1e9]))
    assert low == 0 and high < 10
    assert bounds(np.array([2.0, 2.0])) == (1.5, 2.5)


def test_heat_map_turns_the_rows_where_less_is_better():
    figure = heat_maps([Panel("t", [[1.0], [0.0]])], ["found", "removed"], ["m"], turned=1)
    shades = figure.axes[0].images[0].get_array()
    assert shades.tolist() == [[1.0], [1.0]]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "0.00"]
