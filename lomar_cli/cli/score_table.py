"""Score tables for people, on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from lomar_cli.files.scores import Scores
    from lomar_cli.stages.score_all import Outcome

_ROWS = 15


def show(scores: Scores, console: Console) -> None:
    """The most suspicious clients, the threshold, the counts and what there is to know."""
    import numpy as np
    from rich.table import Table
    from rich.text import Text

    from lomar_cli.files.text import printable

    keep = scores.keep
    order = np.argsort(-scores.suspicion, kind="stable")
    flagged = int((~keep).sum())
    shown = order[: max(_ROWS, 0)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("client", no_wrap=True)
    table.add_column("suspicion", justify="right")
    table.add_column("verdict")
    table.add_column("why", overflow="fold")
    for row in shown:
        table.add_row(
            Text(printable(scores.clients[row], 40)),
            number(scores.suspicion[row]),
            verdict(bool(keep[row])),
            Text(printable(str(scores.columns["reason"][row]), 200)),
        )
    console.print(table)
    if len(order) > len(shown):
        console.print(f"... and {len(order) - len(shown)} more clients, less suspicious")
    console.print()
    console.print(
        f"{flagged} of {len(order)} clients flagged by {scores.method} "
        f"(suspicion above {number(scores.threshold)})"
    )
    for note in scores.notes:
        console.print(f"note: {note}", soft_wrap=True)


def show_all(outcomes: Sequence[Outcome], console: Console) -> None:
    """Every method with how many it flags and how long it took, or why it does not apply."""
    from rich.table import Table
    from rich.text import Text

    from lomar_cli.files.text import printable

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method", no_wrap=True)
    table.add_column("flagged", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("not applicable because", overflow="fold")
    for outcome in outcomes:
        scores = outcome.scores
        table.add_row(
            Text(printable(outcome.method, 40)),
            "-" if scores is None else f"{int((~scores.keep).sum())} of {len(scores.keep)}",
            "-" if scores is None else f"{outcome.seconds:.2f}",
            Text(printable(outcome.not_applicable, 300)),
        )
    console.print(table)


def verdict(keep: bool) -> Text:
    """``keep`` or ``remove``, coloured."""
    from rich.text import Text

    return Text("keep", style="green") if keep else Text("remove", style="bold red")


def number(value: float) -> str:
    """Four digits; ``max`` for the suspicion of who was set aside."""
    if abs(value) > 1e100:
        return "max" if value > 0 else "-max"
    return f"{value:.4g}"
