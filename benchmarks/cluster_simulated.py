"""``score --cluster`` as a plan of many machines has it, on worker processes that stand for them.

    python benchmarks/cluster_simulated.py [--machines 50] [--scale 10] [--killed 5]
    python benchmarks/cluster_simulated.py --only calls|round

The plan is 10,000 clients x 25 million parameters on 50 machines (``docs/scale.md``). ``round`` has
one small process for each machine, and a round whose clients and parameters are both fewer by
``--scale``: as many sums for each machine as in the plan, each over twice as many bytes of the
round as it has itself, and the same tree of additions. With fewer ``--machines`` the round has
fewer parameters, so that each has as much to do. It compares what was counted with what the model
(``_plan.py``) says of that round; then does it again and kills some of the workers midway.
``calls`` has the scheduler handle a fifth of the plan's calls, which do nothing, with 25 to 200
workers. Look at counts, bytes and CPU seconds: times by the clock say nothing of 50 machines.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from _farm import Farm, Used, farm
from _noise import write
from _plan import CONSTANTS, Plan

from lomar_cli.engine.checks import _ENDS
from lomar_cli.engine.opened import open_engine
from lomar_cli.files.scores import Scores, render
from lomar_cli.stages import far
from lomar_cli.stages.score import score

MB = 1e6
# The plan, in how many files its round lies, and the memory of a worker.
CLIENTS, PARAMETERS, MACHINES, SHARDS, MEMORY = 10_000, 25_000_000, 50, 20, 2**33
# What one process was seen to do at 1,000 clients, in runs of 1 KiB (docs/scale.md).
SMALL = replace(CONSTANTS, read=0.417e9, course=0.283e9, flops=77e9)
# Bytes that are read of a file of the round when it is opened and checked.
OPENED = 30e3
# Seconds for which workers that have nothing to do are watched.
IDLE = 20.0
# At most beyond what a worker starts with; over 60 % of it Dask would spill.
LIMIT = 2**29


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--machines", type=int, default=MACHINES)
    parser.add_argument("--scale", type=int, default=10)
    parser.add_argument("--killed", type=int, default=5)
    parser.add_argument("--only", choices=("calls", "round"))
    parser.add_argument("--folder", help="where the round is written (default: temporary files)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        if given.only != "round":
            calls(Path(name))
        if given.only != "calls":
            whole_round(given, Path(name))


def calls(folder: Path) -> None:
    """What the scheduler needs for each call, by the number of workers."""
    real = Plan(CLIENTS, PARAMETERS, MACHINES, 16, SHARDS)
    checks, sums = real.checks // 5, real.sums // 5
    number = checks + 2 * sums - 1
    print(f"{number:,} calls that do nothing: {checks:,} by themselves, {sums:,} that are added")
    for workers in (25, 50, 100, 200):
        with farm(workers, LIMIT, folder) as made, open_engine(made.address) as engine:
            engine.total(abs, [(1,)] * workers, max)
            before, _ = made.scheduled()
            start, here = time.perf_counter(), time.process_time()
            for _ in engine.unordered(abs, ((one,) for one in range(checks))):
                pass
            engine.total(abs, ((one,) for one in range(sums)), max)
            took, own = time.perf_counter() - start, time.process_time() - here
            cpu = made.scheduled()[0] - before
        print(
            f"  {workers} workers: {1e3 * cpu / number:.2f} ms of the scheduler's CPU a call, "
            f"{1e3 * own / number:.2f} ms of this process's; {1e3 * took / number:.2f} ms by the "
            "clock",
            flush=True,
        )


def whole_round(given: argparse.Namespace, folder: Path) -> None:
    scale, square = given.scale, given.scale**2
    # A check is of 2.7 clients in the plan, and reads whole ones: of one here.
    far.CHECKED, far.SUMMED = far.CHECKED // square, far.SUMMED // square
    far._LEAST_WIDTH //= square
    plan = Plan(
        *(CLIENTS // scale, PARAMETERS * given.machines // MACHINES // scale, given.machines, 1),
        shards=SHARDS,
        of=SMALL,
        checked=far.CHECKED,
        summed=far.SUMMED,
        memory=MEMORY // square,
    )
    print(f"{plan.clients:,} clients x {plan.parameters:,}, {plan.size / 1e9:.1f} GB in {SHARDS}")
    paths = write(folder, plan.clients, plan.parameters, SHARDS, max(1, 40 // scale // 2))
    cpu = time.process_time()
    here = score(paths, memory=MEMORY, jobs=1)
    print(f"streamed in one process: {time.process_time() - cpu:.0f} CPU s")
    with farm(given.machines, LIMIT, folder) as made:
        undisturbed = judged(made, paths, plan, here, "undisturbed")
    with farm(given.machines, LIMIT, folder) as made:
        killer = threading.Thread(target=kill, args=(made, plan, given.killed), daemon=True)
        killer.start()
        again = judged(made, paths, plan, here, f"{given.killed} killed midway")
        killer.join()
    same = render(undisturbed, "json") == render(again, "json")
    print(f"the same bytes with and without deaths: {same}")


def kill(made: Farm, plan: Plan, number: int) -> None:
    """End so many workers once half of the sums are made."""
    while made.scheduled()[1]["make_sums"] < plan.sums // 2:
        time.sleep(0.5)
    made.kill(number)
    done = made.scheduled()[1]["make_sums"]
    print(f"  {number} killed when {done:,} sums had been made")


def judged(made: Farm, paths: list[Path], plan: Plan, here: Scores, what: str) -> Scores:
    """Score the round on the farm, and print what it took beside what the model says."""
    made.warm(paths)
    resting = made.used()
    time.sleep(IDLE)
    before, (scheduler, _) = made.used(), made.scheduled()
    idle = sum(before[one].cpu - resting[one].cpu for one in before) / IDLE
    start = time.perf_counter()
    there = score(paths, memory=plan.memory, cluster=made.address)
    took = time.perf_counter() - start
    after, (ended, done) = made.used(), made.scheduled()
    print(
        f"{what}: {took:.0f} s by the clock, in which workers with nothing to do would take "
        f"{idle * took:.0f} CPU s"
    )
    table(plan, before, after, (ended - scheduler) / sum(done.values()), done)
    apart = float(np.abs(there.suspicion - here.suspicion).max())
    kept = "the same" if (there.keep == here.keep).all() else "OTHER"
    print(f"  {kept} decisions as here ({int((~here.keep).sum())} of {plan.clients} removed), "
          f"suspicions within {apart:.0e}")  # fmt: skip
    return there


def table(
    plan: Plan, before: dict[str, Used], after: dict[str, Used], call: float, done: Counter[str]
) -> None:
    """What the model says, what was counted, and the one by the other; of the living workers."""

    def gained(name: str) -> list[float]:
        return [getattr(after[one], name) - getattr(before[one], name) for one in after]

    of, machines, sent = plan.of, len(after), gained("sent")
    work = plan.size / of.check + plan.checks * of.open
    work += plan.sums * sum(plan.one_sum()) + plan.moved / of.add
    memory = 3 * plan.square + plan.memory / 4
    rows: list[tuple[str, float, float]] = [
        ("checks", plan.checks, done["check_clients"]),
        ("sums", plan.sums, done["make_sums"]),
        ("additions", plan.sums - 1, done["add"]),
        ("MB sent by a worker, mean", plan.moved / machines / MB, sum(sent) / machines / MB),
        ("MB sent by a worker, most", plan.moved / machines / MB, max(sent) / MB),
        (
            "MB read by a worker, mean",
            (2 * plan.size + plan.opened * OPENED) / machines / MB + SHARDS * 2 * _ENDS / MB,
            sum(gained("read")) / machines / MB,
        ),
        ("ms of the scheduler's CPU a call", 1e3 * of.call, 1e3 * call),
        ("CPU s of all workers", work, sum(gained("cpu"))),
        (
            "MB of memory a worker, most",
            memory / MB,
            max(one.memory for one in after.values()) / MB,
        ),
    ]
    for name, predicted, measured in rows:
        print(f"  | {name} | {predicted:,.1f} | {measured:,.1f} | {predicted / measured:.2f} |")
    print(f"  spilled: {sum(one.spilled for one in after.values()) / MB:.1f} MB", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
