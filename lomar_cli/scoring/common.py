"""What several methods share: an order no file can choose, limits, and the words of a judgement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.base import Judgement, RoundView, Vector

# The usual cut for a modified z-score (Iglewicz and Hoaglin 1993), and what makes the median
# absolute deviation of a normal sample its standard deviation.
MAD_TIMES = 3.5
_MAD_SCALE = 1.4826
# Relative: what float32 products of one and the same update may differ by, and a little more.
_ROUNDING = 1e-7
_CELLS = 2**22
Array = TypeVar("Array", bound=NDArray[Any])


def need_clients(view: RoundView, method: str, least: int) -> int:
    """The number of clients; UsageError when there are fewer than the method can compare."""
    count = len(view.updates.clients)
    if count < least:
        raise UsageError(
            f"--method {method}: needs at least {least} clients that can be compared; "
            f"there {'is' if count == 1 else 'are'} {count}"
        )
    return count


def by_name(view: RoundView) -> NDArray[np.intp]:
    """Rows in the order of the clients' names.

    Library estimators that draw or break ties by position work in this order, so that the order
    of the clients in the file changes nothing.
    """
    return np.argsort(np.asarray(view.updates.clients))


def back(values: Array, order: NDArray[np.intp]) -> Array:
    """Values (n, ...) found in ``order``, in the order of the round again."""
    result: Array = np.empty_like(values)
    result[order] = values
    return result


def mad_limit(values: Vector) -> tuple[float, str]:
    """The median plus 3.5 scaled median absolute deviations, and a sentence that says so."""
    middle = float(np.median(values))
    spread = _MAD_SCALE * float(np.median(np.abs(values - middle)))
    # Where more than half are equal, rounding in the others is no suspicion.
    limit = middle + MAD_TIMES * spread + 1e-9 * abs(middle)
    return limit, (
        f"the method states no threshold: {limit:.4g} is the median plus {MAD_TIMES} scaled "
        "median absolute deviations"
    )


def top_limit(values: Vector, count: int) -> float:
    """The threshold above which the ``count`` largest values lie; with ties fewer, never more.

    Values that are equal within rounding are ties: copies of one update have one score, and which
    of them is a last digit above the others must not decide who is flagged.
    """
    kept = max(1, len(values) - count)
    limit = float(np.partition(values, kept - 1)[kept - 1])
    return float(values[values <= limit + _ROUNDING * abs(limit)].max())


def told(assume_malicious: str | None) -> str:
    """Where the assumed number of malicious clients comes from."""
    return "as told" if assume_malicious is not None else "a fifth, as nothing was told"


def judged(
    suspicion: Vector,
    threshold: float,
    flagged: Callable[[int], str],
    kept: str,
    columns: Mapping[str, Vector] | None = None,
    notes: Sequence[str] = (),
) -> Judgement:
    """A judgement that keeps exactly those at or below the threshold.

    ``flagged`` gives the words for a flagged row, ``kept`` those for every other one.
    """
    keep = suspicion <= threshold
    reasons = [kept if good else flagged(row) for row, good in enumerate(keep)]
    return Judgement(suspicion + 0.0, threshold + 0.0, keep, reasons, columns or {}, notes)


def columns(updates: Updates, cells: int = _CELLS) -> Iterator[Vector]:
    """All parameters as (clients, c) float64 blocks of at most ``cells`` numbers, in order.

    The blocks depend on shapes alone, so two rounds of equally many clients can be read in step.
    """
    for tensor in updates.tensors.values():
        count = tensor.shape[0]
        width = max(1, cells // max(1, count))
        if len(tensor.shape) == 1:
            yield np.asarray(tensor[:], np.float64).reshape(count, 1)
            continue
        step = max(1, width // math.prod(tensor.shape[2:]))
        for start in range(0, tensor.shape[1], step):
            block = np.asarray(tensor[:, start : start + step]).reshape(count, -1)
            for left in range(0, block.shape[1], width):
                yield block[:, left : left + width].astype(np.float64)


def take(updates: Updates, places: NDArray[np.intp]) -> Vector:
    """The parameters at these flat positions (ascending), shape (clients, len(places))."""
    return np.concatenate(list(taken(updates, places)), axis=1)


def taken(updates: Updates, places: NDArray[np.intp]) -> Iterator[Vector]:
    """The same in blocks, (clients, some of the places), in order."""
    offset = 0
    for block in columns(updates):
        first, last = np.searchsorted(places, [offset, offset + block.shape[1]])
        whole = last - first == block.shape[1]
        yield block if whole else block[:, places[first:last] - offset]
        offset += block.shape[1]


def output_only(updates: Updates) -> Updates:
    """Only the output layer's parameters, or all where no output layer is named."""
    if updates.output is None:
        return updates
    names = [updates.output.weight]
    return updates.select(names if updates.output.bias is None else [*names, updates.output.bias])
