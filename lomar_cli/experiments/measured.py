"""What is measured of a cell after a round."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.experiments.plan import Cell
from lomar_cli.experiments.updates_map import updates_map
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from lomar_cli.files.truth import read_truth
from lomar_cli.learning import metrics
from lomar_cli.stages.evaluate import evaluate

ACCURACY = ("overall", "mean_per_label", "source", "target", "other", "source_as_target")


@dataclass(frozen=True)
class Measured:
    """A round of a cell as it lies on disk.

    ``used`` are the clients in the new model; None when they are no verdict of the defense.
    """

    cell: Cell
    number: int
    model: Path
    split: Path
    made: Path
    scores: Path | None
    truth: Path
    used: NDArray[np.bool_] | None
    data_dir: Path | None
    data_file: Path | None


def measure(of: Measured) -> dict[str, Any]:
    """The row of measurements of the round."""
    row: dict[str, Any] = {"round": of.number}
    trains = "training" in of.cell.measure
    found = evaluate(
        of.model,
        None,
        of.split,
        of.cell.attack.get("flip", []),
        [of.scores] if of.scores is not None else [],
        of.truth if of.scores is not None else None,
        of.data_dir,
        data_file=of.data_file,
        part="both" if trains else "test",
    )
    accuracy, verdict = found["accuracy"], found.get("detection", {})
    row.update({key: accuracy.get(key) for key in ACCURACY})
    row["per_label"] = accuracy["per_label"]
    if "attack_success" in accuracy:
        row["attack_success"] = accuracy["attack_success"]
    row.update({key: verdict.get(key) for key in ("auc", "found", "false_alarms", "precision")})
    last = of.number == of.cell.rounds
    if of.scores is not None:
        if last:
            row["scores"] = _score_lists(of.scores, of.truth)
    elif of.used is not None:
        # A rule that picks clients says whom it left out, if not how much it suspects them.
        left_out = metrics.detection(
            _clients(of.made), (~of.used).astype(float), of.used, _malicious(of)
        )
        row["found"], row["false_alarms"] = left_out["found"], left_out["false_alarms"]
    if trains:
        row["training"] = {key: found["accuracy_training"].get(key) for key in ACCURACY}
    if "map" in of.cell.measure and last:
        labels = dict.fromkeys(":".join(of.cell.attack.get("flip", [])).split(":"))
        with open_round(of.made) as sent:
            row["map"] = updates_map(sent.updates, _malicious(of), [one for one in labels if one])
    return row


def _malicious(of: Measured) -> set[str]:
    return set(read_truth(of.truth).malicious)


def _clients(made: Path) -> list[str]:
    with open_round(made) as found:
        return list(found.head.clients)


def _score_lists(scores: Path, truth: Path) -> dict[str, Any]:
    """What a ROC curve and a histogram need: suspicions and the truth, in one order."""
    found, malicious = read_scores(scores), set(read_truth(truth).malicious)
    return {
        "threshold": found.threshold,
        "suspicion": [float(f"{value:.7g}") for value in found.suspicion],
        "malicious": [int(client in malicious) for client in found.clients],
    }
