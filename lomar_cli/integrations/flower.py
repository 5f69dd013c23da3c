"""Flower strategies that ask `lomar` before they average, around any other strategy.

``LomarStrategy(FedAvg())`` does what FedAvg does, on the replies of those clients that the method
keeps. It is for Flower's message API (``flwr.serverapp.strategy``, flwr 1.42 or newer; the extra
``flower``); ``LomarFitStrategy`` in ``flower_fit`` is the same for the older
``flwr.server.strategy``. ``docs/interop.md`` says what it can be combined with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

from lomar_cli.integrations.extra import missing_flower

try:
    from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import Strategy
except ImportError as error:
    raise missing_flower(__name__, error) from None

from lomar_cli.files.scores import Scores
from lomar_cli.integrations.flower_messages import Name, claim, read_replies, weighing
from lomar_cli.integrations.judge import Judge, Options

LOG = logging.getLogger("flwr")


class LomarStrategy(Strategy):
    """Any strategy, without the replies of clients that a method of `lomar` removes.

    Args:
        strategy: the strategy that configures rounds and aggregates what is kept.
        client: what names a client, from its reply; by default the number of its node. What a
            reply holds is its client's word: a name that cannot be used is replaced, and one that
            several clients have completed, by the node's number.
        arrayrecord_key: the ArrayRecord to judge, where replies hold several.
        weighted_by_key: the metric by which the wrapped strategy weighs clients; by default its
            own ``weighted_by_key``, or ``"num-examples"``.
        judging: ``method="lomar-auto"``, ``output_layer``, ``verdicts="folder"``,
            ``max_weight_share`` and whatever else a :class:`lomar_cli.integrations.judge.Judge`
            may be told.

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
        client: Name | None = None,
        arrayrecord_key: str | None = None,
        weighted_by_key: str | None = None,
        **judging: Unpack[Options],
    ) -> None:
        super().__init__()
        self.strategy = strategy
        self._judge = Judge(LOG, **judging)
        self._client, self._record = client, arrayrecord_key
        self._weight = weighted_by_key or _weight_key(strategy)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.strategy!r}, method='{self._judge.method}')"

    @property
    def verdicts(self) -> dict[int, Scores]:
        return self._judge.verdicts

    def summary(self) -> None:
        """Log what is asked of whom, then the wrapped strategy's own summary."""
        LOG.info("\t├──> lomar settings:")
        LOG.info("\t│\t├── Method: %s", self._judge.method)
        LOG.info("\t│\t├── Verdicts: %s", self._judge.folder or "in memory only")
        LOG.info("\t│\t└── Before: %s", type(self.strategy).__name__)
        self.strategy.summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Keep the model that the round starts from; the wrapped strategy does the rest."""
        self._judge.begin({name: array.numpy() for name, array in arrays.items()})
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
        read = read_replies(answered, self._client, self._record, self._weight)
        scores = self._judge.judge(read, server_round)
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
        """The messages to pass on, by the identity of the reply, with their weights."""
        found = [one for one, keep in zip(answered, scores.keep, strict=True) if keep]
        kept = {id(message): message for message in found}
        claims = [claim(message, self._weight) for message in found]
        claimed = [one for one in claims if one is not None]
        if not found or len(claimed) < len(claims):
            return kept
        weights = self._judge.weights(claimed, scores)
        for message, before, after in zip(found, claimed, weights, strict=True):
            if after != before:
                kept[id(message)] = weighing(message, self._weight, float(after))
        return kept


def _weight_key(strategy: Any) -> str:
    """The metric by which a strategy weighs, also where it wraps another one."""
    while strategy is not None:
        found = getattr(strategy, "weighted_by_key", None)
        if isinstance(found, str):
            return found
        strategy = getattr(strategy, "strategy", None)
    return "num-examples"
