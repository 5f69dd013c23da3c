"""``explain``: what it says of a client agrees with the scores, the round and its own words."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from lomar_cli.files.scores import read_scores, write_scores
from lomar_cli.scoring.registry import DEFAULT_METHOD, METHODS
from tests.commands import lomar, process, refused, works
from tests.making import read_updates, tensors, write_round, write_verdict

NEEDS_MORE = {"fltrust", "zeno", "zeno-plus", "fldetector"}


@pytest.fixture
def odd(tmp_path):
    """Twenty clients: three near-copies, one boosted, one that points the other way, one NaN."""
    made = {name: array + 1 for name, array in tensors(20, labels=4, features=6, seed=2).items()}
    for name in made:
        made[name][1:3] = made[name][0] * 1.001
        made[name][5] *= 50
        made[name][6] *= -1
        made[name][9, 0] = np.nan
    return write_round(tmp_path / "odd.h5", made, labels=["a", "b", "c", "d"])


def told(*args):
    return json.loads(works("explain", *args, "--json").stdout)


@pytest.mark.parametrize("method", [name for name in METHODS.names() if name not in NEEDS_MORE])
def test_every_method_is_explained_and_agrees_with_its_scores(method, odd, tmp_path):
    works("score", odd, "-m", method, "-o", tmp_path / "s.h5", "-q")
    scores = read_scores(tmp_path / "s.h5")
    for client in ("c0", "c5", "c9"):
        found = told(odd, client, "-m", method)
        row = scores.clients.index(client)
        assert found["keep"] == scores.keep[row]
        assert found["suspicion"] == scores.suspicion[row]
        assert found["reason"] == scores.columns["reason"][row]
        assert found["flagged"] == int((~scores.keep).sum())
        assert found["rank"] == 1 + sum(scores.suspicion > scores.suspicion[row])
        assert found["words"][0].startswith("kept" if found["keep"] else "removed")
        # Not judged again, the same is said.
        assert told(odd, client, "--scores", tmp_path / "s.h5") == found


def test_the_nearest_are_the_nearest(odd):
    found = told(odd, "c4", "-m", "none")
    flat = np.concatenate([a.reshape(20, -1) for a in read_updates(odd).values()], axis=1)
    distance = {f"c{i}": np.linalg.norm(flat[i] - flat[4]) for i in range(20) if i not in (4, 9)}
    nearest = sorted(distance, key=distance.__getitem__)[:5]
    assert [one["client"] for one in found["neighbours"]] == nearest
    for one in found["neighbours"]:
        assert one["distance"] == pytest.approx(distance[one["client"]], rel=1e-4)
        assert one["keep"] is True
    others = np.delete(flat, 9, axis=0).astype(float)
    middle = np.median(others, axis=0)
    cosines = others @ middle / np.linalg.norm(others, axis=1) / np.linalg.norm(middle)
    assert found["cosine_to_median"] == pytest.approx(cosines[4])
    assert found["median_cosine"] == pytest.approx(np.median(cosines))
    assert found["length"] == pytest.approx(np.linalg.norm(others[4]))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_small_and_empty_rounds_are_explained(count, factor, tmp_path):
    made = {name: array * np.float32(factor) for name, array in tensors(count).items()}
    path = write_round(tmp_path / "r.h5", made)
    found = told(path, "c0")
    assert len(found["neighbours"]) == count - 1
    assert found["side"] is None
    assert ("no other client" in found["words"][-1]) == (count == 1)
    shown = works("explain", path, "c0").stdout
    assert ("nearest" in shown) == (count > 1)


def test_who_is_across_is_not_against(tmp_path):
    made = {name: array + 1 for name, array in tensors(9).items()}
    for name in made:
        made[name][0] -= 1
        made[name][1] *= -1
    path = write_round(tmp_path / "r.h5", made)
    across, against = told(path, "c0"), told(path, "c1")
    assert abs(across["cosine_to_median"]) < against["median_cosine"] / 2
    assert against["side"] == "opposite"
    assert across["side"] != "opposite"


def test_sides(odd):
    assert told(odd, "c1")["side"] == "tighter"
    assert told(odd, "c5")["side"] == "thinner"
    assert told(odd, "c6")["side"] == "opposite"
    assert told(odd, "c12")["side"] is None
    assert set(told(odd, "c1")["near_copies"]) == {"c0", "c2"}
    assert any("copies are: c" in sentence for sentence in told(odd, "c1")["words"])
    assert told(odd, "c12")["near_copies"] == []


def test_labels_have_the_methods_own_factors(odd, tmp_path):
    works("score", odd, "-m", "lomar", "-o", tmp_path / "s.json", "-q")
    scores = read_scores(tmp_path / "s.json")
    found = told(odd, "c3", "-m", "lomar")["labels"]
    assert sorted(one["label"] for one in found) == ["a", "b", "c", "d"]
    for one in found:
        assert one["log_factor"] == scores.columns[f"log_factor_label_{one['label']}"][3]
    loud = [max(abs(one["near_z"]), abs(one["far_z"])) for one in found]
    assert loud == sorted(loud, reverse=True)
    for other in ("krum", "lomar-auto"):
        assert "log_factor" not in told(odd, "c3", "-m", other)["labels"][0]


def test_the_default_is_explained_by_its_views(odd, tmp_path):
    """One's own choice of views is what is told, and what the scores hold."""
    whole, part = told(odd, "c5"), told(odd, "c5", "--views", "near,direction")
    assert {one["view"] for one in part["views"]} == {"near", "direction"}
    assert {one["view"] for one in part["views"]} < {one["view"] for one in whole["views"]}
    works("score", odd, "--views", "direction,near", "-o", tmp_path / "s.h5", "-q")
    assert told(odd, "c5", "--scores", tmp_path / "s.h5") == part


def test_the_parameter_that_is_far_too_long_is_named(tmp_path):
    rng = np.random.default_rng(0)
    made = {"conv.weight": rng.normal(size=(15, 4, 5)).astype(np.float32), **tensors(15)}
    made["conv.weight"][2] *= 8
    path = write_round(tmp_path / "r.h5", made)
    found = told(path, "c2")
    assert found["parameters"][0]["parameter"] == "conv.weight"
    lengths = np.linalg.norm(made["conv.weight"].reshape(15, -1), axis=1)
    ratio = lengths[2] / np.median(lengths)
    assert found["parameters"][0]["of_median"] == pytest.approx(ratio, rel=1e-5)
    assert any(f"conv.weight ({ratio:.3g} times)" in sentence for sentence in found["words"])
    assert not any("far from its median" in sentence for sentence in told(path, "c5")["words"])


def test_who_was_set_aside_is_compared_with_nobody(odd):
    found = told(odd, "c9")
    assert found["set_aside"] and "neighbours" not in found
    shown = works("explain", odd, "c9").stdout
    assert "holds NaN" in shown and "set aside" in shown
    assert "c9" not in [one["client"] for one in told(odd, "c8")["neighbours"]]


def test_no_output_layer_and_layers(tmp_path):
    path = write_round(tmp_path / "r.h5", 8, output=None)
    assert told(path, "c1", "-m", "lof")["labels"] == []
    both = write_round(tmp_path / "q.h5", 8)
    one, other = told(both, "c1", "--layers", "fc.weight"), told(both, "c1")
    assert one["length"] < other["length"]
    works("score", both, "--layers", "fc.weight", "-o", tmp_path / "s.h5", "-q")
    assert told(both, "c1", "--scores", tmp_path / "s.h5") == one


def viewed(path, tmp_path, **views):
    """Scores of a method with views, of which the first client's are given."""
    works("score", path, "-m", "none", "-f", "-o", tmp_path / "plain.h5", "-q")
    scores = read_scores(tmp_path / "plain.h5")
    count = len(scores.clients)
    columns = dict(scores.columns)
    columns |= {f"view_{name}": [value] + [0.1] * (count - 1) for name, value in views.items()}
    columns["suspicion"] = [max(v for v in views.values() if v == v)] + [0.1] * (count - 1)
    columns["keep"] = [columns["suspicion"][0] <= 1] + [True] * (count - 1)
    columns["weight"] = [0.25] + [1.0] * (count - 1)
    made = dataclasses.replace(scores, columns=columns, threshold=1.0, method="views")
    write_scores(tmp_path / "views.h5", made, "h5", True)
    return tmp_path / "views.h5"


def test_views_say_how_far_they_are_from_their_threshold(round_file, tmp_path):
    scores = viewed(round_file, tmp_path, near=0.5, far=3.25, mix=float("nan"), direction=1.5)
    found = told(round_file, "c0", "--scores", scores)
    assert [(one["view"], one["suspicion"]) for one in found["views"]] == [
        ("far", 3.25),
        ("direction", 1.5),
        ("near", 0.5),
        ("mix", None),
    ]
    assert found["weight"] == 0.25
    assert any(
        "beyond their threshold: far 3.25, direction 1.50; below it: near 0.50; "
        "could not judge: mix" in sentence
        for sentence in found["words"]
    )
    assert any("counts as 0.25 of a client" in sentence for sentence in found["words"])
    calm = told(round_file, "c1", "--scores", scores)
    assert any("no view is beyond its threshold" in sentence for sentence in calm["words"])


def test_what_is_shown_is_what_json_says(odd):
    shown, found = works("explain", odd, "c5").stdout, told(odd, "c5")
    said = "keep" if found["keep"] else "remove"
    assert shown.splitlines()[0] == f"c5: {said} (by {DEFAULT_METHOD})"
    for sentence in found["words"]:
        assert f"- {sentence}" in shown
    for one in found["neighbours"]:
        assert one["client"] in shown


def test_a_wrong_client_is_told_the_nearest_names(tmp_path):
    path = write_round(tmp_path / "r.h5", 3, clients=["site-1", "site-2", "clinic"])
    refused(tmp_path, 2, ["'site-3'", "did you mean", "site-1"], "explain", path, "site-3")
    refused(tmp_path, 2, ["'zzz'", "3 clients", "site-1"], "explain", path, "zzz")


def test_scores_and_a_method_are_not_given_both(round_file, tmp_path):
    scores = write_verdict(tmp_path / "v.csv", round_file, ["c1"])
    words = ("explain", round_file, "c1", "--scores", scores)
    refused(tmp_path, 2, ["--method", "--scores"], *words, "--method", "lof")
    refused(tmp_path, 2, ["--kernel", "--scores"], *words, "--kernel", "gaussian")
    other = write_round(tmp_path / "other.h5", 9)
    refused(tmp_path, 3, ["another round"], "explain", other, "c1", "--scores", scores)
    assert told(round_file, "c1", "--scores", scores)["keep"] is False
    assert told(round_file, "c1", "--scores", scores)["threshold"] is None


def test_a_figure_without_labels(tmp_path):
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    path = write_round(tmp_path / "r.h5", 8, output=None)
    works("explain", path, "c1", "-m", "lof", "--plot", tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("client", ["c5", "c9", "c12"])
def test_the_figure_is_the_same_every_time(client, odd, tmp_path):
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    for name in ("one.svg", "two.svg"):
        works("explain", odd, client, "--plot", tmp_path / name, "-q")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert (
        f"{client}: removed by {DEFAULT_METHOD}" in text
        or f"{client}: kept by {DEFAULT_METHOD}" in text
    )
    refused(tmp_path, 4, ["one.svg"], "explain", odd, client, "--plot", tmp_path / "one.svg")


def test_a_figure_of_views(round_file, tmp_path):
    pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")
    scores = viewed(round_file, tmp_path, near=0.5, far=3.25, mix=float("nan"))
    words = ("explain", round_file, "c0", "--scores", scores)
    works(*words, "--plot", tmp_path / "f.svg")
    text = (tmp_path / "f.svg").read_text()
    assert "could not judge" in text and "3.25" in text


def test_names_of_strangers_do_not_reach_the_terminal(tmp_path):
    path = write_round(tmp_path / "r.h5", 3, clients=["[red]x[/red]", "$a_b$", "名"])
    assert "[red]x[/red]: keep" in works("explain", path, "[red]x[/red]", "-m", "none").stdout
    ran = lomar("explain", path, "\x1b[31mc")
    assert ran.exit_code == 2
    assert "\x1b" not in ran.stderr


def test_a_narrow_terminal_shows_all_columns(odd):
    ran = process("explain", odd, "c5", COLUMNS="80")
    assert "suspicion" in ran.stdout and "verdict" in ran.stdout
    assert all(len(line) <= 80 for line in ran.stdout.splitlines() if not line.startswith("- "))
