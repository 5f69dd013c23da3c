"""``lomar run`` killed at random moments: what it left is taken up, and ends the same."""

from __future__ import annotations

import random
import shutil
import signal
import statistics
import time
from pathlib import Path

from tests.commands import contents
from tests.hostile.kills import Killed, Start, complete, start, words

RUN = "run plan.toml --jobs 1 -o OUT"
PLAN = """
title = "Killed"
rounds = 2
seeds = [0]
[data]
name = "digits"
clients = 8
samples_per_client = 30
[attack]
name = "label-flip"
flip = ["1:7"]
malicious = "2"
[training]
local_steps = 3
lr = 0.1
[[defense]]
name = "LoMar"
method = "lomar"
[[defense]]
name = "No attack"
clean = true
"""


def kill_run(inputs: Path, work: Path, count: int, seed: int, start: Start = start) -> Killed:
    """Kill a sweep of two cells, ``count`` times while it runs, and run it again each time.

    After a kill each cell's result is there as a whole or not at all, and inputs are as they were;
    after the next run the folder holds the bytes of a run that was not killed, but for the files
    that say how long it took, and nothing else.
    """
    rng = random.Random(f"{seed} run")
    shutil.copytree(inputs, work)
    (work / "plan.toml").write_text(PLAN)
    given = contents(work)
    took = [complete(start, work, words(RUN, "whole"))]
    whole = _results(work, "whole")
    shutil.rmtree(work / "whole")
    seen = Killed()
    while seen.kills < count and seen.tries < 2 * count:
        number = seen.tries
        seen.tries += 1
        shutil.rmtree(work / "out", ignore_errors=True)
        running = start(work, words(RUN, "out"))
        time.sleep(statistics.median(took[-5:]) * rng.random())
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=60)
        seen.kills += running.returncode != 0
        left = _results(work, "out") if (work / "out").exists() else {}
        seen.complete += whole.items() <= left.items()
        seen.left += any(Path(name).name.startswith(".") for name in left)
        for name, raw in left.items():
            if name in whole and raw != whole[name]:
                seen.faults.append(f"{number}: {name} is neither complete nor absent")
        complete(start, work, words(RUN, "out"))
        if _results(work, "out") != whole:
            seen.faults.append(f"{number}: the next run leaves something else")
        now = contents(work)
        if {name: now.get(name) for name in given} != given:
            seen.faults.append(f"{number}: an input was touched")
        # A whole run takes longer than one that goes on.
        if number % 10 == 9:
            shutil.rmtree(work / "out")
            took.append(complete(start, work, words(RUN, "out")))
    return seen


def _results(work: Path, folder: str) -> dict[str, bytes | None]:
    found = contents(work / folder)
    return {name: raw for name, raw in found.items() if not name.endswith(".time")}
