"""Judge a round on a cluster: workers read it from storage, and only sums come back.

First whole clients are read, for their digests and to set aside what is not finite; then ranges of
parameters over all clients that are left, whose squared distances are added up on the cluster. No
process holds the round. This one reads some numbers of every client, for the screen, and the output
layer, where the method asks for it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.engine.base import Engine, unheard
from lomar_cli.engine.checks import check_files
from lomar_cli.engine.opened import open_engine
from lomar_cli.errors import UsageError
from lomar_cli.files.round import Round
from lomar_cli.files.shards import check_digests
from lomar_cli.files.stretches import count
from lomar_cli.files.updates import Tensor, Updates
from lomar_cli.scoring.base import Method
from lomar_cli.scoring.distances import matrix_bytes
from lomar_cli.scoring.far import FarGeometry, Held
from lomar_cli.scoring.geometry import Floats, Geometry
from lomar_cli.scoring.registry import METHODS
from lomar_cli.scoring.sums import Sums, Wanted, add
from lomar_cli.stages.far_calls import Job, Source, check_clients, make_sums, packed, tensors_of

# Clients are checked so many bytes at a time.
CHECKED = 2**28
# A sum is over at least so many bytes, and over so many times its own size: what is moved between
# workers is then less than what they read. It does not depend on how many workers there are.
SUMMED, _TIMES = 2**26, 2
_LEAST_WIDTH = 2**20


def check_far(name: str, made: Method) -> None:
    """UsageError for a method that needs more of a round than its distances."""
    if not _by_sums(made):
        able = [other for other in METHODS.names() if _by_sums(METHODS.make(other, {}))]
        raise UsageError(
            f"--cluster: --method {name} reads the updates themselves, not their distances alone; "
            "leave --cluster out (a round that does not fit --memory is streamed), or use one of "
            f"{', '.join(able)}"
        )


def _by_sums(made: Method) -> bool:
    exact = getattr(made, "neighbors_search", "exact") == "exact"
    by_distance = getattr(made, "by_distance", False)
    return exact and by_distance and not getattr(made, "reads_columns", False)


@contextlib.contextmanager
def far_geometry(
    cluster: str,
    found: Round,
    made: Method,
    memory: int,
    jobs: int,
    device: str = "cpu",
    tell: Callable[[str], None] = unheard,
    note: Callable[[str], None] = unheard,
) -> Iterator[tuple[Updates, Callable[[Updates, NDArray[np.intp]], Geometry]]]:
    """The updates of a round that lies on storage, checked, and what makes their geometry.

    ``found`` is open, its updates unread; the workers of ``cluster`` read them, each within
    ``memory`` (those of this machine share it). ``tell`` hears where that is, ``note`` warnings.
    LomarError where a worker does not see the files, InputError for a client's wrong digest.
    """
    with open_engine(cluster, jobs, note) as engine:
        tell(f"on {engine.where}")
        check_files(engine, [one.path.resolve() for one in found.files])
        course = getattr(made, "by_course", False)
        updates = replace(found.updates, magnitudes=_checked(engine, found))
        if course:
            # The views read the output layer as well, label by label, several times.
            updates = replace(updates, tensors=_held(updates, memory // 4))

        def geometry(seen: Updates, rows: NDArray[np.intp]) -> Geometry:
            workers = _Workers(engine, found, seen, memory // engine.beside, device)
            return FarGeometry(seen, rows, workers, memory, jobs, course)

        yield updates, geometry


def _held(updates: Updates, limit: int) -> Mapping[str, Tensor]:
    """The tensors, of which the output layer's is read once if it fits ``limit`` bytes."""
    output = updates.output
    if output is None:
        return updates.tensors
    owned = [name for name in (output.weight, output.bias) if name is not None]
    size = sum(_bytes(updates.tensors[name]) for name in owned)
    if size > limit:
        return updates.tensors
    return {
        name: Held(tensor) if name in owned else tensor for name, tensor in updates.tensors.items()
    }


def _bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * int(tensor.dtype.itemsize)


def _checked(engine: Engine, found: Round) -> dict[str, NDArray[np.float64]]:
    """Every client's largest value in every tensor (clients,), once all digests are right."""
    names = list(found.head.shapes)
    one = sum(_bytes(t) // t.shape[0] for t in found.updates.tensors.values())
    step = max(1, CHECKED // max(1, one))
    calls, starts, place = [], {}, 0
    for part in found.files:
        path, clients = part.path.resolve(), len(part.head.clients)
        starts[path] = place
        place += clients
        calls += [
            (path, part.sha256, first, min(clients, first + step))
            for first in range(0, clients, step)
        ]
    digests = [""] * place
    magnitudes = np.zeros((len(names), place))
    for path, start, seen, largest in engine.unordered(check_clients, calls):
        at = starts[path] + start
        digests[at : at + len(seen)] = seen
        magnitudes[:, at : at + len(seen)] = largest
    check_digests(found.files, digests)
    return dict(zip(names, magnitudes, strict=True))


def _moved(count: int) -> int:
    """Bytes of a sum of squared distances, of which one half travels."""
    return max(1, matrix_bytes(count) // 2)


class _Workers:
    """Sums over a round's parameters by the calls of an engine (``scoring.far.Workers``)."""

    def __init__(
        self, engine: Engine, found: Round, seen: Updates, memory: int, device: str
    ) -> None:
        self._engine, self._found, self._seen = engine, found, seen
        self._memory, self._device = memory, device
        paths = tuple(one.path.resolve() for one in found.files)
        self._source = Source(paths, found.sha256)
        self._clients = len(found.head.clients)

    def whole(self, wanted: Wanted, rows: NDArray[np.intp]) -> Sums:
        return self._engine.total(make_sums, self._calls(None, wanted, rows), add)

    def labels(self, labels: Iterable[int], rows: NDArray[np.intp]) -> Iterator[Floats]:
        wanted = Wanted()
        calls = {label: self._calls(label, wanted, rows) for label in labels}
        if all(len(few) == 1 for few in calls.values()):
            # No more of them at once than fit: they wait here for their turn.
            fit = max(1, self._memory // 4 // _moved(len(rows)))
            singles = [one for (one,) in calls.values()]
            ahead = min(fit, 2 * self._engine.workers)
            made: Iterator[Sums] = self._engine.ordered(make_sums, singles, ahead)
        else:
            made = (self._engine.total(make_sums, few, add) for few in calls.values())
        for sums in made:
            yield sums.squares

    def _calls(
        self, label: int | None, wanted: Wanted, rows: NDArray[np.intp]
    ) -> Sequence[tuple[Any, ...]]:
        names = tuple(self._seen.tensors)
        width = max(_LEAST_WIDTH, self._memory // 16)
        tensors = tensors_of(self._found.updates, names, label)
        number = count(tensors, width)
        size = sum(_bytes(tensor) for tensor in tensors.values())
        returned = _moved(len(rows)) if wanted.squares else 0
        parts = min(number, max(1, size // max(SUMMED, _TIMES * returned)))
        mask, dtype = packed(rows, self._clients), self._seen.dtype.str
        job = Job(
            self._source, names, label, mask, self._clients, dtype, wanted, width, self._device
        )
        edges = [number * part // parts for part in range(parts + 1)]
        return [(job, first, last) for first, last in itertools.pairwise(edges)]
