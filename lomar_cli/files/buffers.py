"""Which parameters are buffers: kept for aggregation, left out of every comparison of clients.

Counters and running statistics say how much data a client saw and on what scale, not what it
taught the model; a single one can outweigh all weights in a distance.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from lomar_cli.errors import UsageError
from lomar_cli.files.text import printable

# The last part of a buffer's name, in torch, Keras and JAX (flax).
NAMES = (
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "moving_mean",
    "moving_variance",
)
# A Keras 3 weights file numbers a layer's variables; batch normalization ends with its moving mean
# and variance, after scale and offset where it has them.
_KERAS = re.compile(r"(.*\bbatch_normalization(?:_\d+)?/vars/)(\d+)")


def find_buffers(
    types: Mapping[str, str], include: Sequence[str] = (), exclude: Sequence[str] = ()
) -> frozenset[str]:
    """The buffers among parameters of these stored types.

    A parameter is one when it holds integers or truth values, or when the last part of its name
    says so (``NAMES``), or its place in a Keras file. ``include`` are patterns of names that are
    scored all the same, ``exclude`` of further ones that are not. UsageError when a pattern matches
    nothing or nothing is left.
    """
    for option, patterns in (("--include", include), ("--exclude", exclude)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in types):
                listed = printable(", ".join(list(types)[:12]))
                raise UsageError(
                    f"{option}: nothing matches '{printable(pattern)}' (there are: {listed})"
                )
    moving = _moving(types)
    found = frozenset(
        name
        for name, kind in types.items()
        if not _matches(name, include)
        and (_matches(name, exclude) or name in moving or _is_buffer(name, kind))
    )
    if len(found) == len(types):
        raise UsageError(
            "no parameter is left to score: all are integers or running statistics; --include "
            "PATTERN takes some of them in"
        )
    return found


def _is_buffer(name: str, kind: str) -> bool:
    last = name.replace("/", ".").rpartition(".")[2].partition(":")[0]
    return last in NAMES or not kind.startswith(("float", "bfloat"))


def _moving(names: Iterable[str]) -> set[str]:
    """The moving mean and variance of each batch normalization in a Keras 3 weights file."""
    layers: dict[str, list[int]] = {}
    for name in names:
        if found := _KERAS.fullmatch(name):
            layers.setdefault(found[1], []).append(int(found[2]))
    return {f"{layer}{number}" for layer, own in layers.items() for number in sorted(own)[-2:]}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
