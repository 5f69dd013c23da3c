"""``lomar evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lomar_cli.cli import options
from lomar_cli.cli.console import out, print_json, say


@options.common
def command(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A model file.", show_default=False)
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option("--split", metavar="FILE", help="A split of the data set to test on."),
    ] = None,
    part: Annotated[
        str,
        typer.Option(
            "--part",
            help="What to measure the model on: test, train (the data set's own training part, "
            "with its true labels), or both.",
        ),
    ] = "test",
    flip: options.FlipsOrNone = None,
    scores: options.ScoresOrNone = None,
    truth: options.Truth = None,
    output: options.OutputOrNone = None,
    json: options.Json = False,
    data_dir: options.DataDir = None,
    data_file: options.DataFile = None,
    force: options.Force = False,
) -> None:
    """Measure a model on a data set, and a verdict against the truth.

    A split with a backdoor adds the attack success rate: the share of samples of other labels that
    are taken for the attacker's target when they carry its pattern.

    'found' is the share of malicious clients that were flagged, 'false alarms' the share of clean
    ones.

    \b
    Examples:
      lomar evaluate next.h5 --split split.h5 --flip 1:7 --scores scores.h5 --truth truth.json
      lomar evaluate --scores scores.csv --truth truth.json --json | jq .detection.auc
    """
    from lomar_cli.stages.evaluate import evaluate

    flips = list(flip or [])
    document = evaluate(
        model, output, split, flips, scores, truth, data_dir, force, data_file, part
    )
    if json:
        print_json(document)
    elif output is None:
        _table(document)
    if output is not None:
        say(f"{output}: {_summary(document)}")


def _summary(document: dict[str, Any]) -> str:
    parts = []
    for key, name in ACCURACIES.items():
        if key in document:
            measured = document[key]
            parts.append(f"{name} {measured['overall']:.3f}")
            if measured.get("source") is not None:
                parts.append(f"on source labels {measured['source']:.3f}")
            if measured.get("attack_success") is not None:
                parts.append(f"backdoor succeeds on {measured['attack_success']:.3f}")
    if "detection" in document:
        found = document["detection"]
        parts.extend(
            f"{name.replace('_', ' ')} {found[name]:.3f}"
            for name in ("auc", "found", "false_alarms")
            if found[name] is not None
        )
    return ", ".join(parts)


ACCURACIES = {"accuracy": "accuracy", "accuracy_training": "training accuracy"}
_UNSHOWN = {"flips", "samples", "attack_samples", "dataset", "method", "round"}


def _table(document: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for part, title in {**ACCURACIES, "detection": "detection"}.items():
        for name, value in document.get(part, {}).items():
            if isinstance(value, dict):
                for inner, number in value.items():
                    table.add_row(f"{title} on label {inner}", _show(number))
            elif name not in _UNSHOWN:
                label = {"source": "on source labels", "target": "on target labels"}.get(name, name)
                table.add_row(f"{title}: {label}".replace("_", " "), _show(value))
    out().print(table)


def _show(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
