"""What a command costs: as a process of its own, its CPU time and the most memory it held."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.commands import Ran, environment

SECONDS = 5
MEMORY = 200 * 10**6
# The process tells of itself: what the system counts for a child begins with its parent's memory.
SCRIPT = """
import atexit, json, re, resource, sys
def tell(path=sys.argv.pop(1)):
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())
    with open(path, "w") as stream:
        json.dump([used.ru_utime + used.ru_stime, int(most[1]) * 1024], stream)
atexit.register(tell)
from lomar_cli.__main__ import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Cost:
    ran: Ran
    seconds: float
    memory: int


def measured(folder: Path, *args: Any) -> Cost:
    """``lomar ARGS``, measured into ``folder``; a minute without an end fails. Linux only."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, folder / "cost.json", *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=False,
    )
    seconds, memory = json.loads((folder / "cost.json").read_text())
    return Cost(Ran(done.returncode, done.stdout, done.stderr), seconds, memory)
