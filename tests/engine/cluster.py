"""A Dask scheduler and workers as processes of their own on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.commands import environment

# Seconds. A loaded machine takes long to start Python with Dask.
START = 90


class Cluster:
    """``address`` of the scheduler, and its workers; all end with it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.started, self.workers = folder, [], []
        self.file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler",
            "distributed.cli.dask_scheduler",
            *("--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"),
            *("--scheduler-file", str(self.file)),
            # A call whose worker died twice is given up; as it is installed, after four times.
            env={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"},
        )
        self.address = until(lambda: json.loads(self.file.read_text())["address"], self._log)

    def work(
        self,
        many: int,
        *options: str,
        env: dict[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> None:
        """Start workers of one thread, each with a nanny that starts it anew when it dies.

        ``under`` is a command that starts another.
        """
        before = len(self.pids())
        for _ in range(many):
            worker = self._start(
                f"worker-{len(self.workers)}",
                "distributed.cli.dask_worker",
                *(self.address, "--nthreads", "1", "--host", "127.0.0.1", "--dashboard-address"),
                *("127.0.0.1:0", "--local-directory", str(self.folder), *options),
                env=env,
                under=under,
            )
            self.workers.append(worker)
        until(lambda: len(self.pids()) == before + many, self._log)

    def pids(self) -> dict[str, int]:
        """The process of each worker that the scheduler knows."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return client.run(os.getpid)

    def close(self) -> None:
        for process in reversed(self.started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(
        self,
        name: str,
        module: str,
        *words: str,
        env: dict[str, str] | None = None,
        under: Sequence[str] = (),
    ):
        log = (self.folder / f"{name}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [*under, sys.executable, "-m", module, *words],
                stdout=log,
                stderr=log,
                # Not where the tests run: whatever is relative means something else there.
                cwd=self.folder,
                env={**environment(), **(env or {})},
                # Its nanny's children too end with it.
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def _log(self) -> str:
        return "\n".join(path.read_text()[-2000:] for path in self.folder.glob("*.log"))


def until(what, log=lambda: "", seconds=START):
    """What ``what`` returns once that is true and no error."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if found := what():
                return found
        assert time.monotonic() < deadline, f"waited in vain; logs:\n{log()}"
        time.sleep(0.05)


@contextlib.contextmanager
def cluster(folder: Path, workers: int = 0, *options: str):
    made = Cluster(folder)
    try:
        if workers:
            made.work(workers, *options)
        yield made
    finally:
        made.close()
