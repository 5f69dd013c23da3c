"""The model that a round starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.h5 import Provenance
from lomar_cli.files.importers.hdf5 import own_model
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.model import parameters_sha256
from lomar_cli.files.round import Round
from lomar_cli.files.text import printable

Parameters = dict[str, NDArray[Any]]


def start_model(
    found: Round, base_model: Path | None, from_zero: bool = False, instead: str = ""
) -> tuple[Parameters, Provenance, bool]:
    """The start model's parameters, its provenance, and whether it is known to be the right one.

    It need not be given when it is the all-zero model; ``from_zero`` takes that in any case.
    ``instead`` ends the UsageError for one that is needed: what else could be done.
    """
    head = found.head
    zeros = {name: np.zeros(shape, head.dtypes[name]) for name, shape in head.shapes.items()}
    if base_model is None:
        if from_zero or head.base_sha256 == parameters_sha256(zeros):
            return zeros, [], not from_zero
        knows = (
            f"starts from the model {head.base_sha256[:12]}"
            if head.base_sha256
            else ("does not say which model it starts from")
        )
        raise UsageError(
            f"{printable(str(found.path))}: {knows}; give it with --model FILE{instead}"
        )
    if from_zero:
        raise UsageError("give either --model or --from-zero")
    shown = printable(str(base_model))
    base = read_parameters(base_model).arrays
    ours = own_model(base_model)
    chain = (ours.provenance or []) if ours is not None else []
    shapes = {name: array.shape for name, array in base.items()}
    if shapes != {name: tuple(shape) for name, shape in head.shapes.items()}:
        raise InputError(f"{shown}: its parameters are not those of the round")
    if head.base_sha256 and parameters_sha256(base) != head.base_sha256:
        raise InputError(
            f"{shown}: is not the model that the round starts from "
            f"({parameters_sha256(base)[:12]}, needed is {head.base_sha256[:12]})"
        )
    return base, chain, bool(head.base_sha256)
