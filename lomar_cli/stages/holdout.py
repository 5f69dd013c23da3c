"""The loss of a round's start model plus a step, on data that the defender holds itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.round import Round
from lomar_cli.files.split import read_split
from lomar_cli.files.text import printable
from lomar_cli.learning.loss import loss_on
from lomar_cli.learning.registry import model
from lomar_cli.scoring.base import Loss
from lomar_cli.stages.source import load_for


@dataclass(frozen=True)
class HeldOut:
    """``split`` is a split file, all of whose samples count; where its data set lies."""

    split: Path
    data_dir: Path | None = None
    data_file: Path | None = None


def held_out_loss(
    found: Round, start: Mapping[str, NDArray[Any]], held_out: HeldOut
) -> tuple[Loss, str]:
    """The loss on the held-out samples, and the split's digest.

    ``start`` are the parameters that the round starts from. UsageError when the round does not say
    how to run its model or the split holds poisoned samples, InputError when it does not fit.
    """
    shown = f"--holdout {printable(str(held_out.split))}"
    architecture = found.head.architecture
    if not architecture:
        raise UsageError(
            f"{printable(str(found.path))}: architecture: is not known, so the model cannot be run "
            "on --holdout; rounds that `lomar train` made say it"
        )
    split = read_split(held_out.split)
    if len(split.overlay.position) or split.stamp is not None:
        raise UsageError(
            f"{shown}: holds poisoned samples (relabelled, or with a pattern); make a clean one "
            "with lomar partition"
        )
    samples = np.concatenate([np.empty(0, np.int64), *split.samples])
    if len(samples) == 0:
        raise UsageError(f"{shown}: holds no samples")
    data = load_for(split, held_out.split, held_out.data_dir, held_out.data_file)
    wanted = {name: value.shape for name, value in model(architecture).initial(data).items()}
    shapes = {name: tuple(shape) for name, shape in found.head.shapes.items()}
    if shapes != wanted:
        raise InputError(
            f"{shown}: {architecture} on {split.dataset} has the parameters {wanted}, "
            f"the round has {shapes}"
        )
    if found.head.labels and list(found.head.labels) != list(split.labels):
        raise InputError(f"{shown}: labels: are not those of the round")
    loss = loss_on(architecture, data, samples, data.y_train[samples])

    def after(step: Mapping[str, NDArray[Any]]) -> float:
        moved = dict(start)
        with np.errstate(over="ignore", invalid="ignore"):
            for name, part in step.items():
                moved[name] = start[name] + part
        return loss(moved)

    return after, split.sha256
