"""Measure a model on the test part, and a verdict against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.attacks.label_flip import parse_flip
from lomar_cli.data.stamped import put_on
from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.atomic import atomic_bytes, check_output
from lomar_cli.files.model import read_model
from lomar_cli.files.provenance import extend, file_sha256
from lomar_cli.files.scores import read_scores
from lomar_cli.files.split import Split, Stamp, read_split
from lomar_cli.files.text import json_text, printable
from lomar_cli.files.truth import read_truth
from lomar_cli.learning import metrics
from lomar_cli.learning.registry import model as model_module
from lomar_cli.stages.source import check_stamp, load_for

SCHEMA_VERSION = 1
_BLOCK = 4096


def evaluate(
    model: Path | None,
    output: Path | None = None,
    split: Path | None = None,
    flips: Sequence[str] = (),
    scores: Path | None = None,
    truth: Path | None = None,
    data_dir: Path | None = None,
    force: bool = False,
    data_file: Path | None = None,
) -> dict[str, Any]:
    """Return the metrics document; write it if ``output`` is given.

    A split with a backdoor adds the attack success rate: the share of test samples of other labels
    that the model takes for the attacker's target when they carry the whole pattern, and beside it
    the share when they do not.

    ``model`` with ``split`` (which names the data set) gives accuracies, ``scores`` with
    ``truth`` detection figures; at least one pair is needed.
    """
    if output is not None:
        check_output(output, force)
    if (model is None) != (split is None):
        raise UsageError("a model is evaluated on a split's data set: give MODEL and --split")
    if (scores is None) != (truth is None):
        raise UsageError("a verdict is compared with the truth: give both --scores and --truth")
    if model is None and scores is None:
        raise UsageError("give MODEL with --split, --scores with --truth, or all four")
    if flips and model is None:
        raise UsageError("--flip: says whose accuracy to report, so it needs MODEL and --split")
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    inputs: dict[str, str] = {}
    if model is not None and split is not None:
        found = read_split(split)
        document["accuracy"] = _accuracy(model, found, split, flips, data_dir, data_file, inputs)
    if scores is not None and truth is not None:
        document["detection"] = _detection(scores, truth, inputs)
    document["provenance"] = extend("evaluate", {"flip": list(flips)}, inputs)
    if output is not None:
        atomic_bytes(output, (json_text(document) + "\n").encode(), force)
    return document


def _accuracy(
    path: Path,
    split: Split,
    split_path: Path,
    flips: Sequence[str],
    data_dir: Path | None,
    data_file: Path | None,
    inputs: dict[str, str],
) -> dict[str, Any]:
    found = read_model(path)
    shown = printable(str(path))
    if not found.architecture:
        raise InputError(
            f"{shown}: architecture: is not known, so the model cannot be run; evaluate takes "
            "models that `lomar train` and `lomar aggregate` made"
        )
    pairs = [parse_flip(text, split.labels) for text in flips]
    data = load_for(split, split_path, data_dir, data_file)
    check_stamp(split, split_path, data)
    module = model_module(found.architecture)
    initial = module.initial(data)
    shapes = {name: tuple(value.shape) for name, value in found.parameters.items()}
    wanted = {name: tuple(value.shape) for name, value in initial.items()}
    if shapes != wanted:
        raise InputError(
            f"{shown}: its parameters {shapes} do not fit {split.dataset}, which needs {wanted}"
        )

    def predict(stamp: Stamp | None = None) -> NDArray[np.int64]:
        made = [np.empty(0, np.int64)]
        for start in range(0, len(data.y_test), _BLOCK):
            x = data.x_test[start : start + _BLOCK].copy()
            if stamp is not None:
                put_on(x, stamp, data.scale)
            made.append(module.predict(found.parameters, data.scaled(x), data))
        return np.concatenate(made)

    predicted = predict()
    inputs["model"], inputs["split"] = found.sha256, split.sha256
    where = [(pair.source, pair.target) for pair in pairs]
    measured = metrics.accuracy(predicted, data.y_test, data.labels, where)
    if split.stamp is not None:
        stamped = predict(split.stamp)
        measured |= metrics.backdoor(
            predicted, stamped, data.y_test, data.labels, split.stamp.target
        )
    return {"dataset": split.dataset, "round": found.round_number, **measured}


def _detection(scores_path: Path, truth_path: Path, inputs: dict[str, str]) -> dict[str, Any]:
    scores, truth = read_scores(scores_path), read_truth(truth_path)
    unknown = sorted(set(truth.malicious) - set(scores.clients))
    if unknown:
        raise InputError(
            f"{printable(str(truth_path))}: malicious: '{printable(unknown[0])}'"
            + (f" and {len(unknown) - 1} more are" if len(unknown) > 1 else " is")
            + " not in the scores; is this the truth of another round?"
        )
    inputs["scores"], inputs["truth"] = scores.sha256, file_sha256(truth_path)
    measured = metrics.detection(
        scores.clients, scores.suspicion, scores.keep, set(truth.malicious)
    )
    return {"method": scores.method, **measured}
