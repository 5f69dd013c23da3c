"""Kill every command that writes at 100 random moments, and look at what is left.

    python benchmarks/kill.py [--count 100] [--commands score,append] [--seed 0]

Each run is a fork of this process with everything loaded, so that the moments fall to the work and
not to Python's start (`--processes` starts one from nothing each time, as a person does). The
moments follow how long each command takes on this machine, see `tests/hostile/kills.py`. After
each kill: the output is complete, or absent (or what was there before), inputs are as they
were; and after the next run all bytes are those of a run that was not killed, with no temporary
file left. Exit 1 if anything else was seen.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

# Threads of BLAS do not live on in a fork.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.commands import COMMAND, works
from tests.hostile.kills import APPEND, COMMANDS, Running, kill, kill_append, prepare, start, words
from tests.hostile.kills_run import PLAN, RUN, kill_run

# What changes a file or a folder that is there, and is looked at in a way of its own.
OTHERS = {"append": (APPEND, kill_append), "run": (RUN, kill_run)}


class Forked:
    """A command in a fork of this process, which is what is killed."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.returncode: int | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._run(folder, arguments)

    def _run(self, folder: Path, arguments: list[str]) -> None:
        code = 70
        try:
            os.chdir(folder)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(self._errors.fileno(), 2)
            COMMAND.main(args=arguments, prog_name="lomar")
        except SystemExit as done:
            code = int(done.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            os.kill(self._pid, sig)

    def communicate(self, *, timeout: float | None) -> tuple[None, bytes]:
        until = time.monotonic() + (timeout or 600)
        while self.poll() is None:
            if time.monotonic() > until:
                raise TimeoutError(f"process {self._pid} does not end")
            time.sleep(0.0005)
        with self._errors as errors:
            errors.seek(0)
            return None, errors.read()


def warm(command: str, inputs: Path, folder: Path) -> None:
    """Load whatever the command imports."""
    work = shutil.copytree(inputs, folder)
    shutil.copyfile(work / "round.h5", work / "appended.h5")
    (work / "plan.toml").write_text(PLAN)
    with contextlib.chdir(work):
        works(*words(command, "appended" if command == APPEND else "out"))
    shutil.rmtree(work)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--commands", default=",".join([*COMMANDS, *OTHERS]))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", action="store_true", help="start each from nothing")
    options = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        inputs = prepare(Path(folder) / "inputs")
        for name in options.commands.split(","):
            work = Path(folder) / name.replace(" ", "-")
            command, killed = OTHERS.get(name) or (COMMANDS[name], None)
            warm(command, inputs, Path(folder) / "warm")
            new: Callable[[Path, list[str]], Running] = start if options.processes else Forked
            if killed is not None:
                seen = killed(inputs, work, options.count, options.seed, new)
            else:
                seen = kill(command, inputs, work, options.count, options.seed, start=new)
            print(
                f"{name:20} {seen.tries} tries, {seen.kills} killed, output there after "
                f"{seen.complete}, temporary files left by {seen.left}, faults {len(seen.faults)}",
                flush=True,
            )
            for fault in seen.faults:
                print(f"  {fault}")
            faults += len(seen.faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
