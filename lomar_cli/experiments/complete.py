"""Plain CSV of everything: means a point and defense, and every row of every cell."""

from __future__ import annotations

import csv
import io

from lomar_cli.experiments.results import MEASURES, Group, Results, unique
from lomar_cli.experiments.tables import digits

POINT = ("setting", "lambda", "malicious", "attack", "defense", "assumed")


def means_csv(results: Results) -> str:
    """One line a point and defense: means and standard deviations over seeds, last round."""
    measures = [*MEASURES, *_more(results)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    head = [*POINT, "seeds", "round"]
    for measure in measures:
        head += [measure, f"{measure}_sd"]
    writer.writerow([*head, "not_applicable", "failed"])
    for group in results.groups:
        row: list[object] = [*_point(group), len(group.seeds)]
        row.append(group.rows[0][-1].get("round", "") if group.rows and group.rows[0] else "")
        for measure in measures:
            row += [digits(group.mean(measure)), digits(group.spread(measure))]
        for status in ("not applicable", "failed"):
            row.append("; ".join(unique(t.reason for t in group.troubles if t.status == status)))
        writer.writerow(row)
    return stream.getvalue()


def rows_csv(results: Results) -> str:
    """One line a seed and evaluated round, with every measurement that was made."""
    measures = [*MEASURES, "precision", "mean_per_label", "source_as_target", *_more(results)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*POINT, "seed", "round", *measures])
    for group in results.groups:
        for seed, rows in zip(group.seeds, group.rows, strict=True):
            for place, row in enumerate(rows):
                line: list[object] = [*_point(group), seed, row.get("round", "")]
                line += [digits(group.by_seed(m, place).get(seed)) for m in measures]
                writer.writerow(line)
    return stream.getvalue()


def _more(results: Results) -> list[str]:
    """Measures that only some experiments have: by label, and on the training part."""
    rows = [rows[-1] for group in results.groups for rows in group.rows if rows]
    labels = unique(label for row in rows for label in row.get("per_label") or {})
    trained = unique(
        name
        for row in rows
        for name, value in (row.get("training") or {}).items()
        if not isinstance(value, dict | list)
    )
    return [*(f"per_label.{label}" for label in labels), *(f"training.{t}" for t in trained)]


def _point(group: Group) -> list[object]:
    place = group.place
    return [
        place.setting,
        place.imbalance,
        place.malicious,
        place.attack,
        group.point.defense,
        group.assumed,
    ]
