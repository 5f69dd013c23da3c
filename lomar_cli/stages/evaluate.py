"""Measure a model on the test part or the training part, and a verdict against the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.attacks.label_flip import parse_flip
from lomar_cli.data.dataset import Dataset
from lomar_cli.data.stamped import put_on
from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.atomic import atomic_bytes, check_output
from lomar_cli.files.importers.hdf5 import own_model
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.model import Model
from lomar_cli.files.provenance import extend
from lomar_cli.files.split import Split, Stamp, read_split
from lomar_cli.files.text import json_text, printable
from lomar_cli.learning import metrics
from lomar_cli.learning.registry import ModelModule
from lomar_cli.learning.registry import model as model_module
from lomar_cli.plots.save import check_figure
from lomar_cli.stages.detect import compared, curves
from lomar_cli.stages.source import check_stamp, load_for

SCHEMA_VERSION = 1
# The parts of a data set, and where the document has the accuracy on each.
PARTS: dict[str, tuple[str, ...]] = {
    "test": ("accuracy",),
    "train": ("accuracy_training",),
    "both": ("accuracy", "accuracy_training"),
}
_BLOCK = 4096


def evaluate(
    model: Path | None,
    output: Path | None = None,
    split: Path | None = None,
    flips: Sequence[str] = (),
    scores: Sequence[Path] = (),
    truth: Path | None = None,
    data_dir: Path | None = None,
    force: bool = False,
    data_file: Path | None = None,
    part: str = "test",
    roc: Path | None = None,
    architecture: str | None = None,
) -> dict[str, Any]:
    """Return the metrics document; write it if ``output`` is given.

    ``part`` says on what the model is measured: ``test`` gives ``accuracy``, ``train``
    ``accuracy_training`` with the same keys, and ``both`` both. The training part is the data
    set's own, whole and with its true labels, whatever clients hold or have relabelled of it.

    A split with a backdoor adds the attack success rate: the share of test samples of other labels
    that the model takes for the attacker's target when they carry the whole pattern, and beside it
    the share when they do not.

    ``model`` with ``split`` (which names the data set) gives accuracies, ``scores`` with
    ``truth`` detection figures; at least one pair is needed. One score table gives ``detection``,
    several give ``detections``, a list. ``roc`` is where a figure of their curves goes.

    ``model`` may be of any format that ``dump`` reads; ``architecture`` names what its file does
    not say.
    """
    if output is not None:
        check_output(output, force)
    if roc is not None:
        check_figure(roc, "--roc", force)
        if not scores:
            raise UsageError("--roc: shows suspicions beside the truth: give --scores and --truth")
    if (model is None) != (split is None):
        raise UsageError("a model is evaluated on a split's data set: give MODEL and --split")
    if bool(scores) != (truth is not None):
        raise UsageError("a verdict is compared with the truth: give both --scores and --truth")
    if model is None and not scores:
        raise UsageError("give MODEL with --split, --scores with --truth, or all four")
    if flips and model is None:
        raise UsageError("--flip: says whose accuracy to report, so it needs MODEL and --split")
    if architecture is not None and model is None:
        raise UsageError("--architecture: says what MODEL is, so it needs MODEL and --split")
    if part not in PARTS:
        raise UsageError(f"--part {part}: must be one of {', '.join(PARTS)}")
    if part != "test" and model is None:
        raise UsageError("--part: says on what a model is measured, so it needs MODEL and --split")
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    inputs: dict[str, str] = {}
    if model is not None and split is not None:
        found = read_split(split)
        document |= _accuracies(
            model, found, split, flips, data_dir, data_file, inputs, part, architecture
        )
    drawn = None
    if truth is not None:
        found_by = compared(scores, truth, inputs)
        if len(found_by) == 1:
            document["detection"] = found_by[0].measured
        else:
            document["detections"] = [{"scores": one.path.name, **one.measured} for one in found_by]
        drawn = None if roc is None else curves(found_by, roc)
    said: dict[str, Any] = {"flip": list(flips)} | ({} if part == "test" else {"part": part})
    if architecture is not None:
        said["architecture"] = architecture
    document["provenance"] = extend("evaluate", said, inputs)
    if output is not None:
        atomic_bytes(output, (json_text(document) + "\n").encode(), force)
    if roc is not None and drawn is not None:
        atomic_bytes(roc, drawn, force)
    return document


def _accuracies(
    path: Path,
    split: Split,
    split_path: Path,
    flips: Sequence[str],
    data_dir: Path | None,
    data_file: Path | None,
    inputs: dict[str, str],
    part: str,
    architecture: str | None,
) -> dict[str, Any]:
    """What the document says of the model, by the names of ``PARTS[part]``."""
    shown = printable(str(path))
    found = own_model(path)
    # What another program wrote has no number of a round.
    number = found.round_number if found is not None else None
    if found is None:
        found = Model(read_parameters(path).arrays)
    kind = _architecture(found, architecture, shown)
    pairs = [parse_flip(text, split.labels) for text in flips]
    data = load_for(split, split_path, data_dir, data_file)
    check_stamp(split, split_path, data)
    module = model_module(kind, "--architecture")
    initial = module.initial(data)
    shapes = {name: tuple(value.shape) for name, value in found.parameters.items()}
    wanted = {name: tuple(value.shape) for name, value in initial.items()}
    if shapes != wanted:
        raise InputError(
            f"{shown}: its parameters {shapes} do not fit {kind} on {split.dataset}, which needs "
            f"{wanted}"
        )

    inputs["model"], inputs["split"] = found.sha256, split.sha256
    where = [(pair.source, pair.target) for pair in pairs]
    samples = {
        "accuracy": (data.x_test, data.y_test),
        "accuracy_training": (data.x_train, data.y_train),
    }
    measured = {}
    for name in PARTS[part]:
        features, truth = samples[name]
        predicted = _predict(module, found.parameters, data, features)
        one = metrics.accuracy(predicted, truth, data.labels, where)
        if split.stamp is not None:
            stamped = _predict(module, found.parameters, data, features, split.stamp)
            one |= metrics.backdoor(predicted, stamped, truth, data.labels, split.stamp.target)
        measured[name] = {"dataset": split.dataset, "round": number, **one}
    return measured


def _architecture(model: Model, said: str | None, shown: str) -> str:
    """The name of the model's module: what its file says, or else ``said``."""
    if model.architecture and said and model.architecture != said:
        raise UsageError(
            f"--architecture {said}: {shown} says that it is {printable(model.architecture)}"
        )
    kind = model.architecture or said
    if not kind:
        raise InputError(
            f"{shown}: architecture: is not known, so the model cannot be run; say it with "
            "--architecture (`lomar list models`)"
        )
    return kind


def _predict(
    module: ModelModule,
    parameters: Mapping[str, NDArray[Any]],
    data: Dataset,
    features: NDArray[Any],
    stamp: Stamp | None = None,
) -> NDArray[np.int64]:
    """The labels that the model gives to samples of ``data``, with the pattern on them if any."""
    made = [np.empty(0, np.int64)]
    for start in range(0, len(features), _BLOCK):
        x = features[start : start + _BLOCK]
        if stamp is not None:
            x = x.copy()
            put_on(x, stamp, data.scale)
        made.append(module.predict(parameters, data.scaled(x), data))
    return np.concatenate(made)
