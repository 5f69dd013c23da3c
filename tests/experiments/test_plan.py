"""Experiment files: what is refused, and what they unfold to."""

from __future__ import annotations

import tomllib

import pytest

from lomar_cli.errors import LomarError
from lomar_cli.experiments.plan import make_plan, preset_names, read_plan

BASE = """
rounds = 4
seeds = [0, 1]
[data]
name = "digits"
clients = 10
[[defense]]
name = "LoMar"
method = "lomar"
"""


def plan(text, quick=False):
    return make_plan(tomllib.loads(text), "test", quick, "test.toml")


def test_axes_unfold():
    text = BASE.replace("clients = 10", "clients = 10\nimbalance = [0.0, 0.5, 0.9]")
    text += '[attack]\nname = "label-flip"\nflip = ["1:7"]\nmalicious = ["10%", "40%"]\n'
    cells = plan(text).cells
    assert len(cells) == 3 * 2 * 2
    assert len({cell.key for cell in cells}) == len(cells)


def test_a_list_of_lists_of_flips_is_an_axis():
    text = BASE + '[attack]\nname = "label-flip"\nmalicious = "2"\n'
    assert len(plan(text + 'flip = ["1:7", "6:9"]').cells) == 2
    assert len(plan(text + 'flip = [["1:7"], ["6:9"]]').cells) == 4


def test_clean_runs_are_not_repeated_for_every_attack():
    text = BASE + '[[defense]]\nname = "clean"\nclean = true\n'
    text += '[attack]\nname = "label-flip"\nflip = ["1:7"]\nmalicious = ["10%", "40%"]\n'
    names = [cell.defense["name"] for cell in plan(text).cells]
    assert names.count("LoMar") == 4
    assert names.count("clean") == 2


def test_quick_overrides_general_and_nested_keys():
    text = BASE + "[quick]\nrounds = 2\nseeds = [7]\n[quick.data]\nclients = 5\n"
    (cell,) = plan(text, quick=True).cells
    assert (cell.rounds, cell.seed, cell.data["clients"]) == (2, 7, 5)
    assert len(plan(text).cells) == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rounds", "round", "did you mean 'rounds'?"),
        ("clients", "client", "did you mean 'clients'?"),
        ('"digits"', '"digit"', "did you mean 'digits'?"),
        ('"lomar"', '"lomr"', "did you mean 'lomar'?"),
        ("method", "metod", "did you mean 'method'?"),
        ("rounds = 4", 'rounds = "4"', "must be a whole number"),
        ("rounds = 4", "rounds = 0", "must be at least 1"),
        ("seeds = [0, 1]", "seeds = []", "seeds"),
        ("seeds = [0, 1]", "seeds = [-1]", "seeds"),
        ('name = "digits"', "", "data: name: is missing"),
        ('[[defense]]\nname = "LoMar"\nmethod = "lomar"', "", "at least one [[defense]]"),
    ],
)
def test_mistakes_are_named(old, new, said):
    assert old in BASE
    with pytest.raises(LomarError) as error:
        plan(BASE.replace(old, new))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_two_defenses_of_one_name():
    with pytest.raises(LomarError, match="same name"):
        plan(BASE + '[[defense]]\nname = "LoMar"\nmethod = "none"\n')


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid_in_both_versions(name):
    assert read_plan(name).cells
    assert read_plan(name, quick=True).cells


def test_unknown_preset():
    with pytest.raises(LomarError, match="did you mean 'table3'"):
        read_plan("tabel3")


ATTACKED = BASE + '[attack]\nname = "label-flip"\nflip = ["1:7"]\nmalicious = "10%"\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('malicious = "10%"', 'malicious = "ten"', "must be a number of clients"),
        ('malicious = "10%"', "", "give malicious"),
        ('malicious = "10%"', 'malicious = "10%"\nconvert = "5"', "give malicious"),
        ('flip = ["1:7"]', "", "flip: is missing"),
        ('flip = ["1:7"]', 'flip = ["1:7"]\nstyle = "pur"', "style"),
        ('"label-flip"', '"label-flop"', "did you mean 'label-flip'?"),
        ('"label-flip"', '"sign-flip"\noptions = { bost = 2.0 }', "no such option"),
        ('"label-flip"', '"sign-flip"\nstyle = "pure"', "has no samples"),
        ('"label-flip"', '"sign-flip"\nknowledge = "some"', "knowledge"),
        ('"label-flip"', '"backdoor"', "--target"),
        ('"10%"', '"1"\nthen = { name = "boots" }', "did you mean 'boost'?"),
        ('"10%"', '"1"\nthen = { name = "label-flip" }', "no attack on rounds"),
        ("clients = 10", "clients = 0", "clients: must be at least 1"),
        ("clients = 10", "clients = 10\nimbalance = 1.5", "lambda lies in [0, 1)"),
        ("clients = 10", "clients = 10\nalpha = 1.0", "scheme paper has no such option"),
        ("clients = 10", 'clients = 10\nrare = "drop"', "rare"),
        ("clients = 10", "clients = 10\nsize = 32", "no such option"),
        ("clients = 10", 'clients = 10\nfile = "a.csv"', "no file of one's own"),
        ("rounds = 4", 'rounds = 4\nlayout = "tabel"', "did you mean 'table'?"),
        ("rounds = 4", 'rounds = 4\nmeasure = ["trainign"]', "did you mean 'training'?"),
        ("seeds = [0, 1]", "seeds = [1, 1]", "stands there twice"),
        ('method = "lomar"', 'method = "lomar"\noptions = { kernel = "flat" }', "options"),
        ('method = "lomar"', 'method = "lomar"\noptions = { kernl = "laplace" }', "options"),
        ('method = "lomar"', 'method = "lomar"\nassume_malicious = "2"', "reckons with a number"),
        ('method = "lomar"', 'method = "krum"\nassume_malicious = "many"', "number of clients"),
        ('method = "lomar"', 'method = "lomar"\nhistory = 0', "history: must be at least 1"),
        ("[[defense]]", "[training]\nlr = -1.0\n[[defense]]", "--lr"),
        ('name = "label-flip"', "", "there is no attack"),
        ('"10%"', '"200%"\nknowledge = "own"', "sees no round"),
        ('malicious = "10%"', 'convert = "101%"', "no more than all clients"),
        ('malicious = "10%"', 'malicious = ""', "must be a number of clients"),
        ('malicious = "10%"', "malicious = []", "malicious: is empty"),
        ('"1:7"', '"17"', "must be SOURCE:TARGET"),
        ('["1:7"]', '["1:7", 3]', "do not go together"),
        ('["1:7"]', '[["1:7"], 3]', "list of lists"),
        ('"label-flip"', '"boost"\noptions = { boost = "ten" }', "must be of type float"),
        ('method = "lomar"', 'method = "lomar"\noptions = { false_alarm = [1] }', "of type float"),
        ("[[defense]]", "[[setting]]\n[[setting]]\n[[defense]]", "same name"),
        ("[[defense]]", "[quick]\nround = 3\n[[defense]]", "did you mean 'rounds'?"),
        ("rounds = 4", "rounds = 4\nsetting = 3", "setting: must be a list"),
        ("[[defense]]", "[quick]\nsetting = 3\n[[defense]]", "must be a list"),
        ("[[defense]]", "[training]\nepochs = 0\n[[defense]]", "--epochs"),
    ],
)  # fmt: skip
def test_mistakes_of_attack_data_and_options_are_named(old, new, said):
    assert old in ATTACKED
    with pytest.raises(LomarError) as error:
        plan(ATTACKED.replace(old, new))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_setting_has_a_pace_of_its_own_and_quick_changes_one_by_name():
    text = BASE + '[[setting]]\nname = "a"\nrounds = 9\n[[setting]]\nname = "b"\n'
    text += '[[quick.setting]]\nname = "b"\nrounds = 2\ndata = { clients = 3 }\n'
    full = {cell.setting: (cell.rounds, cell.data["clients"]) for cell in plan(text).cells}
    quick = {cell.setting: (cell.rounds, cell.data["clients"]) for cell in plan(text, True).cells}
    assert full == {"a": (9, 10), "b": (4, 10)}
    assert quick == {"a": (9, 10), "b": (2, 3)}
    with pytest.raises(LomarError, match="quick: setting: there is no 'c'"):
        plan(text.replace('[[quick.setting]]\nname = "b"', '[[quick.setting]]\nname = "c"'), True)


def test_an_option_left_at_its_default_does_not_change_a_cell():
    """Cells keep their key, and so their results, when an experiment measures nothing more."""
    (one, _), (other, _) = plan(BASE).cells, plan('measure = ["map"]' + BASE).cells
    assert one.key != other.key
    assert "measure" not in one.described


@pytest.mark.parametrize(
    ("line", "mention"),
    [
        ('scheme = "dirichlet"\nalpha = inf', "alpha"),
        ("imbalance = [0, 0.0]", "twice"),
        ('imbalance = "0.5"', "must be a number"),
        ("clients = true", "must be a whole number"),
    ],
)
def test_numbers_that_are_none_or_there_twice(line, mention):
    text = BASE.replace("clients = 10", line if "clients" in line else f"clients = 10\n{line}")
    with pytest.raises(LomarError, match=mention):
        plan(text)
