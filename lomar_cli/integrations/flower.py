"""A Flower strategy that asks `lomar` before it averages, around any other strategy.

``LomarStrategy(FedAvg())`` does what FedAvg does, on the replies of those clients that the method
keeps. It is for Flower's message API (``flwr.serverapp.strategy``, flwr 1.42 or newer; the extra
``flower``). ``docs/interop.md`` says what it can be combined with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Strategy
except ImportError as error:
    raise ModuleNotFoundError(
        "lomar_cli.integrations.flower: needs flwr 1.42 or newer, which the extra 'flower' "
        f"brings: pip install 'lomar-cli[flower]' ({error})",
        name=error.name,
    ) from None

from lomar_cli.api import score_updates
from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files.round import DEFAULT_MEMORY
from lomar_cli.files.scores import FORMATS, Scores, write_scores
from lomar_cli.files.text import printable
from lomar_cli.integrations.flower_messages import Name, claim, read_replies, weighing
from lomar_cli.integrations.replies import judge_replies
from lomar_cli.scoring.registry import DEFAULT_METHOD, METHODS
from lomar_cli.stages.weights import capped

_LOG = logging.getLogger("flwr")


class LomarStrategy(Strategy):
    """Any strategy, without the replies of clients that a method of `lomar` removes.

    Args:
        strategy: the strategy that configures rounds and aggregates what is kept.
        method: as in ``lomar list methods``; ``options`` are the method's own.
        output_layer, label_axis, labels, layers, include, exclude, seed, jobs, memory: as in
            ``lomar_cli.score_updates``.
        client: what names a client, from its reply; by default the number of its node. What a
            reply holds is its client's word: a name that cannot be used is replaced, and one that
            several clients have completed, by the node's number.
        arrayrecord_key: the ArrayRecord to judge, where replies hold several.
        weighted_by_key: the metric by which the wrapped strategy weighs clients; by default its
            own ``weighted_by_key``, or ``"num-examples"``.
        max_weight_share: the largest share of this weight that one client can have, whatever it
            claims; None believes it.
        verdicts: a folder for a table a round, ``round-1.json`` and so on; made when absent.
        verdict_format: ``json``, ``csv``, ``tsv`` or ``h5``.
        remember: of how many rounds the tables stay in memory.

    Attributes:
        strategy: the wrapped strategy.
        verdicts (dict[int, Scores]): who was kept, and why not, by round.

    Raises:
        UsageError: an option cannot be, or does not fit the model (when the first round starts).
    """

    def __init__(
        self,
        strategy: Strategy,
        *,
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
        client: Name | None = None,
        arrayrecord_key: str | None = None,
        weighted_by_key: str | None = None,
        max_weight_share: float | None = None,
        verdicts: str | Path | None = None,
        verdict_format: str = "json",
        remember: int = 100,
    ) -> None:
        super().__init__()
        METHODS.make(method, dict(options or {}))
        if max_weight_share is not None and not 0 < max_weight_share <= 1:
            raise UsageError(
                f"max_weight_share: is {max_weight_share}, must be above 0 and up to 1"
            )
        if verdict_format not in FORMATS:
            raise UsageError(f"verdict_format: must be one of {', '.join(FORMATS)}")
        self.strategy = strategy
        self.verdicts: dict[int, Scores] = {}
        self._method = method
        self._layout: dict[str, Any] = {
            "output_layer": output_layer,
            "label_axis": label_axis,
            "labels": labels,
            "layers": layers,
            "include": include,
            "exclude": exclude,
        }
        self._ways = {"options": options, "seed": seed, "jobs": jobs, "memory": memory}
        self._client, self._record = client, arrayrecord_key
        self._weight = weighted_by_key or _weight_key(strategy)
        self._most = max_weight_share
        self._folder = None if verdicts is None else _folder(Path(verdicts))
        self._format, self._remember = verdict_format, remember
        self._start: dict[str, NDArray[Any]] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.strategy!r}, method='{self._method}')"

    def summary(self) -> None:
        """Log what is asked of whom, then the wrapped strategy's own summary."""
        _LOG.info("\t├──> lomar settings:")
        _LOG.info("\t│\t├── Method: %s", self._method)
        _LOG.info("\t│\t├── Verdicts: %s", self._folder or "in memory only")
        _LOG.info("\t│\t└── Before: %s", type(self.strategy).__name__)
        self.strategy.summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Keep the model that the round starts from; the wrapped strategy does the rest."""
        start = {name: array.numpy() for name, array in arrays.items()}
        if self._start is None:
            # Before anybody trains for hours: do the options fit this model?
            score_updates({"start": start}, base_model=start, method="none", **self._layout)
        self._start = start
        return self.strategy.configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Judge the replies and let the wrapped strategy aggregate those that are kept.

        Replies without content, which say why a client failed, are passed on. When nothing is left
        to pass on the model stays as it was, and the wrapped strategy, which may well divide by the
        number of replies, is not asked.
        """
        messages = list(replies)
        answered = [message for message in messages if message.has_content()]
        if not answered:
            return self.strategy.aggregate_train(server_round, messages)
        if self._start is None:
            raise UsageError("aggregate_train: before configure_train there is no model to compare")
        scores = judge_replies(
            read_replies(answered, self._client, self._record, self._weight),
            self._start,
            self._method,
            server_round,
            **self._layout,
            **self._ways,
        )
        self._tell(server_round, scores)
        kept = self._weighed(answered, scores)
        passed = [
            kept.get(id(message), message)
            for message in messages
            if not message.has_content() or id(message) in kept
        ]
        return self.strategy.aggregate_train(server_round, passed) if passed else (None, None)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The wrapped strategy's."""
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """The wrapped strategy's: what clients say of the model is not judged."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def _weighed(self, answered: Sequence[Message], scores: Scores) -> dict[int, Message]:
        """Kept messages by the identity of the reply; near-copies among them share one weight."""
        rows = [row for row, keep in enumerate(scores.keep) if keep]
        kept = {id(answered[row]): answered[row] for row in rows}
        claims = [claim(answered[row], self._weight) for row in rows]
        if not rows or any(one is None for one in claims):
            return kept
        claimed = np.array(claims, np.float64)
        weights = claimed * scores.weight[rows]
        total = weights.sum()
        if self._most is not None and total > 0:
            most = max(self._most, 1 / int((weights > 0).sum()))
            if weights.max() > most * total:
                weights = total * capped(weights, most)
        for row, before, after in zip(rows, claimed, weights, strict=True):
            if after != before:
                message = answered[row]
                kept[id(message)] = weighing(message, self._weight, float(after))
        return kept

    def _tell(self, server_round: int, scores: Scores) -> None:
        """Log the verdict, keep it, and write it where that was asked for."""
        keep = scores.keep
        for client, kept, why in zip(scores.clients, keep, scores.columns["reason"], strict=True):
            if not kept:
                _LOG.warning(
                    "lomar: round %d: client %s is left out: %s", server_round, client, why
                )
        for note in scores.notes:
            _LOG.warning("lomar: round %d: %s", server_round, note)
        _LOG.info("lomar: round %d: %d of %d clients kept", server_round, keep.sum(), len(keep))
        self.verdicts[server_round] = scores
        while len(self.verdicts) > self._remember:
            self.verdicts.pop(next(iter(self.verdicts)))
        if self._folder is None:
            return
        path = self._folder / f"round-{server_round}.{self._format}"
        try:
            write_scores(path, scores, self._format)
        except (LomarError, OSError) as error:
            # The round goes on: its verdict is in the log and in memory.
            _LOG.error("lomar: round %d: the verdict is not written: %s", server_round, error)


def _weight_key(strategy: Any) -> str:
    """The metric by which a strategy weighs, also where it wraps another one."""
    while strategy is not None:
        found = getattr(strategy, "weighted_by_key", None)
        if isinstance(found, str):
            return found
        strategy = getattr(strategy, "strategy", None)
    return "num-examples"


def _folder(path: Path) -> Path:
    """The folder for verdicts, made and empty of those of another run."""
    shown = printable(str(path))
    try:
        path.mkdir(parents=True, exist_ok=True)
        old = next(path.glob("round-*"), None)
    except OSError as error:
        raise UsageError(f"verdicts: {shown} cannot be made: {error.strerror}") from None
    if old is not None:
        raise UsageError(f"verdicts: {shown} holds verdicts already ({old.name}); name another")
    return path
