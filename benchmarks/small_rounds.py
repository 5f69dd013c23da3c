"""Rounds of few clients: who is removed, with and without a hidden layer, with few labels.

    python benchmarks/small_rounds.py [--clients 10,15,20,30,40] [--labels 10] [--seeds 3]

Digits, rounds 1 and 3; clients draw 120 samples with repetition, a share lambda of them of one
label that each draws for itself, or by a Dirichlet distribution. Attackers hold flipped 1s only and
take the places of honest clients. Later rounds go on by the average of the honest clients. Prints
false alarms and attackers found by ``lomar-auto``, over all seeds, rounds and sizes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import lomar_cli

SAMPLES, HIDDEN = 120, 16
EPOCHS, BATCH, RATE = 5, 20, 0.3
SOURCE, TARGET = 1, 7
SCHEMES = ("0", "0.5", "0.9", "dirichlet1", "dirichlet0.1")
TAUS = (0.0, 0.1, 0.2, 0.3)

Model = dict[str, NDArray[np.float64]]
Samples = tuple[NDArray[np.float64], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", default="10,15,20,30,40")
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    sizes = [int(size) for size in given.clients.split(",")]
    print(f"{given.clients} clients, {given.labels} labels, {given.seeds} seeds")
    print("\n| model | spread | " + " | ".join(f"tau {tau}" for tau in TAUS) + " |")
    print("|---" * (2 + len(TAUS)) + "|")
    for model in ("softmax", "hidden layer"):
        for scheme in SCHEMES:
            cells = [cell(model, scheme, sizes, tau, given.labels, given.seeds) for tau in TAUS]
            print(f"| {model} | {scheme} | " + " | ".join(cells) + " |", flush=True)


def cell(model: str, scheme: str, sizes: list[int], tau: float, labels: int, seeds: int) -> str:
    honest = alarms = attackers = found = 0
    for clients in sizes:
        bad = round(tau * clients)
        for seed in range(seeds):
            for updates in rounds(model, scheme, clients, bad, labels, seed):
                named = {str(place): update for place, update in enumerate(updates)}
                removed = ~lomar_cli.score_updates(named, output_layer="fc.weight").keep
                honest, attackers = honest + clients - bad, attackers + bad
                alarms += int(removed[: clients - bad].sum())
                found += int(removed[clients - bad :].sum())
    share = f"{alarms / honest:.1%} removed"
    return share if not attackers else f"{found / attackers:.0%} found, {share}"


def rounds(
    model: str, scheme: str, clients: int, bad: int, labels: int, seed: int
) -> Iterator[list[Model]]:
    """The updates of rounds 1 and 3, attackers last."""
    key = [seed, clients, SCHEMES.index(scheme), len(model)]
    rng = np.random.default_rng(key)
    images, digits = load_digits(return_X_y=True)
    by_label = [images[digits == label] / 16 for label in range(labels)]
    start = initial(model, labels, rng)
    owned = [honest_samples(scheme, by_label, rng) for _ in range(clients - bad)]
    ones = [rng.choice(by_label[SOURCE], SAMPLES) for _ in range(bad)]
    target = TARGET if labels > TARGET else 0
    flipped = [(x, np.full(SAMPLES, target)) for x in ones]
    for number in (1, 2, 3):
        honest = [train(start, own, rng) for own in owned]
        if number != 2:
            yield [*honest, *(train(start, own, rng) for own in flipped)]
        start = {n: start[n] + np.mean([update[n] for update in honest], axis=0) for n in start}


def honest_samples(
    scheme: str, by_label: list[NDArray[np.float64]], rng: np.random.Generator
) -> Samples:
    labels = len(by_label)
    if scheme.startswith("dirichlet"):
        shares = rng.dirichlet([float(scheme.removeprefix("dirichlet"))] * labels)
        y = rng.choice(labels, SAMPLES, p=shares)
    else:
        own = rng.random(SAMPLES) < float(scheme)
        y = np.where(own, rng.integers(labels), rng.integers(0, labels, SAMPLES))
    return np.array([rng.choice(by_label[label]) for label in y]), y


def initial(model: str, labels: int, rng: np.random.Generator) -> Model:
    width = 64 if model == "softmax" else HIDDEN
    made = {"fc.weight": np.zeros((labels, width)), "fc.bias": np.zeros(labels)}
    if model != "softmax":
        made["hidden.weight"] = rng.normal(0, 0.2, (HIDDEN, 64))
        made["hidden.bias"] = np.zeros(HIDDEN)
        made["fc.weight"] = rng.normal(0, 0.2, (labels, HIDDEN))
    return made


def train(start: Model, own: Samples, rng: np.random.Generator) -> Model:
    """Mini-batch SGD on cross-entropy, trained minus start."""
    x, y = own
    now = {name: values.copy() for name, values in start.items()}
    for _ in range(EPOCHS):
        order = rng.permutation(len(y))
        for batch in np.split(order, range(BATCH, len(y), BATCH)):
            below, hidden = x[batch], "hidden.weight" in now
            if hidden:
                below = np.maximum(below @ now["hidden.weight"].T + now["hidden.bias"], 0)
            slope = below @ now["fc.weight"].T + now["fc.bias"]
            slope = np.exp(slope - slope.max(axis=1, keepdims=True))
            slope /= slope.sum(axis=1, keepdims=True)
            slope[np.arange(len(batch)), y[batch]] -= 1
            slope *= RATE / len(batch)
            if hidden:
                back = (slope @ now["fc.weight"]) * (below > 0)
                now["hidden.weight"] -= back.T @ x[batch]
                now["hidden.bias"] -= back.sum(axis=0)
            now["fc.weight"] -= slope.T @ below
            now["fc.bias"] -= slope.sum(axis=0)
    return {name: now[name] - start[name] for name in start}


if __name__ == "__main__":
    main()
