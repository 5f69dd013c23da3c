"""Tables, figures and a page from one or two results folders."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

from lomar_cli.errors import InputError, LomarError, OutputExistsError, UsageError
from lomar_cli.experiments.compare import compare, comparison_csv, comparison_tables
from lomar_cli.experiments.complete import means_csv, rows_csv
from lomar_cli.experiments.layouts import layout_tables, sections
from lomar_cli.experiments.page import DOTS, Image, page, pair_page
from lomar_cli.experiments.reading import read_results
from lomar_cli.experiments.results import Results
from lomar_cli.experiments.tables import Table, as_csv, as_markdown
from lomar_cli.experiments.worst import worst_case, worst_table
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.text import printable

Put = Callable[[str, bytes], None]


def report(folders: Sequence[Path], output: Path, force: bool = False) -> list[Path]:
    """Write the report of ``folders`` into the folder ``output``; return what was written.

    Two folders stand side by side: a table of matched rows with the difference, both runs'
    figures next to each other, and each run's own files with ``1-`` and ``2-`` before the name.
    """
    if not 1 <= len(folders) <= 2:
        raise UsageError(f"a report is of one or two folders, not of {len(folders)}")
    if output.exists() and not (force and output.is_dir()):
        raise OutputExistsError(
            f"{printable(str(output))}: exists already; use -f to replace its files"
        )
    found = [read_results(folder) for folder in folders]
    for one in found:
        if not one.groups:
            raise InputError(f"{printable(str(one.folder))}: no cell is done yet; run it first")
    output.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []

    def put(name: str, content: bytes) -> None:
        path = output / name
        atomic_bytes(path, content, force=True)
        written.append(path)

    if len(found) == 1:
        images = _one(found[0], put)
        put("index.html", page(found[0], images).encode())
        return written
    names = _names(folders)
    drawn = [_one(one, put, f"{number}-") for number, one in enumerate(found, start=1)]
    both = compare(found[0], found[1], names)
    put("comparison.csv", comparison_csv(both).encode())
    put("comparison.md", _markdown(" and ".join(names), "", comparison_tables(both)).encode())
    put("index.html", pair_page(found, names, both, drawn).encode())
    return written


def _one(results: Results, put: Put, before: str = "") -> list[Image]:
    """The files of one run; its figures are returned too."""
    layout, worst = layout_tables(results), worst_case(results)
    special = [*layout, *([worst_table(worst)] if worst else [])]
    for table in special:
        put(f"{before}{table.name}.csv", as_csv(table).encode())
        put(f"{before}{table.name}.md", _markdown("", "", [table]).encode())
    put(f"{before}results.csv", means_csv(results).encode())
    put(f"{before}rows.csv", rows_csv(results).encode())
    everything = _markdown(results.title, results.about, [*special, *sections(results)])
    put(f"{before}results.md", everything.encode())
    images = []
    for name, caption, png, svg in _drawn(results):
        put(f"{before}{name}.png", png)
        put(f"{before}{name}.svg", svg)
        images.append(Image(name, caption, png, shaded=name.startswith(("worst-case", "attacks-"))))
    return images


def _markdown(title: str, about: str, tables: Sequence[Table]) -> str:
    parts = [f"# {title}\n"] if title else []
    parts += [about.strip() + "\n"] if about.strip() else []
    for table in tables:
        parts += [f"## {table.caption}\n", as_markdown(table)]
    return "\n".join(parts)


def _names(folders: Sequence[Path]) -> tuple[str, str]:
    """What tells the two folders apart: their last parts, as few as will do."""
    first, second = (folder.resolve().parts for folder in folders)
    for count in range(1, max(len(first), len(second)) + 1):
        if first[-count:] != second[-count:]:
            return "/".join(first[-count:]), "/".join(second[-count:])
    return f"{first[-1]} (1)", f"{second[-1]} (2)"


def _drawn(results: Results) -> list[tuple[str, str, bytes, bytes]]:
    try:
        import matplotlib
    except ImportError:
        raise LomarError("figures need matplotlib: pip install 'lomar-cli[plot]'") from None
    from lomar_cli.experiments.figures.gallery import figures

    drawn = []
    # The same results give the same bytes: no date, and ids that do not depend on chance.
    # Names are text, whatever dollars they hold.
    with matplotlib.rc_context(
        {
            "svg.hashsalt": "lomar",
            "font.size": 9.5,
            "hatch.linewidth": 0.6,
            "text.parse_math": False,
        }
    ):
        for name, caption, figure in figures(results):
            png, svg = io.BytesIO(), io.BytesIO()
            figure.savefig(png, format="png", dpi=DOTS, metadata={"Software": None})
            figure.savefig(svg, format="svg", metadata={"Date": None})
            drawn.append((name, caption, png.getvalue(), svg.getvalue()))
    return drawn
