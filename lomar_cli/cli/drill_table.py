"""The drill's verdict on a terminal: as many methods abreast as fit, the rest below."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from lomar_cli.cli.console import out
from lomar_cli.experiments.drill_report import not_judged, where
from lomar_cli.experiments.drilled import Drill

GAP = 2


def print_drill(done: Drill) -> None:
    """Where each method begins to fail; the files hold the numbers."""
    console = out()
    console.print("The share of attackers from which a method misses more than a tenth of them:")
    for methods in _abreast(done, console.width):
        console.print()
        console.print(_table(done, methods))
    console.print()
    console.print(
        f"{done.clients} clients; the last line counts those that each method removes from the "
        "round as it is.",
        soft_wrap=True,
    )
    for line in not_judged(done):
        console.print(Text(f"not run: {line}", style="dim"), soft_wrap=True)


def _abreast(done: Drill, width: int) -> list[list[str]]:
    """The methods in lines that fit ``width``."""
    first = max([len("removed unprovoked"), *map(len, done.attacks)])
    lines: list[list[str]] = []
    used = width
    for method in done.methods:
        wanted = max(len(method), 8) + GAP
        if not lines or used + wanted > width:
            lines.append([])
            used = first + GAP
        lines[-1].append(method)
        used += wanted
    return lines


def _table(done: Drill, methods: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    table.add_column("attack", no_wrap=True)
    for method in methods:
        table.add_column(method, justify="right", no_wrap=True, min_width=8)
    for attack in done.attacks:
        if attack in done.not_run:
            continue
        table.add_row(attack, *(_cell(done, attack, method) for method in methods))
    held = [done.held(method) for method in methods]
    table.add_row(
        Text("attacks held", style="bold"), *(f"{kept} of {tried}" for kept, tried in held)
    )
    table.add_row(
        Text("removed unprovoked", style="bold"),
        *(str(done.unprovoked[method]) for method in methods),
    )
    return table


def _cell(done: Drill, attack: str, method: str) -> Text:
    said = where(done, attack, method)
    if said == "holds":
        return Text(said, style="green")
    share = done.fails_from(attack, method)
    worst = share is not None and share <= done.shares[0]
    return Text(said.removeprefix("from "), style="red" if worst else "")
