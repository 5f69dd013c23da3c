"""A model of ``score --cluster`` for rounds that are too large to be tried here.

How many calls there are is the code's own reckoning (``stages.far``), for a round in shards of the
same number of clients. ``cluster_simulated.py`` compares it with what a cluster does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lomar_cli.scoring.distances import matrix_bytes
from lomar_cli.stages.far import _TIMES, CHECKED, SUMMED


@dataclass(frozen=True)
class Constants:
    """What ``benchmarks/cluster_score.py`` measures, a CPU second of one process each.

    ``check``, ``course`` and ``read`` are bytes of the round, ``flops`` multiplications and
    additions of the distances, ``add`` bytes of a sum, ``open`` seconds to open one of the round's
    files (each sum opens all, each check one), ``call`` seconds of the scheduler a call, ``judge``
    seconds of lomar-auto for 10,000 clients. ``network``, bytes a second that a machine
    can send or take, and ``storage``, what all machines together can read, are assumed.
    """

    check: float
    course: float
    read: float
    flops: float
    add: float
    open: float
    call: float
    judge: float
    network: float = 1.25e9
    storage: float = 1e10


CONSTANTS = Constants(
    check=0.7e9,
    course=0.30e9,
    read=2e9,
    flops=52e9,
    add=0.30e9,
    open=13e-3,
    call=5e-3,
    judge=10.5,
)


@dataclass(frozen=True)
class Plan:
    """A round on ``machines`` with ``processes`` workers each; sizes in bytes, times in seconds."""

    clients: int
    parameters: int
    machines: int
    processes: int
    shards: int
    of: Constants = CONSTANTS
    itemsize: int = 4
    checked: int = CHECKED
    summed: int = SUMMED
    memory: int = 2**31

    @property
    def workers(self) -> int:
        return self.machines * self.processes

    @property
    def size(self) -> int:
        return self.clients * self.parameters * self.itemsize

    @property
    def square(self) -> int:
        """The sum that a call returns: one half of n x n distances."""
        return matrix_bytes(self.clients) // 2

    @property
    def checks(self) -> int:
        step = max(1, self.checked // (self.parameters * self.itemsize))
        return self.shards * math.ceil(math.ceil(self.clients / self.shards) / step)

    @property
    def sums(self) -> int:
        stretches = math.ceil(self.size / (self.memory // 16))
        return min(stretches, max(1, self.size // max(self.summed, _TIMES * self.square)))

    @property
    def calls(self) -> int:
        """All that the scheduler has to do: a sum but the first is added to another."""
        return self.checks + 2 * self.sums - 1

    @property
    def moved(self) -> int:
        """What workers send each other: one of the two sums that are added."""
        return (self.sums - 1) * self.square

    @property
    def opened(self) -> int:
        """How often one of the files is opened."""
        return self.checks + self.sums * self.shards

    def one_sum(self) -> tuple[float, float, float]:
        """CPU seconds of a call: opening and reading, where updates point, distances."""
        one = self.size / self.sums
        distances = self.clients * one / self.itemsize / self.of.flops
        reading = self.shards * self.of.open + one / self.of.read
        return reading, one / self.of.course, distances

    def lines(self) -> Iterator[str]:
        of, waves = self.of, math.ceil(self.sums / self.workers)
        storage = self.size / min(of.storage, self.machines * of.network)
        check = max(self.size / of.check / self.workers, storage)
        reading, course, distances = self.one_sum()
        compute = reading + course + distances
        summing = max(waves * compute, storage)
        # Adding goes on while others sum; what is left is the last way up the tree.
        depth = math.ceil(math.log2(max(2, self.sums)))
        adding = depth * (self.square / of.network + self.square / of.add)
        adding += self.moved / (self.machines * of.network) + self.moved / of.add / self.workers
        calls = self.calls * of.call
        together = max(check + summing + adding, calls) + of.judge
        yield (
            f"{self.size / 1e12:.2f} TB, {self.workers} workers; {self.checks:,} checks, "
            f"{self.sums:,} sums"
        )
        yield f"check clients: {check:,.0f} s (all storage can give: {storage:,.0f} s)"
        yield (
            f"sum over parameters: {summing:,.0f} s, {waves} calls a worker at most, "
            f"{compute:,.0f} s each: {distances:,.0f} s distances, {course:,.0f} s course, "
            f"{reading:,.0f} s opening and reading"
        )
        yield (
            f"add the sums: {adding:,.0f} s; {self.moved / self.machines / 1e9:.1f} GB moved a "
            "machine"
        )
        yield f"the scheduler is busy for {calls:,.0f} s beside these"
        yield f"judge: {of.judge:,.0f} s in one process"
        yield (
            f"together: {together:,.0f} s; {2 * self.size / self.machines / 1e9:,.0f} GB read a "
            "machine"
        )
        # The matrix that is summed up, its half, and one that waits for its addition.
        sums = 4 * self.square
        yield (
            f"memory: {sums / 1e9:.1f} GB of sums a worker, {self.processes * sums / 1e9:.0f} GB "
            "a machine, and a quarter of --memory each for blocks"
        )
