"""The judge beside a running server: options checked once, then a verdict a round.

What a framework's own strategy adds is who sent what, and how a weight is written back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from lomar_cli.api import score_updates
from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files.round import DEFAULT_MEMORY
from lomar_cli.files.scores import FORMATS, Scores, write_scores
from lomar_cli.files.text import printable
from lomar_cli.integrations.replies import Arrays, Reply, judge_replies
from lomar_cli.scoring.registry import DEFAULT_METHOD, METHODS
from lomar_cli.stages.weights import capped

Vector = NDArray[np.float64]


class Options(TypedDict, total=False):
    """What a :class:`Judge` may be told; every strategy passes it on."""

    method: str
    options: Mapping[str, Any] | None
    output_layer: str | None
    label_axis: int | None
    labels: Sequence[str]
    layers: Sequence[str] | None
    include: Sequence[str]
    exclude: Sequence[str]
    seed: int
    jobs: int
    memory: int
    max_weight_share: float | None
    verdicts: str | Path | None
    verdict_format: str
    remember: int


class Judge:
    """Judges rounds, keeps and writes what it found, and says it to a log.

    Args:
        log: where a line for each client that is left out goes, with the reason.
        method: as in ``lomar list methods``; ``options`` are the method's own.
        output_layer, label_axis, labels, layers, include, exclude, seed, jobs, memory: as in
            ``lomar_cli.score_updates``.
        max_weight_share: the largest share of all weight that one client can have, whatever it
            claims; None believes it.
        verdicts: a folder for a table a round, ``round-1.json`` and so on; made when absent.
        verdict_format: ``json``, ``csv``, ``tsv`` or ``h5``.
        remember: of how many rounds the tables stay in memory.

    Attributes:
        verdicts (dict[int, Scores]): who was kept, and why not, by round.

    Raises:
        UsageError: an option cannot be, or does not fit the model (when the first round starts).
    """

    def __init__(
        self,
        log: logging.Logger,
        method: str = DEFAULT_METHOD,
        options: Mapping[str, Any] | None = None,
        output_layer: str | None = None,
        label_axis: int | None = None,
        labels: Sequence[str] = (),
        layers: Sequence[str] | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        seed: int = 0,
        jobs: int = 1,
        memory: int = DEFAULT_MEMORY,
        max_weight_share: float | None = None,
        verdicts: str | Path | None = None,
        verdict_format: str = "json",
        remember: int = 100,
    ) -> None:
        METHODS.make(method, dict(options or {}))
        if max_weight_share is not None and not 0 < max_weight_share <= 1:
            raise UsageError(f"max_weight_share: is {max_weight_share}, must be above 0, up to 1")
        if verdict_format not in FORMATS:
            raise UsageError(f"verdict_format: must be one of {', '.join(FORMATS)}")
        if remember < 1:
            raise UsageError(f"remember: is {remember}, must be at least 1")
        self.method = method
        self.verdicts: dict[int, Scores] = {}
        self.folder = None if verdicts is None else _folder(Path(verdicts))
        self._layout: dict[str, Any] = {
            "output_layer": output_layer,
            "label_axis": label_axis,
            "labels": labels,
            "layers": layers,
            "include": include,
            "exclude": exclude,
        }
        self._ways = {"options": options, "seed": seed, "jobs": jobs, "memory": memory}
        self._log, self._most = log, max_weight_share
        self._format, self._remember = verdict_format, remember
        self._start: Arrays | None = None

    def begin(self, start: Arrays) -> None:
        """Keep the model that a round starts from.

        Whether the options fit it is seen at the first one, before anybody trains for hours.
        """
        if self._start is None:
            score_updates({"start": start}, base_model=start, method="none", **self._layout)
        self._start = start

    def judge(self, replies: Sequence[Reply], server_round: int) -> Scores:
        """The verdict on a round's replies, a row each, in order; logged, kept and written."""
        if self._start is None:
            raise UsageError("a round's replies came before the model that it starts from")
        scores = judge_replies(
            replies, self._start, self.method, server_round, **self._layout, **self._ways
        )
        self._tell(server_round, scores)
        return scores

    def weights(self, claimed: Sequence[float], scores: Scores) -> Vector:
        """What the kept clients' weights come to, of those ``claimed`` by them, in order.

        Near-copies share the weight of one of them, and nobody has more than the largest share.
        """
        weights: Vector = np.asarray(claimed, np.float64) * scores.weight[scores.keep]
        total = weights.sum()
        if self._most is not None and total > 0:
            most = max(self._most, 1 / int((weights > 0).sum()))
            if weights.max() > most * total:
                weights = total * capped(weights, most)
        return weights

    def _tell(self, server_round: int, scores: Scores) -> None:
        keep = scores.keep
        said = f"lomar: round {server_round}:"
        for client, kept, why in zip(scores.clients, keep, scores.columns["reason"], strict=True):
            if not kept:
                self._log.warning("%s client %s is left out: %s", said, client, why)
        for note in scores.notes:
            self._log.warning("%s %s", said, note)
        self._log.info("%s %d of %d clients kept", said, keep.sum(), len(keep))
        self.verdicts[server_round] = scores
        while len(self.verdicts) > self._remember:
            self.verdicts.pop(next(iter(self.verdicts)))
        if self.folder is None:
            return
        path = self.folder / f"round-{server_round}.{self._format}"
        try:
            write_scores(path, scores, self._format)
        except (LomarError, OSError) as error:
            # The round goes on: its verdict is in the log and in memory.
            self._log.error("%s the verdict is not written: %s", said, error)


def _folder(path: Path) -> Path:
    """The folder for verdicts, made, and free of those of another run."""
    shown = printable(str(path))
    try:
        path.mkdir(parents=True, exist_ok=True)
        old = next(path.glob("round-*"), None)
    except OSError as error:
        raise UsageError(f"verdicts: {shown} cannot be made: {error.strerror}") from None
    if old is not None:
        raise UsageError(f"verdicts: {shown} holds verdicts already ({old.name}); name another")
    return path
