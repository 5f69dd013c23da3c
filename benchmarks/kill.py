"""Kill every command that writes at 100 random moments, and look at what is left.

    python benchmarks/kill.py [--count 100] [--commands score,append] [--seed 0]

The moments follow how long each command takes on this machine, see `tests/hostile/kills.py`. After
each kill: the output is complete, or absent (or what was there before), inputs are as they
were; and after the next run all bytes are those of a run that was not killed, with no temporary
file left. Exit 1 if anything else was seen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.hostile.kills import COMMANDS, kill, kill_append, prepare


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--commands", default=",".join([*COMMANDS, "append"]))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        inputs = prepare(Path(folder) / "inputs")
        for name in options.commands.split(","):
            work = Path(folder) / name.replace(" ", "-")
            if name == "append":
                seen = kill_append(inputs, work, options.count, options.seed)
            else:
                seen = kill(COMMANDS[name], inputs, work, options.count, options.seed)
            print(
                f"{name:20} {options.count} tries, {seen.kills} killed, output there after "
                f"{seen.complete}, temporary files left by {seen.left}, faults {len(seen.faults)}",
                flush=True,
            )
            for fault in seen.faults:
                print(f"  {fault}")
            faults += len(seen.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
