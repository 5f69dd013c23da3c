"""Have distances made while a round that does not fit into memory is read for its digests."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.files.round import RoundHead
from lomar_cli.files.text import printable
from lomar_cli.files.updates import OutputLayer
from lomar_cli.scoring.distances import MakeAdder, SquareSum
from lomar_cli.scoring.gather import Gathered


class Gather:
    """Called with a round's head by ``open_round`` if the round does not fit.

    ``found`` is then what gathers its distances over the chosen ``layers``, else None; those of
    each label, too, if ``by_label``, and where updates point if ``by_course``.
    """

    def __init__(
        self,
        layers: Sequence[str] | None,
        memory: int,
        jobs: int,
        adder: MakeAdder = SquareSum,
        by_label: bool = True,
        by_course: bool = True,
    ) -> None:
        self._layers, self._memory, self._jobs, self._adder = layers, memory, jobs, adder
        self._by_label, self._by_course = by_label, by_course
        self.found: Gathered | None = None

    def __call__(self, head: RoundHead) -> Gathered | None:
        names = chosen_layers(head, self._layers)
        shapes, output = head.shapes, head.output
        if names is None and head.buffers:
            names = [name for name in shapes if name not in head.buffers]
        if names is not None and output is not None and output.weight not in names:
            return None  # the judge will say what is wrong with it
        dtype = np.dtype(np.result_type(*(head.dtypes[n] for n in names or shapes), np.float32))
        if output is not None and names is not None and output.bias not in names:
            output = OutputLayer(output.weight, None, output.label_axis)
        self.found = Gathered(
            len(head.clients),
            shapes,
            dtype,
            output if self._by_label else None,
            self._memory,
            self._jobs,
            names,
            self._adder,
            self._by_course,
        )
        return self.found


def adder_on(device: str) -> MakeAdder:
    """What adds up distances on ``device``; torch is imported for others than the processor."""
    if device == "cpu":
        return SquareSum
    from lomar_cli.learning.distances_device import on_device

    return on_device(device)


def chosen_layers(head: RoundHead, patterns: Sequence[str] | None) -> list[str] | None:
    if patterns is None:
        return None
    if not patterns:
        raise UsageError("--layers: names nothing; give names or patterns, such as fc.*")
    names = list(head.shapes)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UsageError(
                f"--layers: nothing matches '{pattern}' (there are: {printable(', '.join(names))})"
            )
    return [name for name in names if any(fnmatchcase(name, p) for p in patterns)]
