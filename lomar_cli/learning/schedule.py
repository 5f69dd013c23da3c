"""Which samples each client trains on at each step, and groups of clients trained in threads."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import LomarError, UsageError
from lomar_cli.learning.registry import ClientData, Training

Ints = NDArray[np.int64]
Arrays = dict[str, NDArray[np.float32]]


def batches(client: ClientData, training: Training) -> list[Ints]:
    """The batches of one client in order, as positions among its samples.

    Every epoch is a fresh permutation cut into batches; the last batch of an epoch may be short.
    """
    rng = client_rng(training.seed, client.client)
    size, own = training.batch_size, len(client.samples)
    per_epoch = -(-own // size)
    steps = training.local_steps
    total = per_epoch * training.epochs if steps is None else steps
    made: list[Ints] = []
    while len(made) < total:
        order = rng.permutation(own)
        made.extend(order[i : i + size] for i in range(0, own, size))
    return made[:total]


def client_rng(seed: int, client: str) -> np.random.Generator:
    """A stream of its own for a client, whoever else takes part and in whatever order."""
    key = hashlib.sha256(client.encode()).digest()[:16]
    words = np.frombuffer(key, dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(words)))


def check_device(device: str) -> None:
    """Refuse a device that torch does not have here, and any device without torch."""
    if importlib.util.find_spec("torch") is None:
        raise LomarError(f"--device {device}: needs torch: pip install 'lomar-cli[train]'")
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["unknown"])[0]
        raise UsageError(f"--device {device}: torch cannot use it here ({reason[:100]})") from None


@dataclass(frozen=True)
class Schedule:
    """The batches of a group of clients as tables (clients, steps, widest batch).

    ``rows`` are training samples, ``target`` their labels and ``share`` the weight of each in its
    batch's mean: 1 / batch size, and 0 in the places that a shorter batch leaves empty. ``steps``
    (clients,) falls: at each step the clients that still train are the first ones.
    """

    order: Ints
    steps: Ints
    rows: Ints
    target: Ints
    share: NDArray[np.float32]


def schedule(group: Sequence[ClientData], training: Training) -> Schedule:
    plans = [batches(client, training) for client in group]
    order = np.array(sorted(range(len(group)), key=lambda i: -len(plans[i])), np.int64)
    sizes = [np.array([len(batch) for batch in plans[i]], np.int64) for i in order]
    shape = (len(group), len(sizes[0]), max(int(own.max()) for own in sizes))
    rows, target = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    share = np.zeros(shape, np.float32)
    for place, i in enumerate(order):
        own = sizes[place]
        filled = np.arange(shape[2]) < own[:, None]
        chosen = np.concatenate(plans[i])
        rows[place, : len(own)][filled] = group[i].samples[chosen]
        target[place, : len(own)][filled] = group[i].labels[chosen]
        share[place, : len(own)] = filled / own[:, None]
    return Schedule(order, np.array([len(own) for own in sizes]), rows, target, share)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread inside; groups are what runs side by side."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_groups(
    work: Callable[[Sequence[ClientData]], Arrays],
    clients: Sequence[ClientData],
    size: int,
    jobs: int,
) -> Iterator[tuple[int, Arrays]]:
    """Yield ``(first client, work(group))`` for each ``size`` clients, in order.

    Groups run in ``jobs`` threads, each of which has to compute on its own (``one_thread``): the
    bytes must not depend on how a product is shared between threads. No more than two groups a
    thread wait to be taken.
    """
    starts = iter(range(0, len(clients), size))
    waiting: deque[tuple[int, Future[Any]]] = deque()
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            while True:
                while len(waiting) < 2 * max(1, jobs):
                    start = next(starts, None)
                    if start is None:
                        break
                    group = clients[start : start + size]
                    waiting.append((start, pool.submit(work, group)))
                if not waiting:
                    return
                start, future = waiting.popleft()
                yield start, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
