"""One HTML page with everything: no network, no scripts, light and dark, wide and narrow."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass

from lomar_cli.experiments.compare import Comparison, comparison_tables
from lomar_cli.experiments.layouts import layout_tables, sections
from lomar_cli.experiments.results import Results, unique
from lomar_cli.experiments.tables import Table, as_html
from lomar_cli.experiments.worst import worst_case, worst_table

DOTS = 150
# Figures are drawn on white. In the dark they are inverted to the page's own grey and their hues
# turned back, so that a blue line stays blue and nothing glares. On a telephone they scroll.
STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1b1d20; --line: #d4d7dc; --soft: #f3f4f6;
  --dim: #5d636c; --link: #0b62a8; }
@media (prefers-color-scheme: dark) { :root { --back: #1a1a1a; --ink: #e5e5e5; --line: #404040;
  --soft: #262626; --dim: #a6a6a6; --link: #7ab8f0; }
  figure img { filter: invert(.9) hue-rotate(180deg); }
  figure img.map { filter: brightness(.88); } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem;
  background: var(--back); color: var(--ink); overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .6rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
a { color: var(--link); } nav { margin: 1rem 0; } nav a { margin-right: 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line);
  vertical-align: top; font-weight: normal; }
td { white-space: nowrap; } thead th { font-weight: 600; vertical-align: bottom; }
th.group { text-align: center; border-left: 1px solid var(--line); }
tbody th, th:first-child { text-align: left; position: sticky; left: 0; background: var(--back);
  min-width: 7.6rem; max-width: 12rem; }
thead tr + tr th:first-child { position: static; text-align: right; min-width: 0; }
td.reason { text-align: left; } .reason { white-space: normal; color: var(--dim); }
span.reason { display: inline-block; min-width: 9rem; font-size: .85rem; }
small, .footing, figcaption { color: var(--dim); font-size: .85rem; }
.wide { overflow-x: auto; } .footing { margin: .4rem 0 0; max-width: 50rem; }
figure { margin: 1.4rem 0; overflow-x: auto; }
figure img { max-width: 100%; height: auto; background: #fff; }
@media (max-width: 40rem) { figure img { max-width: 46rem; } }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 1rem 0; }
dt { color: var(--dim); } dd { margin: 0; min-width: 0; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; font-size: .85rem; }
.note { border-left: 4px solid var(--line); padding-left: .8rem; }
summary { cursor: pointer; }
@media print { .wide { overflow: visible; } details > * { display: block; } }
"""


@dataclass(frozen=True)
class Image:
    """A drawn figure: its file name without the ending, what it shows, and the PNG's bytes.

    ``shaded`` figures are never inverted: their lightness means something.
    """

    name: str
    caption: str
    png: bytes
    shaded: bool = False


def page(found: Results, images: Sequence[Image]) -> str:
    """One run: its tables, figures, everything measured, what has no result, its settings."""
    layout, worst = layout_tables(found), worst_case(found)
    tables = [*layout, *([worst_table(worst)] if worst else [])]
    parts = [_heading(found.title), _about(found)]
    # The plain tables are the whole result where no layout was asked for.
    links = [("figures", "Figures")] if images else []
    links += [("measured", "Everything measured"), ("settings", "Settings")]
    if found.troubles or found.missing:
        links.insert(-1, ("without", "Without a result"))
    parts.append(_nav(links))
    parts += [titled(table) for table in tables]
    if images:
        parts.append("<h2 id='figures'>Figures</h2>")
        parts += [figure_html(image) for image in images]
    parts.append("<h2 id='measured'>Everything measured</h2>")
    parts += [titled(table) for table in sections(found)]
    parts += [_without(found), "<h2 id='settings'>Settings</h2>", _settings(found)]
    return document(found.title, parts)


def pair_page(
    both: Sequence[Results],
    names: tuple[str, str],
    found: Comparison,
    images: Sequence[Sequence[Image]],
) -> str:
    """Two runs: matched rows with the difference, and figures of one name next to each other."""
    title = f"{names[0]} and {names[1]}"
    parts = [_heading(title)]
    for name, one in zip(names, both, strict=True):
        parts.append(f"<h2>{text(name)}: {text(one.title)}</h2>{_about(one)}")
    parts.append("<h2>Side by side</h2>")
    tables = comparison_tables(found)
    parts += [titled(table) for table in tables]
    if not tables:
        parts.append("<p class='note'>No point and defense stands in both runs.</p>")
    if found.alone:
        parts.append("<h3>In one run only</h3><ul>")
        alone: dict[str, list[str]] = {}
        for name, point in found.alone:
            where = f"{name}: {point.place.setting}, {point.place.label}"
            alone.setdefault(where, []).append(point.defense)
        for where, defenses in alone.items():
            parts.append(f"<li>{text(where)}: {text(', '.join(defenses))}</li>")
        parts.append("</ul>")
    parts.append("<h2>Figures</h2>")
    by_name = [{image.name: image for image in mine} for mine in images]
    for figure in unique(image.name for mine in images for image in mine):
        parts.append("<div class='pair'>")
        for name, mine in zip(names, by_name, strict=True):
            if figure in mine:
                parts.append(figure_html(mine[figure], f"{name}: "))
            else:
                parts.append(f"<p class='note'>{text(name)} has no such figure.</p>")
        parts.append("</div>")
    for name, one in zip(names, both, strict=True):
        parts += [_without(one, f"{name}: "), f"<h2>{text(name)}: settings</h2>", _settings(one)]
    return document(title, parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A whole page around ``parts``."""
    return "\n".join(
        [
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width, initial-scale=1'>",
            f"<title>{text(title)}</title><style>{STYLE}</style></head><body>",
            *parts,
            "</body></html>\n",
        ]
    )


def facts(lines: Sequence[tuple[str, str]]) -> str:
    """Names and values, as a list."""
    return (
        "<dl>"
        + "".join(f"<dt>{text(name)}</dt><dd>{text(said)}</dd>" for name, said in lines)
        + "</dl>"
    )


def _about(found: Results) -> str:
    parts = [f"<p>{text(found.about.strip())}</p>"] if found.about.strip() else []
    if found.quick:
        parts.append(
            "<p class='note'>This is the reduced version (--quick): the shape of the result, "
            "not its numbers.</p>"
        )
    done = sum(len(group.seeds) for group in found.groups)
    refused = sum(trouble.status == "not applicable" for _, trouble in found.troubles)
    failed = len(found.troubles) - refused
    cells = [f"{done} done"]
    for count, what in ((refused, "not applicable"), (failed, "failed"), (found.missing, "to run")):
        cells += [f"{count} {what}"] if count else []
    parts.append(
        facts(
            [
                ("Cells", ", ".join(cells)),
                ("Rounds", str(found.document.get("rounds", 1))),
                ("Seeds", ", ".join(map(str, found.seeds)) or "none"),
                ("Computing time", _duration(found.seconds)),
                ("Version", "lomar " + ", ".join(found.versions)),
            ]
        )
    )
    return "".join(parts)


def _without(found: Results, before: str = "") -> str:
    """Cells that have no result, with the reason; those of one reason together."""
    if not found.troubles and not found.missing:
        return ""
    parts = [f"<h2 id='without'>{text(before)}Without a result</h2><ul>"]
    told: dict[tuple[str, str], list[int]] = {}
    for group, trouble in found.troubles:
        where = f"{group.place.setting}, {group.place.label}, {group.point.defense}"
        told.setdefault((where, f"{trouble.status}: {trouble.reason}"), []).append(trouble.seed)
    for (where, why), seeds in told.items():
        listed = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
        parts.append(f"<li>{text(where)} ({listed}): {text(why)}</li>")
    if found.missing:
        parts.append(f"<li>{found.missing} cells are not run yet: run the experiment again.</li>")
    return "".join([*parts, "</ul>"])


def _settings(found: Results) -> str:
    settings = json.dumps(found.document, indent=2, ensure_ascii=False)
    summary = "<summary>The experiment as it was run</summary>"
    return f"<details>{summary}<pre>{text(settings)}</pre></details>"


def titled(table: Table) -> str:
    return f"<h3>{text(table.caption)}</h3>{as_html(table)}"


def figure_html(image: Image, before: str = "") -> str:
    encoded = base64.b64encode(image.png).decode()
    # A PNG's first chunk tells its width; at 96 dots an inch its text is as large as the page's.
    width = int.from_bytes(image.png[16:20], "big") * 96 // DOTS
    caption = text(before + image.caption)
    plain = " class='map'" if image.shaded else ""
    return (
        f"<figure><img alt='{caption}'{plain} width='{width}' "
        f"src='data:image/png;base64,{encoded}'>"
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _heading(title: str) -> str:
    return f"<h1>{text(title)}</h1>"


def _nav(links: Sequence[tuple[str, str]]) -> str:
    return (
        "<nav>"
        + "".join(f"<a href='#{where}'>{text(name)}</a>" for where, name in links)
        + "</nav>"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def text(said: str) -> str:
    """Plain text as HTML: names come from strangers."""
    return html.escape(said, quote=True)
