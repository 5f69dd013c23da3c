"""A table of means over seeds, and its three forms: CSV, Markdown and HTML."""

from __future__ import annotations

import csv
import html
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from lomar_cli.experiments.results import Group, deviation


@dataclass(frozen=True)
class Value:
    """One cell: the mean and standard deviation over ``seeds``, and the paper's number.

    ``text`` stands where there is no number, or says more about the one there is; ``reason`` says
    why there is no result; ``signed`` shows the sign of a difference.
    """

    mean: float | None = None
    spread: float | None = None
    seeds: int = 0
    paper: float | None = None
    text: str = ""
    reason: str = ""
    signed: bool = False

    @property
    def shown(self) -> str:
        """The mean with its spread, ``-`` when there is none."""
        if self.mean is None:
            return self.text or self.reason or "-"
        return f"{self.mean:{'+' if self.signed else ''}.3f}" + (
            f" ± {self.spread:.3f}" if self.spread is not None else ""
        )


@dataclass(frozen=True)
class Table:
    """``heads`` are (group, column): columns of one group stand under a common heading."""

    name: str
    caption: str
    heads: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[Value]]]
    corner: str = "defense"
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def papers(self) -> bool:
        """True when any cell has the paper's number beside it."""
        return any(value.paper is not None for _, values in self.rows for value in values)

    @property
    def seeds(self) -> str:
        """How many seeds the means are over: ``3``, or ``2 to 3``."""
        counts = {value.seeds for _, values in self.rows for value in values if value.seeds}
        if not counts:
            return ""
        return f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"

    @property
    def footing(self) -> str:
        """What the numbers are, in a sentence, and the notes."""
        over = f"Mean ± standard deviation over {self.seeds} seeds."
        if self.seeds == "1":
            over = "One seed: no spread is known."
        parts = [over] if self.seeds else []
        return " ".join([*parts, *self.notes])


def value_of(group: Group | None, measure: str, paper: float | None = None) -> Value:
    """A cell of a group; with the reason instead where no seed has a result."""
    if group is None:
        return Value(paper=paper)
    values = group.values(measure)
    if not group.rows and group.troubles:
        first = group.troubles[0]
        return Value(paper=paper, reason=f"{first.status}: {first.reason}")
    return mean_of(values, paper)


def mean_of(values: Sequence[float], paper: float | None = None) -> Value:
    """A cell of one number a seed."""
    if not values:
        return Value(paper=paper)
    return Value(sum(values) / len(values), deviation(values), len(values), paper)


def as_csv(table: Table) -> str:
    """A column each for mean, standard deviation and, where there is any, the paper's number."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [" ".join(filter(None, head)) for head in table.heads]
    paper = table.papers
    texts = any(value.text or value.reason for _, values in table.rows for value in values)
    head = [table.corner]
    for column in columns:
        head += [column, f"{column} sd", *([f"{column} paper"] if paper else [])]
    writer.writerow([*head, "seeds", *(["text"] if texts else [])])
    for name, values in table.rows:
        row: list[object] = [name]
        for value in values:
            row += [digits(value.mean), digits(value.spread)]
            row += [digits(value.paper)] if paper else []
        row.append(max((value.seeds for value in values), default=0) or "")
        if texts:
            said = dict.fromkeys(value.text or value.reason for value in values)
            row.append("; ".join(filter(None, said)))
        writer.writerow(row)
    return stream.getvalue()


def as_markdown(table: Table) -> str:
    """One line a row; the paper's number stands in brackets."""
    columns = [" ".join(filter(None, head)) for head in table.heads]
    lines = [_line([table.corner, *columns]), "|---" + "|---:" * len(columns) + "|"]
    for name, values in table.rows:
        reason = _reason(values)
        cells = [reason] + [""] * (len(columns) - 1) if reason else [_cell(v) for v in values]
        lines.append(_line([name, *cells]))
    notes = table.footing + (" In brackets: the paper's number." if table.papers else "")
    return "\n".join([*lines, "", notes.strip(), ""])


def as_html(table: Table) -> str:
    """A table that scrolls sideways on a narrow screen; its first column stays."""
    groups = [
        (group, len(list(members)))
        for group, members in itertools.groupby(table.heads, key=lambda head: head[0])
    ]
    named = any(group for group, _ in groups)
    span = " rowspan='2'" if named else ""
    parts = ["<div class='wide'><table><thead><tr>"]
    parts.append(f"<th{span} scope='col'>{_text(table.corner)}</th>")
    if named:
        for group, count in groups:
            parts.append(f"<th class='group' colspan='{count}'>{_text(group)}</th>")
        parts.append("</tr><tr>")
    parts += [f"<th scope='col'>{_text(column)}</th>" for _, column in table.heads]
    parts.append("</tr></thead><tbody>")
    for name, values in table.rows:
        parts.append(f"<tr><th scope='row'>{_text(name)}</th>")
        reason = _reason(values)
        if reason:
            parts.append(f"<td class='reason' colspan='{len(values)}'>{_text(reason)}</td>")
        else:
            parts += [f"<td>{_html_cell(value)}</td>" for value in values]
        parts.append("</tr>")
    parts.append("</tbody></table></div>")
    if table.footing:
        parts.append(f"<p class='footing'>{_text(table.footing)}</p>")
    return "".join(parts)


def digits(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _reason(values: Sequence[Value]) -> str:
    """The reason of a row that has no result for one and the same reason, else nothing."""
    reasons = {value.reason for value in values}
    return next(iter(reasons)) if len(reasons) == 1 else ""


def _cell(value: Value) -> str:
    paper = "" if value.paper is None else f"[{value.paper:.3f}]"
    more = value.text if value.mean is not None else ""
    return " ".join(filter(None, [value.shown, more, paper]))


def _html_cell(value: Value) -> str:
    mean, _, spread = value.shown.partition(" ± ")
    parts = [_text(mean)]
    if value.mean is None and value.reason:
        parts = [f"<span class='reason'>{_text(value.reason)}</span>"]
    if spread:
        parts.append(f" <small>± {spread}</small>")
    if value.text and value.mean is not None:
        parts.append(f"<br><small>{_text(value.text)}</small>")
    if value.paper is not None:
        parts.append(f"<br><small class='paper'>paper {value.paper:.3f}</small>")
    return "".join(parts)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _text(text: str) -> str:
    return html.escape(text)
