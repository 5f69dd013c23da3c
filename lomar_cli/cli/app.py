"""The command tree. A new subcommand is one file and one line in ``COMMANDS``."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from lomar_cli._version import __version__
from lomar_cli.cli.command import Command
from lomar_cli.cli.guard import LomarGroup

PANELS = {
    "partition": "Make rounds",
    "attack": "Make rounds",
    "init": "Make rounds",
    "train": "Make rounds",
    "dump": "Make rounds",
    "score": "Find and remove",
    "explain": "Find and remove",
    "filter": "Find and remove",
    "aggregate": "Find and remove",
    "evaluate": "Find and remove",
    "watch": "Beside a server",
    "drill": "Start here",
    "run": "Experiments",
    "report": "Experiments",
    "info": "Look at files",
    "validate": "Look at files",
    "diff": "Look at files",
    "export": "Look at files",
    "list": "Look at files",
    "demo": "Start here",
}
# In the order of --help; each is a module of this package, `list` apart, which is `list_`.
COMMANDS = (
    "demo",
    "partition",
    "attack",
    "init",
    "train",
    "dump",
    "score",
    "explain",
    "filter",
    "aggregate",
    "evaluate",
    "watch",
    "drill",
    "run",
    "report",
    "info",
    "validate",
    "diff",
    "export",
    "list",
)
CONTEXT = {"help_option_names": ["-h", "--help"]}


def _version(value: bool) -> None:
    if value:
        print(f"lomar {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Find poisoned client updates in federated learning.

    Every stage reads files and writes one file: split -> round -> scores -> model -> metrics.
    Begin with 'lomar demo', or with a folder of your own client updates:

    \b
      lomar dump updates/ --differences -o round.h5
      lomar score round.h5
    """


def build(words: Sequence[str] | None = None) -> typer.Typer:
    """The command tree; given the words of a command line, only as much of it as they need.

    Building every command takes longer than most of them take to start.
    """
    wanted = next((word for word in words or () if not word.startswith("-")), None)
    names: Sequence[str] = COMMANDS
    if words is not None and wanted in COMMANDS:
        names = [name for name in COMMANDS if name == wanted]
    made = typer.Typer(
        name="lomar",
        cls=LomarGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings=CONTEXT,
    )
    made.callback()(root)
    for name in names:
        module = importlib.import_module(f"lomar_cli.cli.{name}{'_' if name == 'list' else ''}")
        panel = PANELS[name]
        if hasattr(module, "group"):
            group = module.group(whole=words is None or wanted == name)
            made.add_typer(group, name=name, rich_help_panel=panel)
        else:
            function = module.command if words is None or wanted == name else _mention(module)
            text = in_paragraphs(function.__doc__ or "")
            made.command(
                name, cls=Command, help=text, rich_help_panel=panel, context_settings=CONTEXT
            )(function)
    return made


def in_paragraphs(text: str) -> str:
    """A docstring whose lines are as wide as the terminal makes them; what follows \\b stays."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return "\n\n".join(
        each if each.startswith("\b") else " ".join(each.split()) for each in paragraphs
    )


def _mention(module: ModuleType) -> Callable[[], None]:
    """A stand-in without options: enough for the list of commands in --help."""

    def command() -> None:
        pass

    command.__doc__ = module.command.__doc__
    return command


def __getattr__(name: str) -> typer.Typer:
    """``app``: the whole tree, built when somebody asks for it."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = build()
    made: typer.Typer = globals()["app"]
    return made


if TYPE_CHECKING:
    app: typer.Typer
