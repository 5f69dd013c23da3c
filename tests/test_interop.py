"""The recipes of ``docs/interop.md``, run as they are printed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import lomar_cli
from lomar_cli.files.round import open_round
from tests.commands import works

PAGE = (Path(lomar_cli.__file__).parent.parent / "docs" / "interop.md").read_text()
CLIENTS, FLIPPERS = 10, 3


def blocks(heading, language):
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    assert found, f"docs/interop.md has no section '{heading}'"
    return re.findall(rf"^```{language}\n(.*?)^```", found[1], re.M | re.S)


def commands(heading):
    """Run the section's lomar commands in the working folder; return what they print."""
    printed = ""
    for line in "\n".join(blocks(heading, "bash")).splitlines():
        printed += works(*shlex.split(line)[1:]).stdout
    return printed


@pytest.fixture(scope="module")
def samples():
    """Digits of ten clients, 120 each; the last three have 1s only, relabelled 7."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = data.data.astype(np.float32) / 16, data.target
    rng = np.random.default_rng(1)
    made = {}
    for client in range(CLIENTS):
        if client >= CLIENTS - FLIPPERS:
            rows = rng.choice(np.flatnonzero(y == 1), 120)
            made[client] = (x[rows], np.full(120, 7))
        else:
            rows = rng.choice(len(x), 120)
            made[client] = (x[rows], y[rows])
    return made


def train(weight, bias, x, y, steps=20, lr=0.5):
    """Softmax regression by plain gradient descent."""
    weight, bias = weight.copy(), bias.copy()
    for _ in range(steps):
        z = x @ weight.T + bias
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        weight -= lr * (p.T @ x) / len(y)
        bias -= lr * p.mean(axis=0)
    return weight.astype(np.float32), bias.astype(np.float32)


FLIPPED = {str(client) for client in range(CLIENTS - FLIPPERS, CLIENTS)}
START = {"fc.weight": np.zeros((10, 64), np.float32), "fc.bias": np.zeros(10, np.float32)}


def flower(strategy, samples):
    """Two rounds of Flower's own Strategy.start with its messages and ClientApp, in-process."""
    from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid

    app = ClientApp()

    @app.train()
    def on_train(message, context):
        arrays = message.content["arrays"]
        x, y = samples[context.node_config["client"]]
        weight, bias = train(arrays["fc.weight"].numpy(), arrays["fc.bias"].numpy(), x, y)
        content = RecordDict(
            {
                "arrays": ArrayRecord({"fc.weight": Array(weight), "fc.bias": Array(bias)}),
                "metrics": MetricRecord({"num-examples": len(y)}),
            }
        )
        return Message(content=content, reply_to=message)

    class InProcess(Grid):
        def set_run(self, run):
            pass

        @property
        def run(self):
            raise NotImplementedError

        def create_message(self, *args, **kwargs):
            raise NotImplementedError

        def get_node_ids(self):
            return list(samples)

        def push_messages(self, messages):
            raise NotImplementedError

        def pull_messages(self, message_ids):
            raise NotImplementedError

        def send_and_receive(self, messages, *, timeout=None, **more):
            replies = []
            for message in messages:
                client = message.metadata.dst_node_id
                about = Context(1, client, {"client": client}, RecordDict(), {})
                replies.append(app(message, about))
            return replies

    start = ArrayRecord({name: Array(array) for name, array in START.items()})
    return strategy.start(grid=InProcess(), initial_arrays=start, num_rounds=2)


def test_flower(samples, tmp_path, monkeypatch):
    pytest.importorskip("flwr", reason="the recipe needs the extra 'flower'")
    from flwr.supercore.task_identity import TaskIdentity

    monkeypatch.chdir(tmp_path)
    # What Flower sets when it starts a server; messages carry it.
    for name, value in {"_task_id": 1, "_run_id": 1, "_node_id": 1}.items():
        monkeypatch.setattr(TaskIdentity, name, value)
    asks, saves = blocks("Flower", "python")
    made = {}
    exec(asks, made)
    strategy = made["FedAvgWithoutFlagged"](fraction_evaluate=0.0)
    result = flower(strategy, samples)
    assert sorted(strategy.removed) == [1, 2]
    for removed in strategy.removed.values():
        assert removed >= FLIPPED
        assert len(removed) <= FLIPPERS + 3
    exec(saves, made)
    undefended = flower(made["FedAvgThatSaves"]("saved", fraction_evaluate=0.0), samples)
    assert accuracy_on_ones(result) > 0.8 > 0.5 > accuracy_on_ones(undefended)
    printed = commands("Flower")
    flagged = {line.split()[0] for line in printed.splitlines() if " remove " in line}
    assert flagged == strategy.removed[1]
    with open_round(tmp_path / "round.h5") as found:
        assert set(found.head.clients) == {str(client) for client in samples}
        assert found.head.num_examples.tolist() == [120] * CLIENTS


def accuracy_on_ones(result):
    from sklearn.datasets import load_digits

    data = load_digits()
    ones = data.data[data.target == 1] / 16
    scores = ones @ result.arrays["fc.weight"].numpy().T + result.arrays["fc.bias"].numpy()
    return (scores.argmax(axis=1) == 1).mean()


def test_torch(samples, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="the recipe needs the extra 'train'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clients").mkdir()
    (recipe,) = blocks("torch", "python")
    model = torch.nn.Sequential()
    model.add_module("fc", torch.nn.Linear(64, 10))
    model.add_module("norm", torch.nn.BatchNorm1d(10))
    for client, (x, y) in samples.items():
        trained = torch.nn.Sequential()
        trained.add_module("fc", torch.nn.Linear(64, 10))
        trained.add_module("norm", torch.nn.BatchNorm1d(10))
        trained.load_state_dict(model.state_dict())
        trained.train()
        sgd = torch.optim.SGD(trained.parameters(), lr=0.5)
        for _ in range(5 + client):
            sgd.zero_grad()
            loss = torch.nn.functional.cross_entropy(trained(torch.from_numpy(x)), torch.tensor(y))
            loss.backward()
            sgd.step()
        names = {"model": model, "trained": trained, "client": client, "count": len(y)}
        exec(recipe, names)
    commands("torch")
    with open_round(tmp_path / "round.h5") as found:
        head = found.head
    assert head.buffers == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert head.output.weight == "fc.weight"
    after = torch.load(tmp_path / "next.pt", weights_only=True)
    model.load_state_dict(after)
    assert after["norm.num_batches_tracked"].dtype == torch.int64
    assert 5 <= int(after["norm.num_batches_tracked"]) <= 14


def test_numpy(samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clients").mkdir()
    files, memory = blocks("NumPy and JAX", "python")
    updates, counts = {}, {}
    for client, (x, y) in samples.items():
        weight, bias = train(*START.values(), x, y)
        updates[str(client)] = {"fc.weight": weight, "fc.bias": bias}
        counts[str(client)] = len(y)
        names = {"client": client, "update": updates[str(client)], "count": len(y)}
        exec(files, names)
    printed = commands("NumPy and JAX")
    flagged = {line.split()[0] for line in printed.splitlines() if " remove " in line}
    names = {"updates": updates, "counts": counts}
    exec(memory, names)
    assert flagged == set(names["flagged"]) >= FLIPPED
