"""What holds for every command. The commands are found by walking the app: a new one joins."""

from __future__ import annotations

import inspect
import os
import typing
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pytest
import typer
from typer.models import OptionInfo

from lomar_cli.attacks.registry import ATTACKS
from lomar_cli.cli.app import app
from tests.commands import lomar, refused, works
from tests.making import tensors, write_base, write_client, write_round, write_verdict


@dataclass(frozen=True)
class Option:
    """An option as a command's own signature declares it."""

    flags: tuple[str, ...]
    kind: Any
    info: Any

    @property
    def name(self) -> str:
        return max((flag.split("/")[0] for flag in self.flags), key=len)


def walk(found: typer.Typer, path: str = "") -> dict[str, Any]:
    """Every leaf of the command tree: "attack label-flip" -> its function."""
    leaves = {f"{path}{one.name}": one.callback for one in found.registered_commands}
    for group in found.registered_groups:
        leaves |= walk(group.typer_instance, f"{path}{group.name} ")
    return leaves


def options(function: Any) -> list[Option]:
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for name in inspect.signature(function).parameters:
        kind, *more = typing.get_args(hints[name])
        for info in more:
            if isinstance(info, OptionInfo):
                # In an annotation the first flag stands where a default would.
                flags = [info.default, *(info.param_decls or ())]
                found.append(Option(tuple(f for f in flags if isinstance(f, str)), kind, info))
    return found


def plain(kind: Any) -> Any:
    """``Path`` for ``Path | None``, and for ``list[Path]``: the same value, more than once."""
    inner = [one for one in typing.get_args(kind) if one is not type(None)]
    if type(None) in typing.get_args(kind):
        return plain(inner[0])
    return inner[0] if typing.get_origin(kind) is list else kind


LEAVES = walk(app)
# They read results, not files of a pipeline: tests/experiments holds what is promised of them. A
# watch goes on in the folder that it writes: tests/watch.
SWEEPS = {"run", "report", "drill", "watch"}
OPTIONS = {name: {option.name: option for option in options(f)} for name, f in LEAVES.items()}
WRITERS = [n for n, found in OPTIONS.items() if "--output" in found and n not in SWEEPS]
SHARED = {
    name: {user: found[name] for user, found in OPTIONS.items() if name in found}
    for name in {name for found in OPTIONS.values() for name in found}
}
# The field's own words clash here, and each is the one that people look for: a model's architecture
# or its file, a file of sample counts or how to weigh by them, which
# layers to look at or what layers there are.
TWO_WORDS = {"--model", "--weights", "--layers"}
SHARED = {
    name: users
    for name, users in sorted(SHARED.items())
    if len(users) > 1 and name not in TWO_WORDS
}
COMMON = {"--quiet": "-q", "--verbose": "-v", "--debug": None}


def test_the_walk_finds_the_commands():
    assert {"partition", "attack label-flip", "score", "list"} <= set(LEAVES)
    assert {"partition", "train", "dump", "score", "export"} <= set(WRITERS)
    assert {"--output", "--force", "--seed", "--memory"} <= set(SHARED)


@pytest.mark.parametrize("name", LEAVES)
def test_help_has_an_example_of_the_command(name):
    ran = works(*name.split(), "--help")
    assert "Example" in ran.stdout
    assert f"lomar {name}" in ran.stdout.split("Example")[1]
    assert ran.stderr == ""
    assert works(*name.split(), "-h").stdout == ran.stdout


@pytest.mark.parametrize("name", LEAVES)
def test_common_options_are_there(name):
    for long, short in COMMON.items():
        assert set(OPTIONS[name][long].flags) == {long, short} - {None}


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_says_what_it_is(name):
    assert [o.name for o in OPTIONS[name].values() if not o.info.help] == []


@pytest.mark.parametrize("name", WRITERS)
def test_whoever_writes_can_be_forced(name):
    assert set(OPTIONS[name]["--output"].flags) == {"--output", "-o"}
    assert set(OPTIONS[name]["--force"].flags) == {"--force", "-f"}


def test_no_short_flag_has_two_meanings():
    meanings = defaultdict(set)
    for found in OPTIONS.values():
        for option in found.values():
            for flag in option.flags:
                if not flag.startswith("--"):
                    meanings[flag].add(option.name)
    assert meanings["-o"] == {"--output"}
    assert {flag: longs for flag, longs in meanings.items() if len(longs) > 1} == {}


@pytest.mark.parametrize("name", SHARED)
def test_an_option_takes_the_same_kind_of_value_in_every_command(name):
    kinds = {user: plain(option.kind) for user, option in SHARED[name].items()}
    assert len(set(map(str, kinds.values()))) == 1, kinds


@pytest.mark.parametrize("name", SHARED)
def test_an_option_is_described_alike_in_every_command(name):
    texts = {user: option.info.help for user, option in SHARED[name].items()}
    assert len(set(texts.values())) == 1, texts


@pytest.mark.parametrize("name", LEAVES)
def test_help_cuts_no_option_short_on_a_narrow_terminal(name):
    shown = works(*name.split(), "--help", env={"COLUMNS": "80"}).stdout
    missing = [option.name for option in OPTIONS[name].values() if option.name not in shown]
    assert missing == []
    assert "\N{BOX DRAWINGS LIGHT VERTICAL}" not in shown


def test_help_is_in_panels_where_these_have_room():
    assert (
        "\N{BOX DRAWINGS LIGHT VERTICAL}" in works("score", "--help", env={"COLUMNS": "100"}).stdout
    )


@pytest.mark.parametrize("name", LEAVES)
def test_an_unknown_option_is_named_in_one_line(name, tmp_path):
    refused(tmp_path, 2, ["--no-such-option"], *name.split(), "--no-such-option")


def test_without_a_command_the_help_is_shown():
    ran = lomar()
    assert "partition" in ran.stdout + ran.stderr
    assert works("--version").stdout.startswith("lomar ")
    refused_name = lomar("scroe")
    assert refused_name.exit_code == 2
    assert refused_name.stderr.startswith("lomar: error: ")


# How to call each command that writes; the output goes behind it.
RECIPES = {
    "demo": lambda f: ["demo", "--rounds", "1", "-q"],
    "partition": lambda f: ["partition", "digits", "--clients", "3", "--samples-per-client", "9"],
    "attack label-flip": lambda f: [
        *("attack", "label-flip", f.split, "--flip", "1:7", "--malicious", "1")
    ],
    "attack backdoor": lambda f: [
        *("attack", "backdoor", f.split, "--target", "7", "--convert", "1")
    ],
    "init": lambda f: ["init", "digits", "--model", "logistic"],
    "train": lambda f: ["train", f.split, "--local-steps", "1"],
    "dump": lambda f: ["dump", f.client, "--differences"],
    "score": lambda f: ["score", f.round, "--format", "csv"],
    "filter": lambda f: ["filter", f.round, "--scores", f.verdict],
    "aggregate": lambda f: ["aggregate", f.round, "--from-zero"],
    "evaluate": lambda f: ["evaluate", "--scores", f.verdict, "--truth", f.truth],
    "export": lambda f: ["export", f.model, "--format", "npz"],
    "run": lambda f: ["run", "table3", "--quick"],
    "report": lambda f: ["report", f.folder],
}
# Every attack on rounds is called alike.
RECIPES |= {
    f"attack {name}": lambda f, name=name: [
        *("attack", name, f.round, "--convert", "2"),
        *(("--replay", f.round) if name == "free-rider-replay" else ()),
    ]
    for name, entry in ATTACKS.items()
    if entry.on == "round"
}
NEEDS_TORCH = {"train", "demo"}
# They make a folder, and -f replaces the files in it.
FOLDERS = {"demo", "run", "report"}
FILE_WRITERS = [name for name in WRITERS if name not in FOLDERS]


def round_attack(name):
    """All attacks on rounds are called alike; some need an earlier round."""
    earlier = "--replay" in OPTIONS[name]
    return lambda f: [*name.split(), f.round, "--convert", "1", *["--replay", f.round] * earlier]


for _name, _entry in ATTACKS.items():
    if _entry.on == "round":
        RECIPES[f"attack {_name}"] = round_attack(f"attack {_name}")


class Inputs:
    """One small file of every kind."""

    def __init__(self, folder, split):
        self.folder, self.split = folder, split
        self.round = write_round(folder / "round.h5")
        self.verdict = write_verdict(folder / "v.csv", self.round, ["c1"])
        self.truth = folder / "truth.json"
        self.truth.write_text('{"malicious": ["c1"]}')
        one = {name: array[0] for name, array in tensors(1).items()}
        self.client = write_client(folder / "client.npz", one)
        self.model = write_base(folder / "model.h5", one)


@pytest.fixture(scope="module")
def inputs(split, tmp_path_factory):
    return Inputs(tmp_path_factory.mktemp("inputs"), split.split)


@pytest.fixture
def recipe(request, inputs):
    """The words of the command that the test asks for, with inputs that fit."""
    name = request.param
    if name not in RECIPES:
        pytest.fail(f"'{name}' writes a file: say in RECIPES how to call it")
    if name in NEEDS_TORCH:
        pytest.importorskip("torch", reason="training needs the extra 'train'")
    return RECIPES[name](inputs)


@pytest.mark.parametrize("recipe", WRITERS, indirect=True)
def test_an_existing_output_is_refused_and_untouched(recipe, tmp_path):
    output = tmp_path / "out.x"
    output.write_text("mine")
    refused(tmp_path, 4, ["out.x"], *recipe, "-o", output)


@pytest.mark.parametrize("recipe", FILE_WRITERS, indirect=True)
def test_force_replaces_the_output(recipe, tmp_path):
    output = tmp_path / "out.h5"
    works(*recipe, "-o", output)
    written = output.read_bytes()
    output.write_text("mine")
    works(*recipe, "-o", output, "-f")
    assert output.read_bytes() == written
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("recipe", FILE_WRITERS, indirect=True)
def test_force_does_not_replace_what_is_no_regular_file(recipe, tmp_path):
    output = tmp_path / "pipe"
    os.mkfifo(output)
    ran = lomar(*recipe, "-o", output, "-f")
    assert ran.exit_code in (2, 4), ran.stderr
    assert output.is_fifo()


@pytest.mark.parametrize("recipe", FILE_WRITERS, indirect=True)
def test_a_dash_is_a_stream_or_refused_but_never_a_file(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = lomar(*recipe, "-o", "-")
    assert not (tmp_path / "-").exists()
    assert (ran.exit_code, bool(ran.stdout)) in {(0, True), (2, False), (3, False)}
