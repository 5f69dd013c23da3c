"""What a watcher is told, and how it talks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lomar_cli.files.importers.base import DEFAULT_MAX_BYTES
from lomar_cli.files.round import DEFAULT_MEMORY

KEEPS = ("none", "last", "all")
# In the folder of a round: the round, and the copy of --root that it is judged with.
ROUND, ROOT = "round.h5", "root.h5"


@dataclass(frozen=True)
class Judging:
    """How a round is judged and aggregated; all as in ``lomar dump``, ``score``, ``aggregate``.

    ``aggregate`` False leaves the averaging to the server. ``root`` is read anew for each round;
    the last ``remember`` rounds of the watch itself are its history.
    """

    method: str
    rule: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rule_options: Mapping[str, Any] = field(default_factory=dict)
    assume_malicious: str | None = None
    weights_by: str = "examples"
    max_weight_share: float | None = None
    output_layer: str | None = None
    label_axis: int | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    pre: Sequence[str] = ()
    root: Path | None = None
    remember: int = 0
    aggregate: bool = True
    seed: int = 0
    memory: int = DEFAULT_MEMORY
    jobs: int = 1


@dataclass(frozen=True)
class Job:
    """What to watch, when a round is over, and what is done with it.

    A round is over when ``expect`` clients have sent, or ``timeout`` seconds after its first if
    ``least`` have by then. ``settle`` and ``poll`` are seconds, too. ``rounds`` ends the watch
    after so many rounds in all. ``hook`` is a command, word by word.
    """

    incoming: Path
    verdicts: Path
    judging: Judging
    expect: int
    least: int
    base_model: Path | None = None
    differences: bool = False
    gradients: float | None = None
    timeout: float | None = None
    settle: float = 2.0
    poll: float = 1.0
    rounds: int | None = None
    client_pattern: str | None = None
    max_bytes: int = DEFAULT_MAX_BYTES
    keep: str = "last"
    metrics: Path | None = None
    prometheus: Path | None = None
    hook: Sequence[str] = ()

    @property
    def updates_sent(self) -> bool:
        """Whether clients send updates, in one form or the other, and no trained parameters."""
        return self.differences or self.gradients is not None

    def kept(self, round_number: int) -> tuple[int, int]:
        """Up to which rounds nothing is kept once this one is done: client files, round files."""
        if self.keep == "all":
            return 0, 0
        last = 1 if self.keep == "last" else 0
        return round_number - last, round_number - max(last, self.judging.remember)

    @property
    def metrics_file(self) -> Path:
        return self.metrics if self.metrics is not None else self.verdicts / "metrics.jsonl"

    def folder(self, round_number: int) -> Path:
        """Where the verdict on a round goes."""
        return self.verdicts / round_name(round_number)


@dataclass(frozen=True)
class Voice:
    """Where lines go: to everybody, to who asks for detail, and what nobody may miss."""

    say: Callable[[str], None] = lambda line: None
    detail: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None


def round_name(round_number: int) -> str:
    """The name of a round's folder, which sorts as the rounds do."""
    return f"{round_number:06d}"
