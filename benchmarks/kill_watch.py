"""Kill ``lomar watch`` at random moments until its two rounds are done, many times over.

    python benchmarks/kill_watch.py [--count 20] [--seed 0]

After each time, all files must be those of a watch that nobody disturbed: none lost, none twice,
the same bytes. Prints how often it was killed at which stage; exit 1 if anything else was seen.
``python -m tests.watch.dying FOLDER 1 1 0`` kills it before each of its changes of the file system.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.watch.dying import seen
from tests.watch.kills import filled, killed, undisturbed


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    stages, faults = Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        whole = undisturbed(Path(folder) / "whole")
        for number in range(options.count):
            place = filled(Path(folder) / str(number))
            stages += killed(place, options.seed + number)
            found = seen(place)
            odd = sorted(n for n in {**found, **whole} if found.get(n) != whole.get(n))
            if odd:
                faults += 1
                print(f"time {number}: differs: {', '.join(odd)}")
    print(f"{options.count} watches of two rounds, {stages.total()} kills, {faults} faults")
    for stage, count in sorted(stages.items()):
        print(f"  {stage}: {count}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
