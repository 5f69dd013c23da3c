"""A model of ``score --cluster`` for rounds that are too large to be tried here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lomar_cli.stages.far import _TIMES, CHECKED, SUMMED


@dataclass(frozen=True)
class Constants:
    """What ``benchmarks/cluster_score.py`` measures, a CPU second of one process each.

    ``check`` and ``course`` are bytes, ``flops`` multiplications and additions of the distances,
    ``read`` bytes by runs of some 10 KiB. ``add`` are bytes of a sum, ``call`` seconds of the
    scheduler a call. ``network`` is bytes a second a machine can send or take, ``storage`` what
    all machines together can read, both assumed, not measured.
    """

    check: float
    course: float
    flops: float
    read: float
    add: float
    call: float
    judge: float
    network: float = 1.25e9
    storage: float = 1e10


CONSTANTS = Constants(
    check=0.5e9, course=0.1e9, flops=40e9, read=1e9, add=1e9, call=3e-3, judge=60.0
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
    busy = sums / (waves * workers)
    storage = size / min(of.storage, machines * of.network)
    check = max(size / of.check / workers, storage)
    one = size / sums
    compute = (
        one / of.read + one / of.course + clients * clients * (one / itemsize / clients) / of.flops
    )
    summing = max(waves * compute, storage)
    moved = (sums - 1) * square
    depth = math.ceil(math.log2(max(2, sums)))
    adding = depth * (square / of.network + square / of.add) + moved / (machines * of.network)
    yield f"{size / 1e12:.2f} TB, {workers} workers; {checks:,} checks, {sums:,} sums"
    yield f"check clients: {check:,.0f} s (storage alone {storage:,.0f} s)"
    yield f"sum over parameters: {summing:,.0f} s in {waves} waves, {busy:.0%} of the workers busy"
    yield f"add the sums: {adding:,.0f} s, {moved / 1e9:,.0f} GB moved, {moved / machines / 1e9:.1f} a machine"
    yield f"scheduler: {(checks + 2 * sums) * of.call:,.0f} s beside these"
    yield f"judge: {of.judge:,.0f} s in one process"
    yield f"together: {check + summing + adding + of.judge:,.0f} s"
    yield f"read: {2 * size / machines / 1e9:,.0f} GB a machine"
    memory = 3 * square
    yield f"memory: {memory / 1e9:.1f} GB of sums a worker, beside --memory / 4 of blocks; {processes * memory / 1e9:.0f} GB a machine"
