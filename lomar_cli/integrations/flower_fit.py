"""The same for Flower's older strategies, of ``flwr.server.strategy``: ``aggregate_fit``.

There a client's parameters are a list of arrays, which are named ``"0"``, ``"1"`` and so on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

from numpy.typing import NDArray

from lomar_cli.integrations.extra import missing_flower

try:
    from flwr.common import EvaluateIns, EvaluateRes, FitIns, FitRes, Parameters
    from flwr.server.client_manager import ClientManager
    from flwr.server.client_proxy import ClientProxy
    from flwr.server.strategy import Strategy
except ImportError as error:
    raise missing_flower(__name__, error) from None

from lomar_cli.errors import InputError
from lomar_cli.files.scores import Scores
from lomar_cli.integrations.flower import LOG
from lomar_cli.integrations.flower_messages import samples
from lomar_cli.integrations.judge import Judge, Options
from lomar_cli.integrations.replies import SHOWN, Reply, from_npy

_NUMPY = "numpy.ndarray"
Results = list[tuple[ClientProxy, FitRes]]
Failures = list[tuple[ClientProxy, Any] | BaseException]


class LomarFitStrategy(Strategy):
    """Any strategy, without the results of clients that a method of `lomar` removes.

    Args:
        strategy: the strategy that configures rounds and aggregates what is kept.
        judging: as for ``LomarStrategy``. ``output_layer`` is the number of its weight, as text.

    Attributes:
        strategy: the wrapped strategy.
        verdicts (dict[int, Scores]): who was kept, and why not, by round; a client is named by the
            ``cid`` of its proxy.

    Raises:
        UsageError: an option cannot be, or does not fit the model (when the first round starts).
    """

    def __init__(self, strategy: Strategy, **judging: Unpack[Options]) -> None:
        super().__init__()
        self.strategy = strategy
        self._judge = Judge(LOG, **judging)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.strategy!r}, method='{self._judge.method}')"

    @property
    def verdicts(self) -> dict[int, Scores]:
        return self._judge.verdicts

    def initialize_parameters(self, client_manager: ClientManager) -> Parameters | None:
        """The wrapped strategy's."""
        return self.strategy.initialize_parameters(client_manager)

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Keep the model that the round starts from; the wrapped strategy does the rest."""
        self._judge.begin(_arrays(parameters))
        return self.strategy.configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(
        self, server_round: int, results: Results, failures: Failures
    ) -> tuple[Parameters | None, dict[str, Any]]:
        """Judge the results and let the wrapped strategy aggregate those that are kept."""
        if not results:
            return self.strategy.aggregate_fit(server_round, results, failures)
        scores = self._judge.judge(_replies(results), server_round)
        kept = [one for one, keep in zip(results, scores.keep, strict=True) if keep]
        if not kept:
            return None, {}
        weights = self._judge.weights([result.num_examples for _, result in kept], scores)
        weighed = [
            (client, result if weight == result.num_examples else _weighing(result, weight))
            for (client, result), weight in zip(kept, weights.tolist(), strict=True)
        ]
        return self.strategy.aggregate_fit(server_round, weighed, failures)

    def configure_evaluate(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, EvaluateIns]]:
        """The wrapped strategy's."""
        return self.strategy.configure_evaluate(server_round, parameters, client_manager)

    def aggregate_evaluate(
        self, server_round: int, results: list[tuple[ClientProxy, EvaluateRes]], failures: Failures
    ) -> tuple[float | None, dict[str, Any]]:
        """The wrapped strategy's: what clients say of the model is not judged."""
        return self.strategy.aggregate_evaluate(server_round, results, failures)

    def evaluate(
        self, server_round: int, parameters: Parameters
    ) -> tuple[float, dict[str, Any]] | None:
        """The wrapped strategy's."""
        return self.strategy.evaluate(server_round, parameters)


def _replies(results: Results) -> list[Reply]:
    """What each result says; nothing in it may stop a round."""
    layouts = [tuple(sorted(result.metrics)) for _, result in results]
    usual = Counter(layouts).most_common(1)[0][0]
    found = []
    for (client, result), layout in zip(results, layouts, strict=True):
        arrays: dict[str, NDArray[Any]] = {}
        count, wrong = 1, None
        try:
            arrays = _arrays(result.parameters)
            count = samples(result.num_examples, "num_examples")
            if layout != usual:
                raise InputError("its reply holds other metrics than most clients' do")
        except InputError as error:
            wrong = str(error)
        found.append(Reply(client.cid, arrays, count, wrong))
    return found


def _arrays(parameters: Parameters) -> dict[str, NDArray[Any]]:
    if parameters.tensor_type != _NUMPY:
        raise InputError(f"{SHOWN}: is no list of serialised numpy.ndarray")
    tensors: Sequence[bytes] = parameters.tensors
    return {str(place): from_npy(str(place), data) for place, data in enumerate(tensors)}


def _weighing(result: FitRes, weight: float) -> FitRes:
    return replace(result, num_examples=weight)
