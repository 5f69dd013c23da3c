"""``lomar list``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import out, print_json


def command(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="methods, rules, pre, attacks, datasets, schemes, models or experiments.",
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Name every method, rule, attack, data set, partition scheme, model and experiment.

    Of methods, rules and pre-aggregations their options are named when one of these kinds is asked
    for.

    \b
    Example:
      lomar list methods
    """
    from lomar_cli.errors import UsageError, nearest
    from lomar_cli.experiments.plan import preset_names
    from lomar_cli.stages.catalog import catalog, options_of

    known = {**catalog(), "experiments": preset_names()}
    if kind is not None and kind not in known:
        raise UsageError(
            f"there are no '{kind}'{nearest(kind, list(known))} (kinds: {', '.join(known)})"
        )
    chosen = {name: entries for name, entries in known.items() if kind in (None, name)}
    if json:
        taken = {name: entries for name, entries in options_of().items() if name in chosen}
        print_json({"schema_version": 1, **chosen, **({"options": taken} if taken else {})})
        return
    from rich.table import Table
    from rich.text import Text

    console = out()
    taken = options_of() if kind is not None else {}
    for name, entries in chosen.items():
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=12)
        table.add_column()
        table.add_column(overflow="fold")
        for entry, about in entries.items():
            given = taken.get(name, {}).get(entry, {})
            table.add_row(f"  {entry}", about, Text(", ".join(map(_option, given.items()))))
        console.print(name)
        console.print(table)


def _option(pair: tuple[str, Any]) -> str:
    name, default = pair
    return name if default is None else f"{name}={default}"
