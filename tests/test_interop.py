"""The recipes of ``docs/interop.md``, run as they are printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

import lomar_cli
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from tests.commands import works
from tests.integrations import flippers
from tests.integrations.flippers import CLIENTS, FLIPPERS, START

PAGE = (Path(lomar_cli.__file__).parent.parent / "docs" / "interop.md").read_text()


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


def removed(printed):
    """The clients that a printed table of ``lomar score`` removes."""
    return {line.split()[0] for line in printed.splitlines() if " remove " in line}


@pytest.fixture(scope="module")
def samples():
    return flippers.samples()


FLIPPED = {str(client) for client in range(CLIENTS - FLIPPERS, CLIENTS)}


def test_flower(samples, tmp_path, monkeypatch):
    pytest.importorskip("flwr", reason="the recipe needs the extra 'flower'")
    from tests.integrations.flower_grid import InProcess, client_app, content, identify, record

    monkeypatch.chdir(tmp_path)
    identify(monkeypatch)

    def answer(client, start, server_round):
        return content(flippers.trained(client, start, samples), 120)

    grid = InProcess(samples, client_app(answer))
    asks, saves = blocks("Flower", "python")
    made = {"model": START}
    exec(asks, made)
    made["app"](grid, None)
    written = [read_scores(Path("verdicts") / f"round-{number}.json") for number in (1, 2, 3)]
    for scores in written:
        assert {
            c for c, keep in zip(scores.clients, scores.keep, strict=True) if not keep
        } == FLIPPED
    exec(saves, made)
    strategy = made["FedAvgThatSaves"]("saved", fraction_evaluate=0.0)
    undefended = strategy.start(grid=grid, initial_arrays=record(START), num_rounds=3)
    unsafe = {name: array.numpy() for name, array in undefended.arrays.items()}
    safe = load_file("end.safetensors")
    assert flippers.accuracy_on_ones(*(safe[name] for name in START)) > 0.8
    assert flippers.accuracy_on_ones(*(unsafe[name] for name in START)) < 0.5
    printed = commands("Flower")
    flagged = removed(printed)
    assert flagged == FLIPPED
    with open_round(tmp_path / "round.h5") as found:
        assert set(found.head.clients) == {str(client) for client in samples}
        assert found.head.num_examples.tolist() == [120] * CLIENTS


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
    for client, (_, y) in samples.items():
        updates[str(client)] = flippers.trained(client, START, samples)
        counts[str(client)] = len(y)
        names = {"client": client, "update": updates[str(client)], "count": len(y)}
        exec(files, names)
    printed = commands("NumPy and JAX")
    flagged = removed(printed)
    names = {"updates": updates, "counts": counts}
    exec(memory, names)
    assert flagged == set(names["flagged"]) >= FLIPPED


def test_jax(samples, tmp_path, monkeypatch):
    """From a tree of JAX arrays."""
    jax = pytest.importorskip("jax", reason="the recipe needs jax")
    traverse = pytest.importorskip("flax.traverse_util", reason="the recipe needs flax")
    numbers = jax.numpy
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clients").mkdir()
    start = {"params": {"head": {"kernel": numbers.zeros((64, 10)), "bias": numbers.zeros(10)}}}

    def loss(tree, x, y):
        head = tree["params"]["head"]
        scores = jax.nn.log_softmax(x @ head["kernel"] + head["bias"])
        return -scores[numbers.arange(len(y)), y].mean()

    slope = jax.jit(jax.grad(loss))
    updates = {}
    for client, (x, y) in samples.items():
        tree = start
        for _ in range(20):
            tree = jax.tree.map(lambda a, g: a - 0.5 * g, tree, slope(tree, x, y))
        update = traverse.flatten_dict(tree, sep="/")
        updates[str(client)] = update
        exec(blocks("NumPy and JAX", "python")[0], {**locals(), "count": len(y)})
    printed = commands("NumPy and JAX")
    assert removed(printed) == FLIPPED
    for update in updates.values():
        update["params/head/bias"] = update["params/head/bias"].astype(numbers.bfloat16)
    names = {"updates": updates, "counts": dict.fromkeys(updates, 120)}
    exec(blocks("NumPy and JAX", "python")[1], names)
    assert set(names["flagged"]) == FLIPPED


def test_keras(samples, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    pytest.importorskip("jax", reason="the recipe is run with Keras on JAX")
    keras = pytest.importorskip("keras", reason="the recipe needs keras")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clients").mkdir()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    below = [layers.Input((64,)), layers.BatchNormalization()]
    model = keras.Sequential([*below, layers.Dense(10, "softmax")])
    (recipe,) = blocks("Keras", "python")
    for client, (x, y) in samples.items():
        trained = keras.models.clone_model(model)
        trained.set_weights(model.get_weights())
        trained.compile(keras.optimizers.SGD(0.3), "sparse_categorical_crossentropy")
        trained.fit(x, y, epochs=5, batch_size=20, verbose=0)
        exec(recipe, {"model": model, "trained": trained, "client": client})
    printed = commands("Keras")
    assert removed(printed) == FLIPPED
    with open_round(tmp_path / "round.h5") as found:
        head = found.head
    assert head.output.weight == "layers/dense/vars/0"
    assert head.buffers == {f"layers/batch_normalization/vars/{number}" for number in (2, 3)}


def test_nvflare(tmp_path):
    """In NVFlare's simulator, every site a process."""
    pytest.importorskip("nvflare", reason="the recipe needs nvflare")
    (tmp_path / "lomar_aggregator.py").write_text(blocks("NVFlare", "python")[0])
    root = Path(__file__).resolve().parents[1]
    job = root / "tests" / "integrations" / "nvflare_app" / "job.py"
    done = subprocess.run(
        [sys.executable, str(job), str(tmp_path / "workspace")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{root}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=1200,
    )
    flipped = sorted(f"site-{int(client) + 1}" for client in FLIPPED)
    assert (done.stdout + done.stderr).count(f"left out: {flipped}") == 2
