"""What a method may ask for beside the round: earlier rounds, a trusted round, held-out data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.h5 import open_read
from lomar_cli.files.round import DEFAULT_MEMORY, Round, open_round
from lomar_cli.files.text import printable
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.base import Loss

if TYPE_CHECKING:
    from lomar_cli.stages.holdout import HeldOut


@dataclass(frozen=True)
class Context:
    """``history``, the oldest first, and ``root``; ``inputs`` are their digests by role."""

    history: Sequence[Updates] = ()
    root: Updates | None = None
    inputs: dict[str, str] = field(default_factory=dict)

    def loss(
        self, found: Round, held_out: HeldOut | None, start: Mapping[str, NDArray[Any]]
    ) -> Loss | None:
        """The loss on held-out data of the start model plus a step; notes what was read."""
        if held_out is None:
            return None
        from lomar_cli.stages.holdout import held_out_loss

        loss, self.inputs["holdout"] = held_out_loss(found, start, held_out)
        return loss


@contextlib.contextmanager
def open_context(
    found: Round,
    history: Sequence[Path] = (),
    root: Path | None = None,
    memory: int = DEFAULT_MEMORY,
) -> Iterator[Context]:
    """Yield the earlier rounds and the root round, each with the parameters of ``found``.

    A folder stands for its round files up to ``found`` by round number, less ``found`` itself.
    """
    with contextlib.ExitStack() as stack:
        inputs: dict[str, str] = {}
        trusted = None
        if root is not None:
            own = stack.enter_context(open_round(root, memory))
            trusted = _alike(found, own, "--root")
            _check_root(own)
            inputs["root"] = own.sha256
        paths = [inner for path in history for inner in _files(path)]
        share = memory // max(1, len(paths))
        rounds = []
        for path in paths:
            earlier = stack.enter_context(open_round(path, share))
            if path not in history and _is_later(earlier, found):
                continue
            _check_earlier(earlier, found)
            rounds.append(earlier)
        rounds.sort(key=lambda earlier: earlier.head.round_number)
        for place, earlier in enumerate(rounds):
            inputs[f"history_{place}"] = earlier.sha256
        yield Context([_alike(found, each, "--history") for each in rounds], trusted, inputs)


def _files(path: Path) -> list[Path]:
    """The file itself, or the round files of a folder by name."""
    if not path.is_dir():
        return [path]
    inside = sorted(p for p in path.iterdir() if p.suffix in (".h5", ".hdf5"))
    rounds = [inner for inner in inside if _format(inner) == "lomar/round"]
    if not rounds:
        raise UsageError(f"--history {printable(str(path))}: holds no round files (.h5)")
    return rounds


def _format(path: Path) -> str:
    with open_read(path) as reader:
        return reader.string("format")


def _is_later(earlier: Round, found: Round) -> bool:
    same = earlier.sha256 in found.inputs().values()
    return same or earlier.head.round_number > found.head.round_number


def _check_earlier(earlier: Round, found: Round) -> None:
    shown = printable(str(earlier.path))
    if earlier.files[0].shard is not None and earlier.files[0].shard.of > 1:
        raise UsageError(
            f"--history {shown}: is {earlier.files[0].shard} of a round; an earlier round must be "
            "one file (lomar filter writes one)"
        )
    if earlier.sha256 == found.sha256:
        raise UsageError(f"--history {shown}: is the round to be judged itself")
    if earlier.head.round_number > found.head.round_number:
        raise UsageError(
            f"--history {shown}: is round {earlier.head.round_number}, later than round "
            f"{found.head.round_number}, which is to be judged"
        )


def _check_root(own: Round) -> None:
    for name, tensor in own.updates.tensors.items():
        if not np.isfinite(tensor[:]).all():
            raise InputError(
                f"{printable(str(own.path))}: updates/{printable(name)}: holds NaN or infinity; "
                "--root must be a round that can be trusted"
            )


def _alike(found: Round, other: Round, option: str) -> Updates:
    """The other round's updates with the parameters of ``found``, in its order."""
    shown = f"{option} {printable(str(other.path))}"
    wanted, there = found.head.shapes, other.head.shapes
    for name in wanted:
        if name not in there:
            raise InputError(f"{shown}: updates/{printable(name)}: is missing; the round has it")
        if there[name] != wanted[name]:
            raise InputError(
                f"{shown}: updates/{printable(name)}: has the shape {there[name]}; in the round "
                f"it is {wanted[name]}"
            )
    for name in there:
        if name not in wanted:
            raise InputError(f"{shown}: updates/{printable(name)}: is not in the round")
    tensors = {name: other.updates.tensors[name] for name in wanted}
    return replace(
        other.updates, tensors=tensors, output=found.head.output, buffers=found.head.buffers
    )
