"""Rounds for the tests of ``lomar-auto``: digits, trained here, with attackers of known deeds."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
from scipy import ndimage

from lomar_cli.data import partition, registry
from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.learning import logistic
from lomar_cli.learning.registry import ClientData, Training
from lomar_cli.scoring.auto.base import Seen
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.lomar_auto import LomarAuto


@functools.lru_cache(maxsize=2)
def data_of(name):
    return registry.load(name, None)


def digits(scheme, seed=1, honest=100, samples=60, flips=(), attackers=0, each=False, turned=0):
    """Clients of the digits; the rest is as for ``trained``."""
    return trained("digits", scheme, seed, honest, samples, flips, attackers, each, turned)


@functools.lru_cache(maxsize=32)
def trained(source, scheme, seed, honest, samples, flips=(), attackers=0, each=False, turned=0):
    """Clients of a data set after 5 epochs from zero, and who of them flipped anything (n,).

    ``scheme`` is a lambda or "dirichletALPHA"; ``flips`` are (source, target) pairs that the last
    ``attackers`` clients do to their ordinary samples: all of them, or in turn (``each``). Each
    client's pictures are ``turned`` by an angle of its own, up to so many degrees either way.
    """
    data, count = data_of(source), honest + attackers
    rng = np.random.default_rng([seed, 77])
    if str(scheme).startswith("dirichlet"):
        name, options = "dirichlet", {"alpha": float(scheme.removeprefix("dirichlet"))}
    else:
        name, options = "paper", {"imbalance": float(scheme), "rare": "repeat"}
    owned = partition.draw(name, data.y_train, count, samples, rng, **options)
    clients, bad = [], np.zeros(count, bool)
    for i, own in enumerate(owned):
        labels = data.y_train[own].copy()
        if i >= honest:
            for source, target in flips[i % len(flips) :][:1] if each else flips:
                labels[data.y_train[own] == source] = target
            bad[i] = bool((labels != data.y_train[own]).any())
        clients.append(ClientData(f"c{i:03d}", own, labels))
    if turned:
        data, clients = _turned(data, clients, turned, rng)
    training = Training(epochs=5, batch_size=20, lr=0.01, seed=seed)
    made = [group for _, group in logistic.train(data, logistic.initial(data), clients, training)]
    tensors = {name: np.concatenate([group[name] for group in made]) for name in made[0]}
    names = [client.client for client in clients]
    labels = list(data.labels)
    return Updates(names, np.full(count, samples), tensors, logistic.OUTPUT, labels), bad


def _turned(data, clients, most, rng):
    """The clients' own samples as a data set, each client's turned by its angle."""
    rows = []
    for client, angle in zip(clients, rng.uniform(-most, most, len(clients)), strict=True):
        x = data.x_train[client.samples].reshape(-1, *data.shape[-2:]).astype(float)
        seen = ndimage.rotate(x, angle, axes=(1, 2), reshape=False, order=1)
        rows.append(seen.reshape(len(x), -1).astype(data.x_train.dtype))
    starts = np.cumsum([0, *map(len, rows)])
    moved = [
        replace(client, samples=np.arange(start, stop))
        for client, start, stop in zip(clients, starts, starts[1:], strict=False)
    ]
    labels = np.concatenate([data.y_train[client.samples] for client in clients])
    return replace(data, x_train=np.concatenate(rows), y_train=labels), moved


def pure(source, target, count, samples=60, seed=1):
    """Flat updates (count, d) of who trains on digits of one class only, called another."""
    data, rng = data_of("digits"), np.random.default_rng([seed, 78])
    held = np.flatnonzero(data.y_train == source)
    clients = [
        ClientData(f"p{i}", rng.choice(held, samples, replace=False), np.full(samples, target))
        for i in range(count)
    ]
    training = Training(epochs=5, batch_size=20, lr=0.01, seed=seed)
    made = [group for _, group in logistic.train(data, logistic.initial(data), clients, training)]
    return np.concatenate(
        [np.concatenate([t.reshape(len(t), -1) for t in group.values()], axis=1) for group in made]
    )


def changed(updates, **tensors):
    """The same round with some tensors replaced."""
    return replace(updates, tensors={**updates.tensors, **tensors})


def flat(updates):
    return np.concatenate(
        [t.reshape(len(t), -1).astype(np.float64) for t in updates.tensors.values()], axis=1
    )


def appended(updates, rows, names):
    """The round with further clients, whose flat updates are ``rows``."""
    tensors, start = {}, 0
    for name, tensor in updates.tensors.items():
        size = int(np.prod(tensor.shape[1:]))
        part = rows[:, start : start + size].reshape(len(rows), *tensor.shape[1:])
        tensors[name] = np.concatenate([tensor, part.astype(tensor.dtype)])
        start += size
    counts = np.concatenate([updates.num_examples, np.full(len(rows), 50)])
    return replace(
        updates, clients=[*updates.clients, *names], num_examples=counts, tensors=tensors
    )


def copies_of(updates, rows, seed=0, jitter=0.02, careful=True):
    """Flat near-copies of these clients: moved by ``jitter`` of their own length.

    ``careful`` ones move only what their victim moved.
    """
    victims = flat(updates)[rows]
    noise = np.random.default_rng(seed).standard_normal(victims.shape)
    if careful:
        noise *= victims != 0
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    return victims + jitter * np.linalg.norm(victims, axis=1, keepdims=True) * noise


def seen(updates, false_alarm=0.01, trusted=None):
    count = len(updates.clients)
    return Seen(
        Geometry(updates), np.ones(count, bool) if trusted is None else trusted, false_alarm
    )


def auto(updates, jobs=1, **options):
    return judge(updates, LomarAuto(**options), jobs=jobs)


def no_output(updates):
    return replace(updates, output=None)


def without_bias(updates):
    weight = updates.output.weight
    return replace(
        updates, tensors={weight: updates.tensors[weight]}, output=OutputLayer(weight, None, 0)
    )
