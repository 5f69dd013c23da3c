"""The figure of updates in two dimensions."""

from __future__ import annotations

import pytest

from lomar_cli.experiments.figures.maps import maps
from lomar_cli.experiments.layouts import layout_tables
from lomar_cli.experiments.results import Group, Place, Point, Results


def results(*rows):
    place = Place("MNIST", 0.0, "10%", "label-flip pure 1:7")
    group = Group(Point(place, "No defense"), seeds=list(range(len(rows))), rows=list(rows))
    return Results(None, "t", "", "map", False, {}, [group], 0, 0.0, [])


def test_a_panel_a_part_and_a_point_a_client():
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    part = {"points": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], "share": 0.5}
    parts = {"whole update": part, "label 1": part}
    ((name, _, figure),) = maps(
        results([{"round": 1}, {"round": 2, "map": {"malicious": [0, 1, 0], "parts": parts}}])
    )
    assert name == "map"
    assert len(figure.axes) == 2
    honest, bad = (axes.get_offsets().tolist() for axes in figure.axes[0].collections)
    assert honest == [[0.0, 1.0], [4.0, 5.0]]
    assert bad == [[2.0, 3.0]]
    assert "50% of the variance" in figure.axes[0].get_title()


def test_a_line_a_part_in_the_mean_over_seeds():
    def seed(distance, spread):
        part = {"points": [], "share": 0.5, "distance": distance, "spread": spread}
        return [{"round": 1, "map": {"malicious": [], "parts": {"whole update": part}}}]

    (table,) = layout_tables(results(seed(2.0, 0.25), seed(4.0, None)))
    ((name, (distance, spread, share)),) = table.rows
    assert name.startswith("MNIST, ") and name.endswith(", whole update")
    assert (distance.mean, distance.seeds) == (3.0, 2)
    assert (spread.mean, spread.seeds, share.mean) == (0.25, 1, 0.5)


def test_nothing_measured_nothing_drawn():
    assert not list(maps(results([{"round": 1}])))
    assert not layout_tables(results([{"round": 1}]))
