"""Every figure that a sweep's results can fill, in the order of a report."""

from __future__ import annotations

from collections.abc import Iterator

from lomar_cli.experiments.figures.heat import attacks_figure, worst_figure
from lomar_cli.experiments.figures.lines import Drawn, along_axes, by_round
from lomar_cli.experiments.figures.maps import maps
from lomar_cli.experiments.figures.points import by_defense
from lomar_cli.experiments.figures.verdicts import distributions, roc_curves
from lomar_cli.experiments.results import Results
from lomar_cli.experiments.worst import worst_case
from lomar_cli.plots.canvas import styles


def figures(results: Results) -> Iterator[Drawn]:
    """Yield (file name without ending, caption, figure); no name comes twice."""
    seen: dict[str, int] = {}
    for name, caption, figure in _every(results):
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}", caption, figure


def _every(results: Results) -> Iterator[Drawn]:
    clean = [group.point.defense for group in results.groups if group.clean]
    looks = styles(results.defenses, clean)
    worst = worst_case(results)
    if worst is not None:
        yield "worst-case", "Worst case over all attacks", worst_figure(worst)
        for number, one in enumerate(worst.attacks):
            caption = f"{one.column}: every defense under every attack"
            yield f"attacks-{number + 1}", caption, attacks_figure(worst, number)
    if results.layout == "roc":
        yield from roc_curves(results, looks)
    yield from maps(results)
    yield from along_axes(results, looks)
    yield from by_defense(results)
    if results.layout != "roc":
        yield from roc_curves(results, looks)
    yield from distributions(results)
    yield from by_round(results, looks)
