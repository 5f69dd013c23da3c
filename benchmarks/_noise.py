"""A round of noise, written as a set of shards."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from lomar_cli.files.round import RoundHead, Shard, create_round, open_round
from lomar_cli.files.updates import OutputLayer

LABELS, FEATURES = 10, 64


def write(folder: Path, clients: int, parameters: int, shards: int, odd: int = 0) -> list[Path]:
    """A round of noise around a common course, each client of its own length, as a set.

    The first ``odd`` clients of every shard are 2.5 times as long.
    """
    rng = np.random.default_rng(0)
    inner = parameters - LABELS * (FEATURES + 1)
    shapes = {"body": (inner,), "fc.weight": (LABELS, FEATURES), "fc.bias": (LABELS,)}
    common = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    edges = [clients * part // shards for part in range(shards + 1)]
    paths, before = [], ""
    for number, (start, stop) in enumerate(itertools.pairwise(edges), 1):
        head = RoundHead(
            clients=[f"c{row:05}" for row in range(start, stop)],
            num_examples=np.ones(stop - start, np.int64),
            shapes=shapes,
            dtypes=dict.fromkeys(shapes, np.dtype(np.float32)),
            output=OutputLayer("fc.weight", "fc.bias", 0),
            labels=[],
            round_number=1,
            base_sha256="",
        )
        path = folder / f"round-{number}.h5"
        with create_round(path, head, [], shard=Shard(number, shards, before)) as writer:
            for row in range(stop - start):
                length = np.float32(rng.uniform(0.7, 1.3) * (2.5 if row < odd else 1))
                sent = {}
                for name, array in common.items():
                    noise = rng.standard_normal(array.shape, dtype=np.float32)
                    sent[name] = length * (array + noise)[None]
                writer.write(row, sent)
        with open_round(path, -1, verify=False) as found:
            before = found.sha256
        paths.append(path)
    return paths
