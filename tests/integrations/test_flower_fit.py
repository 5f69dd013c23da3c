"""The strategy for Flower's older strategies, with their own results in one process."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs the extra 'flower'")

from flwr.common import (
    Code,
    FitRes,
    Parameters,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server import strategy as flowers
from flwr.server.client_manager import SimpleClientManager

from lomar_cli.errors import UsageError
from lomar_cli.integrations.flower_fit import LomarFitStrategy
from tests.integrations import flippers

START = [np.ones((3, 4), np.float32), np.zeros(3, np.float32)]
HONEST = 11


def arrays(client):
    rng = np.random.default_rng(client)
    return [a + rng.normal(size=a.shape).astype(np.float32) for a in START]


def result(client, made, count=100, **metrics):
    """A client's proxy, of which only the name matters, and its result."""
    if not isinstance(made, Parameters):
        made = ndarrays_to_parameters(made)
    return SimpleNamespace(cid=str(client)), FitRes(Status(Code.OK, ""), made, count, metrics)


def honest():
    return [result(client, arrays(client), 100 + client) for client in range(HONEST)]


def ready(strategy):
    strategy.configure_fit(1, ndarrays_to_parameters(START), Nobody())
    return strategy


class Nobody(SimpleClientManager):
    def sample(self, *args, **kwargs):
        return []


def mean(results, weights):
    stacks = [parameters_to_ndarrays(one.parameters) for _, one in results]
    return [np.average(np.stack(each), axis=0, weights=weights) for each in zip(*stacks)]  # noqa: B905


def close(found, expected):
    for one, other in zip(parameters_to_ndarrays(found), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


HOSTILE = {
    "nan": ([a * np.nan for a in START], 100, {}, "NaN or infinity"),
    "shape": ([START[0], np.zeros(9, "f4")], 100, {}, "1: has shape (9,)"),
    "missing": (START[:1], 100, {}, "1: is missing"),
    "extra": ([*START, START[0]], 100, {}, "2: is there, but not in"),
    "no npy": (Parameters([b"x", b"y"], "numpy.ndarray"), 100, {}, "0: is no valid npy"),
    "not numpy": (Parameters([b"x"], "pickle"), 100, {}, "no list of serialised"),
    "negative": (START, -5, {}, "num_examples is -5"),
    "metrics": (START, 100, {"loss": 1.0}, "other metrics"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_result_is_left_out_and_changes_nothing(kind, caplog):
    made, count, metrics, reason = HOSTILE[kind]
    strategy = ready(LomarFitStrategy(flowers.FedAvg(), method="none"))
    with caplog.at_level(logging.WARNING, "flwr"):
        bad = result("bad", made, count, **metrics)
        found, _ = strategy.aggregate_fit(1, [bad, *honest()], [])
    close(found, mean(honest(), np.arange(100, 100 + HONEST)))
    assert strategy.verdicts[1].keep.tolist() == [False] + [True] * HONEST
    assert reason in strategy.verdicts[1].columns["reason"][0]
    assert any("client bad is left out" in m and reason in m for m in caplog.messages)


@pytest.mark.parametrize("make", [flowers.FedAvg, flowers.FedMedian, flowers.FedTrimmedAvg])
def test_any_strategy_gets_the_results_that_are_kept(make):
    expected, _ = ready(make()).aggregate_fit(1, honest(), [])
    bad = [result(90 + n, [a + 50 for a in arrays(n)]) for n in range(3)]
    found, _ = ready(LomarFitStrategy(make())).aggregate_fit(1, [*honest(), *bad], [])
    close(found, parameters_to_ndarrays(expected))


def test_nobody_kept_nobody_there_and_failures():
    strategy = ready(LomarFitStrategy(flowers.FedAvg(accept_failures=False)))
    bad = [result(n, [a * np.nan for a in arrays(n)]) for n in range(12)]
    assert strategy.aggregate_fit(1, bad, []) == (None, {})
    assert strategy.aggregate_fit(2, [], [ValueError()]) == (None, {})
    assert strategy.aggregate_fit(3, honest(), [ValueError()]) == (None, {})
    assert sorted(strategy.verdicts) == [1, 3]


def test_near_copies_share_one_vote_and_a_claim_has_a_limit():
    copy = result("copy", arrays(0), 100)
    found, _ = ready(LomarFitStrategy(flowers.FedAvg())).aggregate_fit(1, [*honest(), copy], [])
    close(found, mean(honest(), np.arange(100, 100 + HONEST)))
    greedy = [result(0, arrays(0), 10**9), *honest()[1:]]
    strategy = ready(LomarFitStrategy(flowers.FedAvg(), method="none", max_weight_share=0.25))
    found, _ = strategy.aggregate_fit(1, greedy, [])
    weights = np.arange(100.0, 100 + HONEST)
    weights[0] = weights[1:].sum() / 3
    close(found, mean(greedy, weights))


def test_options_that_do_not_fit_the_model_are_an_error_before_anybody_trains():
    with pytest.raises(UsageError, match="5"):
        ready(LomarFitStrategy(flowers.FedAvg(), output_layer="5"))


def test_flippers_are_found_over_several_rounds():
    own, ones = flippers.samples(), {}
    for defended in (False, True):
        strategy = flowers.FedAvg()
        strategy = LomarFitStrategy(strategy) if defended else strategy
        model = ndarrays_to_parameters(list(flippers.START.values()))
        for number in (1, 2, 3):
            strategy.configure_fit(number, model, Nobody())
            start = dict(zip(flippers.START, parameters_to_ndarrays(model), strict=True))
            sent = [result(c, list(flippers.trained(c, start, own).values()), 120) for c in own]
            model, _ = strategy.aggregate_fit(number, sent, [])
        ones[defended] = flippers.accuracy_on_ones(*parameters_to_ndarrays(model))
    assert ones[True] > 0.85 > 0.5 > ones[False]
    for scores in strategy.verdicts.values():
        assert np.array(scores.clients)[~scores.keep].tolist() == ["7", "8", "9"]
