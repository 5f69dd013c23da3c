"""Every reader under a fuzzer that follows the code: what new bytes reach, it goes on from.

    pip install atheris
    python benchmarks/fuzz_coverage.py [--seconds 60] [--readers npz,pickle] [--keep FOLDER]

Coverage-guided (atheris, which is libFuzzer), one process a reader, begun from small valid files.
Where a checksum would hide everything behind it (the members of a zip), what is mutated is put into
a good archive. Any exception but ours, more than 30 s for an input, or more than 1.5 GB is a
failure; the input is then kept in FOLDER. What HDF5 and torch do in C is not followed, so that
there it is no more than random damage; ``fuzz.py`` does that with more kinds of it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NAMES = (
    "npy",
    "npz",
    "npy in npz",
    "safetensors",
    "pickle",
    "flower",
    "hdf5",
    "round",
    "scores",
    "sidecar",
    "truth",
)
# Seconds of wall time: a machine with other work stops for longer than a reader takes.
HANG = 30
MEMORY = 1500
FOLLOWED = ["lomar_cli", "zipfile", "pickletools", "json", "csv", "numpy.lib"]


def work(name: str, folder: Path, seconds: int) -> None:
    """Fuzz one reader in this process, which ends here."""
    import atheris

    # What atheris itself has imported already would not be followed.
    for module in [m for m in sys.modules if m.split(".")[0] in FOLLOWED]:
        del sys.modules[module]
    with atheris.instrument_imports(include=FOLLOWED):
        from benchmarks._readers import READERS
        from lomar_cli.errors import LomarError

        seeds, wrap, make = READERS[name]
        read = make()
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, raw in enumerate(seeds()):
        (corpus / f"seed{number}").write_bytes(raw)
    path = folder / "input"

    def one(data: bytes) -> None:
        path.write_bytes(wrap(data))
        try:
            read(path)
        except LomarError as error:
            assert "\n" not in str(error)

    limits = [f"-max_total_time={seconds}", f"-timeout={HANG}", f"-rss_limit_mb={MEMORY}"]
    told = ["-print_final_stats=1", f"-artifact_prefix={folder}/found-", "-max_len=20000"]
    warnings.simplefilter("ignore")
    atheris.Setup([sys.argv[0], *limits, *told, str(corpus)], one)
    atheris.Fuzz()


def fuzz(name: str, seconds: int, kept: Path) -> tuple[int, int, list[Path]]:
    """Inputs tried, edges reached, and the inputs that failed."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--worker", name, folder, "--seconds", str(seconds)]
        done = subprocess.run(
            [sys.executable, __file__, *words], capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        tried = re.search(r"number_of_executed_units: (\d+)", said)
        reached = re.findall(r"cov: (\d+)", said)
        failed = list(_moved(Path(folder), kept, name))
        if done.returncode and not failed:
            raise SystemExit(f"{name}: the fuzzer ended with {done.returncode}: {said[-2000:]}")
        if failed:
            print(said[-3000:], file=sys.stderr)
        return int(tried[1]) if tried else 0, int(reached[-1]) if reached else 0, failed


def _moved(folder: Path, kept: Path, name: str) -> Iterator[Path]:
    for path in folder.glob("found-*"):
        kept.mkdir(parents=True, exist_ok=True)
        target = kept / f"{name.replace(' ', '-')}-{path.name}"
        target.write_bytes(path.read_bytes())
        yield target


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--readers", default=",".join(NAMES))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker[0], Path(options.worker[1]), options.seconds)
        return 0
    total, failures = 0, 0
    for name in options.readers.split(","):
        tried, reached, failed = fuzz(name, options.seconds, options.keep)
        total, failures = total + tried, failures + len(failed)
        print(f"{name:12} {tried:9} inputs, {reached} edges, {len(failed)} failures", flush=True)
        for path in failed:
            print(f"  {path}")
    print(f"{total} inputs, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
