"""Score tables for people, on the terminal."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from lomar_cli.files.scores import Scores
    from lomar_cli.stages.score_all import Outcome

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Up to so many removed clients are all shown; of more, those far from the threshold and near it.
_REMOVED, _NEAR = 15, 3
# How many kept ones, those next to the threshold, and how many where nobody is removed.
_KEPT, _CALM = 5, 10
# Characters of a reason, unless its first part alone is longer.
_REASON = 200


@dataclass(frozen=True)
class Gap:
    """A line of the table that stands for ``count`` clients; 0 is the threshold itself."""

    count: int = 0
    keep: bool = False


def lines(suspicion: Vector, keep: Mask) -> list[int | Gap]:
    """What to show of n clients, the most suspicious first: row numbers, and gaps between them.

    The threshold has its line where all removed clients are more suspicious than all kept ones.
    """
    order = [int(row) for row in np.argsort(-suspicion, kind="stable")]
    # Of equal suspicion, those that a method flags for another reason come first.
    order.sort(key=lambda row: (-suspicion[row], bool(keep[row])))
    removed = [row for row in order if not keep[row]]
    kept = [row for row in order if keep[row]]
    if order != removed + kept:
        most = order[: _REMOVED + _KEPT]
        return [*most, *_gap(len(order) - len(most), True)]
    shown: list[int | Gap] = list(removed)
    if len(removed) > _REMOVED:
        far = removed[: _REMOVED - _NEAR]
        shown = [*far, Gap(len(removed) - _REMOVED), *removed[-_NEAR:]]
    near = kept[: _KEPT if removed else _CALM]
    return [*shown, Gap(), *near, *_gap(len(kept) - len(near), True)]


def _gap(count: int, keep: bool) -> list[Gap]:
    return [Gap(count, keep)] if count else []


def _short(reason: str) -> str:
    """The first parts of a long reason, whole ones; ``lomar explain`` has all."""
    parts = reason.split("; ")
    kept = parts[:1]
    for part in parts[1:]:
        if len("; ".join([*kept, part])) > _REASON:
            break
        kept.append(part)
    more = len(parts) - len(kept)
    return "; ".join(kept) + (f"; and {more} more" if more else "")


def _word(client: str) -> list[str]:
    """A client's name on a command line, where a dash would make it an option."""
    return ["--", client] if client.startswith("-") else [client]


def show(scores: Scores, console: Console, path: str = "", way: Sequence[str] | None = ()) -> None:
    """Clients on both sides of the threshold, the counts, and what there is to know.

    ``path`` is the round's, for a terminal, where the next step is told; ``way`` are options that
    say how the round was judged, None where no next step is told.
    """
    from rich.table import Table
    from rich.text import Text

    from lomar_cli.files.text import printable

    keep, groups = scores.keep, scores.columns.get("group")
    table = Table(box=None, pad_edge=False, header_style="bold")
    # A long name is broken, not cut: it may have to be copied.
    table.add_column("client", overflow="fold", max_width=max(16, int(0.45 * console.width)))
    table.add_column("suspicion", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if groups is not None:
        table.add_column("group", overflow="fold")
    table.add_column("why", overflow="fold")
    for line in lines(scores.suspicion, keep):
        if isinstance(line, Gap):
            none = [] if groups is None else [""]
            if line.count:
                table.add_row("...", "", verdict(line.keep), *none, f"{line.count} more")
            elif math.isfinite(scores.threshold):
                words = ("-", number(scores.threshold), "-", *none, "the threshold")
                table.add_row(*(Text(word, "dim") for word in words))
            continue
        table.add_row(
            Text(printable(scores.clients[line], 80)),
            number(scores.suspicion[line]),
            verdict(bool(keep[line])),
            *([] if groups is None else [Text(printable(str(groups[line]), 40))]),
            Text(_short(printable(str(scores.columns["reason"][line]), 2000))),
        )
    console.print(table)
    console.print()
    console.print(
        f"{int((~keep).sum())} of {len(keep)} clients flagged by {scores.method} "
        f"(suspicion above {number(scores.threshold)})",
        soft_wrap=True,
    )
    sharing = int((keep & (scores.weight < 1)).sum())
    if sharing:
        console.print(f"{sharing} of those kept share votes with near-copies of theirs")
    for note in scores.notes:
        # A terminal would break the line inside a word; whoever reads a pipe wants whole lines.
        console.print(f"note: {note}", soft_wrap=not console.is_terminal)
    if path and way is not None and console.is_terminal:
        # Of those that were set aside there is no more to say.
        compared = np.where(scores.suspicion < 1e100, scores.suspicion, -np.inf)
        said = shlex.join(
            ["lomar", "explain", path, *way, *_word(scores.clients[int(compared.argmax())])]
        )
        console.print(f"look closer: {printable(said, 300)}", style="dim", soft_wrap=True)


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
