"""What a drill found, as files: tables, a heat map and one HTML page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lomar_cli._version import __version__
from lomar_cli.experiments.drilled import CAUGHT, Drill
from lomar_cli.experiments.page import DOTS, Image, document, facts, figure_html, text, titled
from lomar_cli.experiments.results import deviation
from lomar_cli.experiments.tables import Table, Value, as_markdown, digits
from lomar_cli.files.atomic import atomic_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAD = ("attack", "share", "seed", "method", "auc", "found", "false_alarms", "reason")
# With more methods than this, the maps stand below each other.
ABREAST = 9


def write_drill(done: Drill, folder: Path, source: str = "") -> list[Path]:
    """Write ``drill.csv``, ``drill.md``, ``index.html`` and, with matplotlib, the heat map.

    ``source`` is how the page calls the round.
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"drill.csv": drill_csv(done).encode(), "drill.md": drill_markdown(done).encode()}
    images = []
    drawn = _drawn(done)
    if drawn is not None:
        contents["drill.png"], contents["drill.svg"] = drawn
        caption = "Share of the attackers that each method flags, and present clients it removes"
        images.append(Image("drill", caption, drawn[0], shaded=True))
    contents["index.html"] = drill_page(done, source, images).encode()
    for name, content in contents.items():
        atomic_bytes(folder / name, content, force=True)
    return [folder / name for name in contents]


def drill_csv(done: Drill) -> str:
    """One line an attack, share, seed and method."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(HEAD)
    for row in done.rows:
        numbers = [digits(value) for value in (row.auc, row.found, row.false_alarms)]
        writer.writerow([row.attack, row.share, row.seed, row.method, *numbers, row.reason])
    return stream.getvalue()


def summary_table(done: Drill) -> Table:
    """Where each method begins to fail, and what it removes unprovoked."""
    rows: list[tuple[str, Sequence[Value]]] = [
        (attack, [Value(text=where(done, attack, method)) for method in done.methods])
        for attack in done.attacks
        if attack not in done.not_run
    ]
    held = [done.held(method) for method in done.methods]
    rows.append(("attacks held", [Value(text=f"{kept} of {tried}") for kept, tried in held]))
    removed = [done.unprovoked[method] or 0 for method in done.methods]
    rows.append(
        (
            "removed unprovoked",
            [Value(text=f"{number} ({number / done.clients:.0%})") for number in removed],
        )
    )
    return Table(
        "drill",
        "Where each method begins to fail",
        [("", method) for method in done.methods],
        rows,
        corner="attack",
        notes=[
            f"The smallest share of attackers of which fewer than {CAUGHT:.0%} are flagged, mean "
            "over seeds; 'holds' within the shares tried. The last line counts clients of the "
            "round as it is: a method that removes many of these catches many attackers by chance.",
        ],
    )


def share_tables(done: Drill) -> list[Table]:
    """Share found at each share of attackers, and false alarms and AUC over all attacks."""
    tables = []
    for share in done.shares:
        rows = []
        for attack in done.attacks:
            if attack not in done.not_run:
                lists = [done.values(attack, m, share, "found") for m in done.methods]
                rows.append((attack, [_value(values) for values in lists]))
        for what, name in (("false_alarms", "false alarms, mean"), ("auc", "AUC, mean")):
            # Over attacks first, so that the spread is that over seeds.
            values = [_over_attacks(done, method, share, what) for method in done.methods]
            rows.append((name, [_value(one) for one in values]))
        heads = [("", method) for method in done.methods]
        title = f"Share of the attackers found, {share:.0%} of the clients attack"
        tables.append(Table(f"found-{share:g}", title, heads, rows, corner="attack"))
    return tables


def where(done: Drill, attack: str, method: str) -> str:
    """``holds``, ``from 10%``, or ``n/a`` where there was no verdict."""
    if not done.applies(attack, method):
        return "n/a"
    share = done.fails_from(attack, method)
    return "holds" if share is None else f"from {share:.0%}"


def not_judged(done: Drill) -> list[str]:
    """What was left out, and why, a line each."""
    return [
        # A reason may begin with the name itself.
        f"{name}: {why.removeprefix(f'{name}: ').removeprefix(f'--method {name}: ')}"
        for name, why in {**done.not_run, **done.refused}.items()
    ]


def drill_markdown(done: Drill) -> str:
    parts = [f"# Drill on a round of {done.clients} clients\n"]
    for table in [summary_table(done), *share_tables(done)]:
        parts += [f"## {table.caption}\n", as_markdown(table)]
    if not_judged(done):
        parts += ["## Not run\n", *(f"- {line}" for line in not_judged(done)), ""]
    return "\n".join(parts)


def drill_page(done: Drill, source: str, images: Sequence[Image]) -> str:
    title = f"Drill on {source}" if source else "Drill"
    parts = [
        f"<h1>{text(title)}</h1>",
        "<p>Every attack was let loose on copies of this round in memory, and every method judged "
        "each copy. Present clients were turned into attackers.</p>",
        facts(
            [
                ("Clients", str(done.clients)),
                ("Shares of attackers", ", ".join(f"{share:.0%}" for share in done.shares)),
                ("Seeds", ", ".join(map(str, done.seeds))),
                ("Version", f"lomar {__version__}"),
            ]
        ),
        titled(summary_table(done)),
        *(figure_html(image) for image in images),
        *(titled(table) for table in share_tables(done)),
    ]
    if not_judged(done):
        parts.append("<h3>Not run</h3><ul>")
        parts += [f"<li>{text(line)}</li>" for line in not_judged(done)]
        parts.append("</ul>")
    return document(title, parts)


def heat_map(done: Drill) -> Figure:
    """Share of attackers found, a panel a share of attackers; unprovoked removals below."""
    from lomar_cli.experiments.figures.heat import Panel, heat_maps

    attacks = [attack for attack in done.attacks if attack not in done.not_run]
    removed = [(done.unprovoked[method] or 0) / done.clients for method in done.methods]
    panels = [
        Panel(
            f"{share:.0%} attackers: share of them found",
            [
                *(
                    [done.mean(attack, m, share, "found") for m in done.methods]
                    for attack in attacks
                ),
                removed,
            ],
        )
        for share in done.shares
    ]
    return heat_maps(
        panels,
        [*attacks, "no attack: removed"],
        done.methods,
        cell=(0.44, 0.24),
        turned=len(attacks),
        across=2 if len(done.methods) <= ABREAST else 1,
    )


def _drawn(done: Drill) -> tuple[bytes, bytes] | None:
    """The heat map as PNG and SVG; None without matplotlib or without anything to draw."""
    try:
        import matplotlib
    except ImportError:
        return None
    if not done.methods:
        return None
    png, svg = io.BytesIO(), io.BytesIO()
    with matplotlib.rc_context({"font.size": 9, "svg.hashsalt": "lomar", "text.parse_math": False}):
        figure = heat_map(done)
        figure.savefig(png, format="png", dpi=DOTS, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return png.getvalue(), svg.getvalue()


def _over_attacks(done: Drill, method: str, share: float, what: str) -> list[float]:
    """One mean over all attacks a seed."""
    found = []
    for seed in done.seeds:
        values = [
            value
            for row in done.rows
            if (row.method, row.share, row.seed) == (method, share, seed)
            and (value := getattr(row, what)) is not None
        ]
        found += [sum(values) / len(values)] if values else []
    return found


def _value(values: list[float]) -> Value:
    if not values:
        return Value(text="n/a")
    return Value(sum(values) / len(values), deviation(values), len(values))
