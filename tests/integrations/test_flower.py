"""The Flower strategy: Flower's own strategies and messages, in one process."""

from __future__ import annotations

import logging

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs the extra 'flower'")

from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flowers
from flwr.serverapp.strategy import FedAvg

from lomar_cli.errors import UsageError
from lomar_cli.files.scores import read_scores
from lomar_cli.integrations.flower import LomarStrategy
from tests.integrations import flippers
from tests.integrations.flower_grid import InProcess, client_app, content, identify, record

START = {"fc.weight": np.ones((3, 4), np.float32), "fc.bias": np.zeros(3, np.float32)}
HONEST = 11


@pytest.fixture(autouse=True)
def _identity(monkeypatch):
    identify(monkeypatch)


def arrays(client):
    rng = np.random.default_rng(client)
    return {n: a + rng.normal(size=a.shape).astype(np.float32) for n, a in START.items()}


def reply(node, made):
    """What node ``node`` sends back: a RecordDict, or an Error."""
    ask = Message(RecordDict(), dst_node_id=node, message_type="train")
    return Message(made, reply_to=ask)


def honest(count=HONEST):
    return [reply(node, content(arrays(node), 100 + node)) for node in range(1, count + 1)]


def ready(strategy, start=START):
    """The strategy, as far as it is when the replies of a first round come."""
    grid = InProcess(range(1, 4), None)
    list(strategy.configure_train(1, record(start), ConfigRecord(), grid))
    return strategy


def numbers(found):
    return {name: array.numpy() for name, array in found.items()}


def averaged(messages, weights):
    """The weighted mean of what the messages hold, in float64."""
    total = sum(weights)
    return {
        name: sum(
            w * m.content["arrays"][name].numpy().astype(float)
            for m, w in zip(messages, weights, strict=True)
        )
        / total
        for name in START
    }


def close(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)


def raw(data, stype="numpy.ndarray"):
    """Arrays that fit but for one, whose bytes are as given."""
    made = record(arrays(0))
    made["fc.bias"] = Array("float32", (3,), stype, data)
    return made


def with_metrics(metrics):
    return RecordDict({"arrays": record(arrays(0)), "metrics": MetricRecord(metrics)})


NPY = b"\x93NUMPY\x01\x00v\x00{'descr': '%s', 'fortran_order': False, 'shape': %s, }"


def npy(kind, shape, data=b""):
    head = NPY % (kind, shape)
    return head.ljust(127) + b"\n" + data


def only(made):
    return RecordDict({"arrays": made, "metrics": MetricRecord({"num-examples": 5})})


HOSTILE = {
    "nan": lambda: (content({n: a * np.nan for n, a in arrays(0).items()}), "NaN or infinity"),
    "huge": lambda: (content({n: a * 1e30 for n, a in arrays(0).items()}), "largest value"),
    "shape": lambda: (content({**arrays(0), "fc.bias": np.zeros(9, "f4")}), "has shape (9,)"),
    "name": lambda: (content({"fc.weight": START["fc.weight"]}), "fc.bias: is missing"),
    "type": lambda: (content({n: a.astype(float) for n, a in arrays(0).items()}), "float64"),
    "bytes": lambda: (content({n: a.astype(">f4") for n, a in arrays(0).items()}), "has type >f4"),
    "count": lambda: (content({**arrays(0), "num_examples": np.array(1)}), "not in the model"),
    "no npy": lambda: (only(raw(b"\x80\x04K\x01.")), "fc.bias: is no valid npy"),
    "cut short": lambda: (only(raw(npy(b"<f4", b"(3,)", b"1234"))), "fc.bias: is cut short"),
    "beyond memory": lambda: (only(raw(npy(b"<f4", b"(%d,)" % 2**50))), "fc.bias: declares"),
    "pickle": lambda: (only(raw(npy(b"|O", b"(3,)", b"\x80\x04K\x01." * 30))), "Python objects"),
    "not numpy": lambda: (only(raw(b"", stype="pickle")), "no serialised numpy.ndarray"),
    "no record": lambda: (RecordDict({"metrics": MetricRecord({"num-examples": 5})}), "0 ArrayRec"),
    "two records": lambda: (
        RecordDict({**content(arrays(0)), "more": record(arrays(0))}),
        "2 ArrayRecords",
    ),
    "another key": lambda: (
        RecordDict({"mine": record(arrays(0)), "metrics": MetricRecord({"num-examples": 5})}),
        "other records or metrics",
    ),
    "no metrics": lambda: (RecordDict({"arrays": record(arrays(0))}), "other records or metrics"),
    "no count": lambda: (with_metrics({"loss": 1.0}), "other records or metrics"),
    "a list": lambda: (with_metrics({"num-examples": [1, 2]}), "other records or metrics"),
    "more metrics": lambda: (content(arrays(0), loss=1.0), "other records or metrics"),
    "negative": lambda: (content(arrays(0), -1000), "num-examples is -1000"),
    "nan samples": lambda: (content(arrays(0), float("nan")), "num-examples is nan"),
    "all samples": lambda: (content(arrays(0), 1e300), "num-examples is 1e+300"),
}


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_reply_is_left_out_and_changes_nothing(kind, first, caplog):
    made, reason = HOSTILE[kind]()
    theirs, bad = honest(), reply(99, made)
    strategy = ready(LomarStrategy(FedAvg(), method="none"))
    with caplog.at_level(logging.WARNING, "flwr"):
        replies = [bad, *theirs] if first else [*theirs, bad]
        found, _ = strategy.aggregate_train(1, iter(replies))
    close(numbers(found), averaged(theirs, range(101, 101 + HONEST)))
    scores = strategy.verdicts[1]
    assert [c for c, keep in zip(scores.clients, scores.keep, strict=True) if not keep] == ["99"]
    assert reason in scores.columns["reason"][scores.clients.index("99")]
    (line,) = [m for m in caplog.messages if "left out" in m]
    assert line.startswith("lomar: round 1: client 99 is left out: ")
    assert reason in line


STRATEGIES = {
    "FedAvg": FedAvg,
    "FedAvgM": lambda: flowers.FedAvgM(server_learning_rate=0.5, server_momentum=0.5),
    "FedProx": lambda: flowers.FedProx(proximal_mu=0.1),
    "FedMedian": flowers.FedMedian,
    "FedTrimmedAvg": flowers.FedTrimmedAvg,
    "FedAdam": flowers.FedAdam,
    "FedAdagrad": flowers.FedAdagrad,
    "FedYogi": flowers.FedYogi,
    "Krum": lambda: flowers.Krum(num_malicious_nodes=1),
    "MultiKrum": lambda: flowers.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=4),
    "Bulyan": lambda: flowers.Bulyan(num_malicious_nodes=1),
    "fixed clipping": lambda: flowers.DifferentialPrivacyServerSideFixedClipping(
        FedAvg(), 0.0, 1.0, HONEST
    ),
    "adaptive clipping": lambda: flowers.DifferentialPrivacyServerSideAdaptiveClipping(
        FedAvg(), 0.0, HONEST, clipped_count_stddev=1e-9
    ),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_any_strategy_gets_the_replies_that_are_kept(name):
    """It comes to what it would have come to, had the others never answered."""
    alone, wrapped = ready(STRATEGIES[name]()), ready(LomarStrategy(STRATEGIES[name]()))
    expected, metrics = alone.aggregate_train(1, honest())
    bad = [reply(90 + n, content({m: a + 50 for m, a in arrays(n).items()})) for n in range(3)]
    found, seen = wrapped.aggregate_train(1, [*bad, *honest()])
    assert wrapped.verdicts[1].keep.tolist() == [False] * 3 + [True] * HONEST
    close(numbers(found), numbers(expected))
    assert seen == metrics


@pytest.mark.parametrize("name", STRATEGIES)
def test_when_nobody_is_kept_the_model_stays(name):
    strategy = ready(LomarStrategy(STRATEGIES[name]()))
    bad = [reply(n, content({m: a * np.nan for m, a in arrays(n).items()})) for n in range(1, 12)]
    assert strategy.aggregate_train(1, bad) == (None, None)
    assert not strategy.verdicts[1].keep.any()


def test_within_differential_privacy_it_judges_what_clipping_left():
    """A huge update is no longer huge then; one that is not finite is left out all the same."""
    private = flowers.DifferentialPrivacyServerSideFixedClipping
    huge = reply(90, content({n: a + 1e9 for n, a in arrays(0).items()}))
    bad = reply(91, content({n: a * np.nan for n, a in arrays(0).items()}))
    alone = ready(private(FedAvg(), 0.0, 1.0, HONEST + 1))
    expected, _ = alone.aggregate_train(1, [*honest(), huge])
    judged = LomarStrategy(FedAvg(), method="none")
    found, _ = ready(private(judged, 0.0, 1.0, HONEST + 2)).aggregate_train(
        1, [*honest(), reply(90, content({n: a + 1e9 for n, a in arrays(0).items()})), bad]
    )
    close(numbers(found), numbers(expected))
    assert judged.verdicts[1].keep.tolist() == [True] * (HONEST + 1) + [False]


def test_clients_that_failed_are_passed_on():
    seen = []

    class Looks(FedAvg):
        def aggregate_train(self, server_round, replies):
            seen.extend(replies)
            return super().aggregate_train(server_round, replies)

    failed = reply(50, Error(code=0, reason="out of memory"))
    strategy = ready(LomarStrategy(Looks()))
    theirs = honest()
    strategy.aggregate_train(1, [failed, *theirs])
    assert seen == [failed, *theirs]
    assert "50" not in strategy.verdicts[1].clients
    assert strategy.aggregate_train(2, [failed]) == (None, None)
    assert sorted(strategy.verdicts) == [1]


def test_too_few_are_all_kept_and_it_says_so(caplog):
    strategy = ready(LomarStrategy(FedAvg()))
    with caplog.at_level(logging.WARNING, "flwr"):
        found, _ = strategy.aggregate_train(1, honest(4))
    close(numbers(found), averaged(honest(4), range(101, 105)))
    assert any("too few to compare" in message for message in caplog.messages)


def test_near_copies_share_one_vote():
    messages = [*honest(), reply(70, content(arrays(1), 101))]
    strategy = ready(LomarStrategy(FedAvg()))
    found, _ = strategy.aggregate_train(1, messages)
    assert strategy.verdicts[1].keep.all()
    close(numbers(found), averaged(honest(), range(101, 101 + HONEST)))
    assert strategy.verdicts[1].weight.tolist() == [0.5, *[1] * (HONEST - 1), 0.5]
    # The replies themselves are as they came.
    assert messages[0].content["metrics"]["num-examples"] == 101


@pytest.mark.parametrize(
    "make",
    [FedAvg, lambda: flowers.DifferentialPrivacyServerSideFixedClipping(FedAvg(), 0.0, 1e9, 11)],
    ids=["FedAvg", "within"],
)
def test_a_claim_is_worth_no_more_than_the_largest_share(make):
    messages = honest()
    messages[3] = reply(4, content(arrays(4), 10**9))
    strategy = ready(LomarStrategy(make(), method="none", max_weight_share=0.25))
    found, _ = strategy.aggregate_train(1, messages)
    weights = np.arange(101.0, 101 + HONEST)
    weights[3] = (weights.sum() - weights[3]) / 3
    close(numbers(found), averaged(messages, weights))
    few = ready(LomarStrategy(FedAvg(), method="none", max_weight_share=0.01))
    found, _ = few.aggregate_train(1, honest())
    close(numbers(found), averaged(honest(), [1] * HONEST))


def test_weights_may_have_another_key_or_none():
    def with_key(node, key):
        metrics = MetricRecord({key: node})
        return reply(node, RecordDict({"arrays": record(arrays(node)), "metrics": metrics}))

    other = ready(LomarStrategy(FedAvg(weighted_by_key="n"), max_weight_share=1.0))
    messages = [with_key(node, "n") for node in range(1, 13)]
    found, _ = other.aggregate_train(1, messages)
    close(numbers(found), averaged(messages, range(1, 13)))
    assert other.verdicts[1].columns["num_examples"] == list(range(1, 13))
    none = ready(LomarStrategy(flowers.FedMedian(weighted_by_key="n"), weighted_by_key="absent"))
    none.aggregate_train(1, messages)
    assert none.verdicts[1].columns["num_examples"] == [1] * 12


def test_one_of_several_records_is_judged():
    class Takes(FedAvg):
        def aggregate_train(self, server_round, replies):
            return [m.metadata.src_node_id for m in replies], None

    def two(node, more):
        return reply(node, RecordDict({**content(arrays(node)), "more": record(more)}))

    bad = two(40, {n: a * np.nan for n, a in arrays(40).items()})
    odd = two(41, {"w": np.zeros(2, "f4")})
    theirs = [two(node, {"x": np.zeros(1, "f4")}) for node in range(1, 12)]
    strategy = ready(LomarStrategy(Takes(), method="none", arrayrecord_key="arrays"))
    assert strategy.aggregate_train(1, [odd, *theirs])[0] == list(range(1, 12))
    strategy = ready(LomarStrategy(Takes(), method="none", arrayrecord_key="more"))
    fits = [two(node, arrays(node)) for node in range(1, 12)]
    assert strategy.aggregate_train(1, [bad, odd, *fits])[0] == list(range(1, 12))
    strategy = ready(LomarStrategy(Takes(), method="none"))
    assert strategy.aggregate_train(1, fits) == (None, None)
    assert "arrayrecord_key" in strategy.verdicts[1].columns["reason"][0]


def test_names_are_the_clients_word():
    def named(node, name):
        made = content(arrays(node))
        made["who"] = ConfigRecord({"name": name})
        return reply(node, made)

    messages = [named(node, f"site-{node}") for node in range(1, 12)]
    messages += [named(20, "site-3"), named(21, "\x1b[2J"), named(22, "x" * 300)]
    messages += [reply(23, content(arrays(23))), named(24, "5"), reply(5, content(arrays(25)))]
    strategy = LomarStrategy(FedAvg(), client=lambda message: message.content["who"]["name"])
    ready(strategy).aggregate_train(1, messages)
    wanted = [f"site-{node}" for node in range(1, 12)]
    wanted[2] = "site-3 (node 3)"
    assert strategy.verdicts[1].clients == [
        *wanted,
        "site-3 (node 20)",
        "21",
        "22",
        "23",
        "5 (node 24)",
        "5",
    ]


def test_verdicts_are_written_and_remembered(tmp_path, caplog):
    for kind in ("json", "csv", "tsv", "h5"):
        folder = tmp_path / "made" / kind
        strategy = LomarStrategy(FedAvg(), verdicts=folder, verdict_format=kind, remember=2)
        for number in (1, 2, 3):
            bad = reply(99, HOSTILE["nan"]()[0])
            ready(strategy).aggregate_train(number, [bad, *honest()])
        assert sorted(strategy.verdicts) == [2, 3]
        assert {p.name for p in folder.iterdir()} == {f"round-{n}.{kind}" for n in (1, 2, 3)}
        read, kept = read_scores(folder / f"round-2.{kind}"), strategy.verdicts[2]
        assert read.clients == kept.clients
        assert read.keep.tolist() == kept.keep.tolist() == [False] + [True] * HONEST
        assert list(read.columns["reason"]) == list(kept.columns["reason"])
        with pytest.raises(UsageError, match="holds verdicts already"):
            LomarStrategy(FedAvg(), verdicts=folder)


def test_a_verdict_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    strategy = ready(LomarStrategy(FedAvg(), verdicts=tmp_path / "gone"))
    (tmp_path / "gone").rmdir()
    with caplog.at_level(logging.ERROR, "flwr"):
        found, _ = strategy.aggregate_train(1, honest())
    close(numbers(found), averaged(honest(), range(101, 101 + HONEST)))
    assert "the verdict is not written" in caplog.text


@pytest.mark.parametrize(
    ("options", "mention"),
    [
        ({"method": "lomar-atuo"}, "lomar-auto"),
        ({"options": {"views": "nothing"}}, "nothing"),
        ({"max_weight_share": 0.0}, "max_weight_share"),
        ({"verdict_format": "pickle"}, "verdict_format"),
    ],
)
def test_options_that_cannot_be_are_an_error_at_once(options, mention):
    with pytest.raises(UsageError, match=mention):
        LomarStrategy(FedAvg(), **options)


@pytest.mark.parametrize(
    "options", [{"output_layer": "x"}, {"labels": ["a"]}, {"layers": ["x"]}, {"exclude": ["x"]}]
)
def test_options_that_do_not_fit_the_model_are_an_error_before_anybody_trains(options):
    with pytest.raises(UsageError):
        ready(LomarStrategy(FedAvg(), **options))


def test_replies_before_a_model_are_an_error():
    with pytest.raises(UsageError, match="before the model"):
        LomarStrategy(FedAvg()).aggregate_train(1, honest())


def test_averaged_counters_come_back_whole():
    """Flower averages whole numbers to floats; its clients send whole ones again."""

    def answer(client, start, server_round):
        rng = np.random.default_rng([client, server_round])
        made = {n: a + rng.normal(size=a.shape).astype("f4") for n, a in start.items()}
        made["norm.num_batches_tracked"] = np.array(10 * server_round + client % 2)
        return content(made)

    strategy = LomarStrategy(FedAvg(fraction_evaluate=0.0), method="none")
    start = {**START, "norm.num_batches_tracked": np.array(0)}
    strategy.start(InProcess(range(1, 12), client_app(answer)), record(start), num_rounds=3)
    assert all(scores.keep.all() for scores in strategy.verdicts.values())


def test_flippers_are_found_over_several_rounds():
    """Three of ten; the same run without it falls for them."""
    own = flippers.samples()
    app = client_app(lambda client, start, _: content(flippers.trained(client, start, own), 120))
    ones = {}
    for defended in (False, True):
        strategy = FedAvg(fraction_evaluate=0.0)
        strategy = LomarStrategy(strategy) if defended else strategy
        result = strategy.start(InProcess(own, app), record(flippers.START), num_rounds=4)
        ones[defended] = flippers.accuracy_on_ones(*numbers(result.arrays).values())
    assert ones[True] > 0.85 > 0.5 > ones[False]
    assert sorted(strategy.verdicts) == [1, 2, 3, 4]
    for scores in strategy.verdicts.values():
        removed = {c for c, keep in zip(scores.clients, scores.keep, strict=True) if not keep}
        assert removed == {"7", "8", "9"}


def test_what_is_not_training_is_the_wrapped_strategys():
    asked = []

    class Tells(FedAvg):
        def configure_evaluate(self, *args):
            asked.append(("configure", *args))
            return ["messages"]

        def aggregate_evaluate(self, *args):
            asked.append(("aggregate", *args))
            return "metrics"

        def summary(self):
            asked.append("summary")

    strategy = LomarStrategy(Tells())
    assert strategy.configure_evaluate(1, ArrayRecord(), ConfigRecord(), None) == ["messages"]
    assert strategy.aggregate_evaluate(1, ["replies"]) == "metrics"
    strategy.summary()
    assert [one if one == "summary" else one[0] for one in asked] == [
        "configure",
        "aggregate",
        "summary",
    ]
    assert asked[1][1:] == (1, ["replies"])
