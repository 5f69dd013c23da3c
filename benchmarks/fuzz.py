"""Damaged files of every kind, thousands of them: refused, or read as what was written.

    python benchmarks/fuzz.py [--seconds 60] [--kinds round,model] [--seed 0]

Each input is an archived file (tests/golden/format1), or a client's update in a format of others,
with bits flipped, bytes overwritten, a stretch cut out, doubled or zeroed, or its end cut off.
Readers run in processes of their own, so that a crash or a hang is seen and counted. Of our HDF5
files and of zip archives (npz, pt), which have checksums, every outcome but "refused" and "same" is
a failure; others have none, so that there "other" is a table or an update that reads well.
"""

from __future__ import annotations

import argparse
import collections
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import h5py  # noqa: E402
import numpy as np  # noqa: E402

from lomar_cli.errors import LomarError  # noqa: E402
from lomar_cli.files import foreign  # noqa: E402
from lomar_cli.files.importers.registry import importer  # noqa: E402
from tests.files.test_archived import ARCHIVE, FILES, content  # noqa: E402

HANG = 5
CLIENTS = ("client.npz", "client.npy", "client.safetensors", "client.pt", "client.hdf5")
CHECKED = (".h5", ".npz", ".pt")


def client(name: str) -> bytes:
    """A client's update in one of the formats that others write."""
    rng = np.random.default_rng(0)
    arrays = {"fc.weight": rng.normal(size=(3, 20)).astype("f4"), "fc.bias": np.ones(3, "f4")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        if name.endswith("npy"):
            np.save(path, arrays["fc.weight"])
        elif name.endswith("hdf5"):
            with h5py.File(path, "w") as handle:
                for key, array in arrays.items():
                    handle[key.replace(".", "/")] = array
        else:
            with path.open("wb") as stream:
                foreign.write_client(stream, path.suffix[1:], arrays, 12)
        return path.read_bytes()


def read(path: Path) -> Any:
    """What a reader makes of a file, to be compared."""
    if path.name not in CLIENTS:
        return content(path)
    return [
        (one.num_examples, {n: (a.dtype.str, a.shape, a.tobytes()) for n, a in one.arrays.items()})
        for one in importer(path).read(path, 2**20)
    ]


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """One of several kinds of damage, at random places."""
    made = bytearray(whole)
    start = rng.randrange(len(made))
    length = min(len(made) - start, rng.choice((1, 2, 4, 8, 64, 512)))
    match rng.randrange(8):
        case 0 | 1 | 2:
            for _ in range(rng.choice((1, 1, 1, 2, 8))):
                made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
        case 3:
            made[start : start + length] = rng.randbytes(length)
        case 4:
            made[start : start + length] = rng.choice((b"\0", b"\xff", b"\x7f")) * length
        case 5:
            del made[start : start + length]
        case 6:
            made[start:start] = made[start : start + length]
        case 7:
            del made[start:]
    return bytes(made)


def work(name: str, seed: int, first: int, until: float) -> None:
    """Print the number of each input before it is read, and what became of it afterwards."""
    whole = client(name) if name in CLIENTS else (ARCHIVE / name).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(whole)
        expected = read(path)
        number = first
        while time.monotonic() < until:
            path.write_bytes(damaged(whole, random.Random(f"{seed} {name} {number}")))
            print(number, end=" ", flush=True)
            signal.alarm(HANG)
            try:
                print("same" if read(path) == expected else "other", flush=True)
            except LomarError as error:
                print("refused" if "\n" not in str(error) else "two lines", flush=True)
            except Exception as error:
                print(f"{type(error).__name__}", flush=True)
            signal.alarm(0)
            number += 1


def fuzz(name: str, seed: int, seconds: float) -> collections.Counter[str]:
    """Outcomes by kind; a process that dies is counted by its signal, and another goes on."""
    found: collections.Counter[str] = collections.Counter()
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        words = ["--worker", name, str(seed), str(number), str(until)]
        done = subprocess.run(
            [sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True, check=False
        )
        lines = done.stdout.split("\n")
        for line in lines[:-1]:
            at, outcome = line.split(" ", 1)
            number = int(at) + 1
            found[outcome] += 1
            if outcome not in ("same", "refused", "other"):
                print(f"  {name} input {at}: {outcome}", file=sys.stderr)
        if done.returncode:
            killed = signal.Signals(-done.returncode).name if done.returncode < 0 else "exit"
            found["hang" if killed == "SIGALRM" else killed] += 1
            print(f"  {name} input {lines[-1].strip()}: {killed}", file=sys.stderr)
            number += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="for each file")
    parser.add_argument("--kinds", default="", help="file names, such as round.h5,scores.csv")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, seed, first, until = options.worker
        work(name, int(seed), int(first), float(until))
        return 0
    total, bad = 0, 0
    for name in options.kinds.split(",") if options.kinds else (*FILES, *CLIENTS):
        found = fuzz(name, options.seed, options.seconds)
        fine = ("refused", "same") if name.endswith(CHECKED) else ("refused", "same", "other")
        total += sum(found.values())
        bad += sum(count for outcome, count in found.items() if outcome not in fine)
        told: Any = ", ".join(f"{outcome} {count}" for outcome, count in found.most_common())
        print(f"{name:15} {sum(found.values()):7} inputs: {told}", flush=True)
    print(f"{total} inputs, {bad} failures")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
