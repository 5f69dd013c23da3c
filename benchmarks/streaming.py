"""A round larger than ``--memory``: time, peak memory, and the same scores.

    python benchmarks/streaming.py [--clients 1000] [--hidden 500] [--memory 256M] [--jobs 1,2]

Writes a round of a small network (1,000 inputs, a hidden layer, ten labels; 2 GB by default) and
scores it in a process of its own, within the memory and with room for all of it. Beside it, in
processes of their own, what cannot be saved: reading the file once from end to end, and the bare
product of all updates with themselves, block by block from numbers in memory, on as many threads.
Before each timing the file is put out of the page cache where the system allows that (--warm: not).
Peak memory is of the whole process; the same of one that scores a tiny round is taken off.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.files.round import RoundHead, create_round
from lomar_cli.files.updates import OutputLayer

INPUTS, LABELS = 1000, 10
METHODS = ("lomar", "krum")
BAR = 1.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--hidden", type=int, default=500)
    parser.add_argument("--memory", default="256M")
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--warm", action="store_true", help="leave the file in the page cache")
    parser.add_argument("--folder", help="where the round is written (default: temporary files)")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(CHILDREN[given.child[0]](*given.child[1:])))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        big, tiny = Path(folder) / "big.h5", Path(folder) / "tiny.h5"
        write_round(big, given.clients, given.hidden)
        write_round(tiny, 20, 10)
        size = big.stat().st_size
        print(f"{given.clients:,} clients, {size / 1e9:.2f} GB, --memory {given.memory}")
        for jobs in given.jobs.split(","):
            compare(big, tiny, given, jobs)


def compare(big: Path, tiny: Path, given: argparse.Namespace, jobs: str) -> None:
    def fresh(*words: str) -> dict[str, Any]:
        if not given.warm:
            forget(big)
        return child(*words)

    read = fresh("read", str(big))
    gram = child("gram", str(given.clients), str(given.hidden), jobs)
    least = read["seconds"] + gram["seconds"]
    print(
        f"--jobs {jobs}: read {read['seconds']:.2f} s, product {gram['seconds']:.2f} s, "
        f"together {least:.2f} s"
    )
    for method in given.methods.split(","):
        start = child("score", str(tiny), method, given.memory, jobs)
        part = fresh("score", str(big), method, given.memory, jobs)
        whole = child("score", str(big), method, "64G", jobs)
        ours, theirs = np.array(part["suspicion"]), np.array(whole["suspicion"])
        apart = float(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
        same = "the same decisions" if part["keep"] == whole["keep"] else "OTHER DECISIONS"
        print(
            f"  {method}: {part['seconds']:.2f} s, {part['seconds'] / least:.2f} x (the bar is "
            f"{BAR}), CPU {part['cpu']:.1f} s; peak {(part['peak'] - start['peak']) / 2**20:.0f} "
            f"MiB more than a tiny round's {start['peak'] / 2**20:.0f} MiB; "
            f"scores differ by {apart:.0e}, {same}; in memory: {whole['seconds']:.2f} s"
        )


def score(path: str, method: str, memory: str, jobs: str) -> dict[str, Any]:
    from lomar_cli.cli.options import parse_size
    from lomar_cli.stages.score import score as stage

    begin, cpu = time.perf_counter(), time.process_time()
    found = stage(Path(path), None, method, memory=parse_size(memory, "--memory"), jobs=int(jobs))
    return {
        "seconds": time.perf_counter() - begin,
        "cpu": time.process_time() - cpu,
        "peak": high_water(),
        "suspicion": list(found.columns["suspicion"]),
        "keep": list(found.columns["keep"]),
    }


def read(path: str) -> dict[str, Any]:
    begin = time.perf_counter()
    buffer = bytearray(2**24)
    with Path(path).open("rb", buffering=0) as stream:
        while stream.readinto(buffer):
            pass
    return {"seconds": time.perf_counter() - begin}


def gram(clients: str, hidden: str, jobs: str) -> dict[str, Any]:
    from threadpoolctl import threadpool_limits

    left = INPUTS * int(hidden) + LABELS * int(hidden)
    rng = np.random.default_rng(0)
    block = rng.standard_normal((int(clients), min(left, 20_000)), np.float32)
    total = np.zeros((int(clients), int(clients)), np.float32)
    with threadpool_limits(int(jobs)):
        block @ block.T
        begin = time.perf_counter()
        while left > 0:
            part = block[:, :left]
            total += part @ part.T
            left -= part.shape[1]
        return {"seconds": time.perf_counter() - begin}


CHILDREN = {"score": score, "read": read, "gram": gram}


def child(*words: str) -> dict[str, Any]:
    threads = {"OPENBLAS_NUM_THREADS": words[-1] if words[0] == "gram" else "2"}
    done = subprocess.run(
        [sys.executable, __file__, "--child", *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **threads},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def forget(path: Path) -> None:
    """Put a file out of the page cache, on Linux."""
    if not hasattr(os, "posix_fadvise"):
        return
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def high_water() -> int:
    """Peak memory of this process in bytes; elsewhere than on Linux, or of the one it came from."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def write_round(path: Path, clients: int, hidden: int) -> None:
    """Updates around a common step; a tenth of the clients moved alike on two labels."""
    rng = np.random.default_rng(0)
    shapes = {"hidden.weight": (hidden, INPUTS), "fc.weight": (LABELS, hidden)}
    head = RoundHead(
        clients=[f"c{i}" for i in range(clients)],
        num_examples=np.full(clients, 600, np.int64),
        shapes=shapes,
        dtypes={name: np.dtype(np.float32) for name in shapes},
        output=OutputLayer("fc.weight"),
        labels=[],
        round_number=1,
        base_sha256="",
    )
    step = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    with create_round(path, head, []) as writer:
        for start in range(0, clients, 50):
            count = min(50, clients - start)
            made = {
                name: step[name] + rng.standard_normal((count, *shape), np.float32)
                for name, shape in shapes.items()
            }
            if start < clients // 10:
                made["fc.weight"][: clients // 10 - start, [1, 7]] += step["fc.weight"][[1, 7]]
            writer.write(start, made)


if __name__ == "__main__":
    main()
