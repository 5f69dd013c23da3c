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
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A model file, or npz, safetensors, pt with --architecture.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option("--split", metavar="FILE", help="A split of the data set to test on."),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            "--architecture",
            metavar="NAME",
            help="What MODEL is, where its file does not say (see: lomar list models).",
        ),
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
    scores: options.ManyScores = None,
    truth: options.Truth = None,
    roc: Annotated[
        Path | None,
        typer.Option(
            "--roc",
            metavar="FILE",
            help="Draw the ROC curves of the suspicions: a png, svg or pdf (extra 'plot').",
        ),
    ] = None,
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
    ones. --scores can be given more than once: all tables are compared with one truth.

    \b
    Examples:
      lomar evaluate next.h5 --split split.h5 --flip 1:7 --scores scores.h5 --truth truth.json
      lomar evaluate --scores scores.csv --truth truth.json --json | jq .detection.auc
      lomar evaluate --scores a.csv --scores b.csv --truth truth.json --roc roc.png
    """
    from lomar_cli.files.text import counted
    from lomar_cli.stages.evaluate import evaluate

    flips = list(flip or [])
    document = evaluate(
        model,
        output,
        split,
        flips,
        scores or [],
        truth,
        data_dir,
        force,
        data_file,
        part,
        roc,
        architecture,
    )
    if json:
        print_json(document)
    elif output is None:
        _table(document)
    if output is not None:
        say(f"{output}: {_summary(document)}")
    if roc is not None:
        count = len(document.get("detections", [0]))
        say(f"{roc}: {counted(count, 'ROC curve')}")


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
    if "detections" in document:
        parts.append(f"{len(document['detections'])} score tables compared")
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
    if table.row_count:
        out().print(table)
    if "detections" in document:
        _detections(document["detections"])


def _detections(found: list[dict[str, Any]]) -> None:
    """A row a score table."""
    from rich.table import Table
    from rich.text import Text

    from lomar_cli.files.text import printable

    table = Table(box=None, pad_edge=False, header_style="bold")
    told = ["scores", *["method"] * any(one["method"] for one in found)]
    for heading in told:
        table.add_column(heading, overflow="fold")
    for heading in ("AUC", "found", "false alarms", "precision", "flagged"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        numbers = [_show(one[key]) for key in ("auc", "found", "false_alarms", "precision")]
        flagged = f"{one['flagged']} of {one['clients']}"
        table.add_row(*(Text(printable(one[key], 60)) for key in told), *numbers, flagged)
    out().print(table)


def _show(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
