"""A model of ``score --cluster`` for rounds that are too large to be tried here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lomar_cli.stages.far import _TIMES, CHECKED, SUMMED


@dataclass(frozen=True)
class Constants:
    """What ``benchmarks/cluster_score.py`` measures, a CPU second of one process each.

    ``check``, ``course`` and ``read`` are bytes of the round, ``flops`` multiplications and
    additions of the distances, ``add`` bytes of a sum, ``call`` seconds of the scheduler a call,
    ``judge`` seconds of lomar-auto for 10,000 clients. ``network``, bytes a second that a machine
    can send or take, and ``storage``, what all machines together can read, are assumed.
    """

    check: float
    course: float
    read: float
    flops: float
    add: float
    call: float
    judge: float
    network: float = 1.25e9
    storage: float = 1e10


CONSTANTS = Constants(
    check=0.7e9, course=0.26e9, read=2e9, flops=49e9, add=0.43e9, call=5e-3, judge=12.0
)


def plan(
    clients: int, parameters: int, machines: int, processes: int, of: Constants, itemsize: int = 4
) -> Iterator[str]:
    """Time, memory and network of a round on ``machines`` with ``processes`` workers each."""
    workers = machines * processes
    size = clients * parameters * itemsize
    square = clients * clients * itemsize
    checks = math.ceil(size / CHECKED)
    sums = max(1, size // max(SUMMED, _TIMES * square))
    waves = math.ceil(sums / workers)
    storage = size / min(of.storage, machines * of.network)
    check = max(size / of.check / workers, storage)
    one = size / sums
    distances = clients * one / itemsize / of.flops
    compute = one / of.read + one / of.course + distances
    summing = max(waves * compute, storage)
    moved = (sums - 1) * square
    # Adding goes on while others sum; what is left is the last way up the tree.
    depth = math.ceil(math.log2(max(2, sums)))
    adding = depth * (square / of.network + square / of.add)
    adding += moved / (machines * of.network) + moved / of.add / workers
    calls = (checks + 2 * sums) * of.call
    together = max(check + summing + adding, calls) + of.judge
    yield f"{size / 1e12:.2f} TB, {workers} workers; {checks:,} checks, {sums:,} sums"
    yield f"check clients: {check:,.0f} s (all storage can give: {storage:,.0f} s)"
    yield (
        f"sum over parameters: {summing:,.0f} s, {waves} calls a worker at most, {compute:,.0f} s "
        f"each: {distances:,.0f} s distances, {one / of.course:,.0f} s course, "
        f"{one / of.read:,.0f} s reading"
    )
    yield f"add the sums: {adding:,.0f} s; {moved / machines / 1e9:.1f} GB moved a machine"
    yield f"the scheduler is busy for {calls:,.0f} s beside these"
    yield f"judge: {of.judge:,.0f} s in one process"
    yield f"together: {together:,.0f} s; {2 * size / machines / 1e9:,.0f} GB read a machine"
    yield (
        f"memory: {3 * square / 1e9:.1f} GB of sums a worker, {processes * 3 * square / 1e9:.0f} "
        "GB a machine, and a quarter of --memory each for blocks"
    )
