"""Write docs/cli.md from the program's own command tree.

    python docs/generate_cli.py            write docs/cli.md
    python docs/generate_cli.py --check    exit 1 if docs/cli.md is not what would be written

Nothing here asks for the width of a terminal, so the page is the same everywhere.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from lomar_cli import errors
from lomar_cli.cli.app import app
from lomar_cli.cli.options import COMMON

Rows = list[tuple[str, ...]]

PAGE = Path(__file__).with_name("cli.md")

EXIT_CODES = {
    0: "Done.",
    errors.LomarError.exit_code: "The run failed. The line on stderr says why.",
    errors.UsageError.exit_code: "Usage: the options are wrong or do not fit the input.",
    errors.InputError.exit_code: "An input file is missing, invalid or hostile.",
    errors.OutputExistsError.exit_code: "The output exists and `--force` was not given.",
    errors.EXIT_FLAGGED: "Clients were flagged (only with `lomar score --fail-on-flagged`).",
    errors.EXIT_INTERRUPTED: "Interrupted. No half-written file is left.",
    errors.EXIT_CLOSED_PIPE: "The reader of stdout closed the pipe, as `head` does.",
}

HEAD = """\
# Commands

This page is written by `docs/generate_cli.py` from the program itself. Do not edit it by hand.

Data goes to stdout; progress, summaries, warnings and errors go to stderr. An error is one line.
An output file is complete or absent. An output that exists is replaced with `--force` only.

`LOMAR_DATA_DIR` names the folder of data sets where `--data-dir` is not given. `NO_COLOR` turns
colours off. `lomar --install-completion` sets up completion for the current shell, and
`lomar --show-completion` prints it.
"""

TYPES = {str: "TEXT", int: "INT", float: "NUMBER", Path: "PATH"}


def page() -> str:
    root = typer.main.get_command(app)
    tree = list(walk(root, "lomar"))
    parts = [HEAD, "## Exit codes\n", table(("code", "meaning"), exit_codes())]
    parts += ["## Common options\n", table(("option", "meaning"), common_options(tree))]
    parts += ["## Overview\n", table(("command", "what it does"), overview(tree[1:]))]
    parts.extend(section(command, path) for path, command in tree)
    return "\n".join(parts)


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The command and all commands below it, in the order of --help."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from walk(below, f"{path} {name}")


def exit_codes() -> Rows:
    return [(f"`{code}`", meaning) for code, meaning in EXIT_CODES.items()]


def common_options(tree: list[tuple[str, Any]]) -> Rows:
    """The options that every command repeats, each told once."""
    told: dict[str, str] = {}
    for _, command in tree:
        for param in command.params:
            if param.rich_help_panel == COMMON:
                told[f"`{', '.join(param.opts)}`"] = cell(param.help)
    return [*told.items(), ("`--help, -h`", "Show a command's help and exit.")]


def overview(tree: list[tuple[str, Any]]) -> Rows:
    rows: Rows = []
    for path, command in tree:
        link = f"[`{path}`](#{path.replace(' ', '-')})"
        rows.append((link, cell(command.help.split("\n\n")[0])))
    return rows


def section(command: Any, path: str) -> str:
    hints = hints_of(command)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name in hints]
    common = [p for p in options if p.rich_help_panel == COMMON]
    own = [p for p in options if p not in common]
    names = [f"`{', '.join(p.opts)}`" for p in common] + ["`--help, -h`"]

    lines = [f"## {path}\n", f"```\n{usage(command, path, arguments, own, hints)}\n```\n"]
    lines.append(prose(command.help))
    if arguments:
        rows: Rows = [(f"`{value_name(p, hints)}`", cell(p.help)) for p in arguments]
        lines.append(table(("argument", "meaning"), rows))
    if own:
        rows = [(spelled(p, hints), default(p), meaning(p, hints)) for p in own]
        lines.append(table(("option", "default", "meaning"), rows))
    if common:
        lines.append(f"[Common options](#common-options): {', '.join(names)}.\n")
    return "\n".join(lines)


def usage(command: Any, path: str, arguments: list[Any], options: list[Any], hints: Any) -> str:
    words = [path, "[OPTIONS]"]
    words += [f"{p.opts[0]} {value_name(p, hints)}" for p in options if p.required]
    words += [value_name(p, hints) for p in arguments]
    words += ["COMMAND ..."] if hasattr(command, "commands") else []
    return " ".join(words)


def hints_of(command: Any) -> dict[str, tuple[Any, Any]]:
    """By parameter: its plain type, and what its ``typer.Option`` or ``typer.Argument`` says."""
    if command.callback is None:
        return {}
    found = typing.get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    return {
        name: (plain(hint.__origin__), hint.__metadata__[0])
        for name, hint in found.items()
        if hasattr(hint, "__metadata__")
    }


def plain(hint: Any) -> Any:
    """``str`` for ``str | None`` and for ``list[str]``."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return plain(next(part for part in typing.get_args(hint) if part is not types.NoneType))
    return plain(typing.get_args(hint)[0]) if typing.get_origin(hint) is list else hint


def value_name(param: Any, hints: Any) -> str:
    if param.metavar:
        return str(param.metavar)
    if param.param_type_name == "argument":
        return str(param.name.upper())
    return TYPES[hints[param.name][0]]


def spelled(param: Any, hints: Any) -> str:
    names = ", ".join(param.opts)
    if hints[param.name][0] is bool:
        return f"`{names}`" + "".join(f", `{name}`" for name in param.secondary_opts)
    return f"`{names} {value_name(param, hints)}`"


def default(param: Any) -> str:
    if param.required:
        return "required"
    if isinstance(param.default, bool):
        chosen = param.opts if param.default else param.secondary_opts
        return f"`{chosen[0]}`" if chosen and param.secondary_opts else ""
    return "" if param.default is None else f"`{param.default}`"


def meaning(param: Any, hints: Any) -> str:
    least = hints[param.name][1].min
    return cell(param.help) + (f" At least {least}." if least is not None else "")


def prose(help_text: str) -> str:
    """Help text as Markdown: what ``\\b`` protects from wrapping becomes a code block."""
    done = []
    for block in inspect.cleandoc(help_text).split("\n\n"):
        kept = block.strip("\n")
        if kept.startswith("\b"):
            lines = kept.lstrip("\b\n").split("\n")
            if not lines[0].startswith(" "):
                done.append(f"{lines.pop(0)}\n")
            done.append(f"```\n{inspect.cleandoc(chr(10).join(lines))}\n```\n")
        else:
            done.append(f"{textwrap.fill(escaped(kept), 100, break_long_words=False)}\n")
    return "\n".join(done)


def cell(text: str | None) -> str:
    return escaped(" ".join((text or "").split()))


def escaped(text: str) -> str:
    for mark, harmless in (("|", "\\|"), ("*", "\\*"), ("<", "&lt;"), ("$", "\\$")):
        text = text.replace(mark, harmless)
    return text


def table(head: tuple[str, ...], rows: Rows) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> int:
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    print("docs/cli.md is stale; run: python docs/generate_cli.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
