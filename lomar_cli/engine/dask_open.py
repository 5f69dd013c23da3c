"""Connect to a Dask cluster, or start one on this machine, and see that it can be used."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from distributed import Client, LocalCluster
from distributed.core import rpc
from distributed.security import Security

from lomar_cli.engine.build import Build, this_build
from lomar_cli.engine.dask_engine import Dask
from lomar_cli.errors import LomarError, UsageError

# Seconds: for a scheduler to answer, for a first worker to come.
ANSWER = 10.0
FIRST_WORKER = 20.0
# For a worker to be reached; most of those that cannot be do not even refuse.
KNOCK = 2.0
# Where a scheduler listens unless told otherwise.
PORT = 8786


@contextlib.contextmanager
def foreign(address: str, note: Callable[[str], None]) -> Iterator[Dask]:
    """The engine on the cluster whose scheduler is at ``address``, or in that scheduler file."""
    with _quiet(), _connected(address) as client:
        yield _checked(client, f"dask at {client.scheduler.address}", 1, note)


@contextlib.contextmanager
def own(workers: int, note: Callable[[str], None]) -> Iterator[Dask]:
    """The engine on ``workers`` processes of this machine, which end with it."""
    with (
        _quiet(),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, timeout=ANSWER, set_as_default=False) as client,
    ):
        yield _checked(client, "dask on this machine", workers, note)


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    """A client of the scheduler at ``address``."""
    said = f"--cluster {address}"
    if address.endswith(".json"):
        address = _from_file(address, said)
    address = _listening(address, said)
    try:
        # Asked apart: a client that fails to connect complains for long.
        kind = asyncio.run(_kind(address))
        if kind != "Scheduler":
            raise ValueError(f"it is a {kind}")
        with warnings.catch_warnings():
            # Dask compares versions too, over many lines.
            warnings.simplefilter("ignore")
            client = Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError, TypeError, KeyError, MemoryError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise LomarError(f"{said}: is no Dask scheduler, or does not answer ({reason})") from None
    with client:
        yield client


async def _kind(address: str) -> str:
    """What listens there says it is."""
    arguments = Security().get_connection_args("client")
    async with rpc(address, timeout=ANSWER, connection_args=arguments) as asked:
        found = await asyncio.wait_for(asked.identity(), ANSWER)
    return str(found["type"])


def _from_file(path: str, said: str) -> str:
    """The address in a scheduler file, as ``dask scheduler --scheduler-file`` writes it."""
    try:
        return str(json.loads(Path(path).read_bytes())["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it names no address"
        raise UsageError(f"{said}: cannot read that scheduler file ({reason})") from None


def _listening(address: str, said: str) -> str:
    """The address in full, if somebody listens there; nothing is sent to who does."""
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        port = parts.port or PORT
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme not in ("tcp", "tls", "ws", "wss", "ucx") or not parts.hostname:
        raise UsageError(
            f"{said}: must be the address of a Dask scheduler such as tcp://host:8786, a "
            "scheduler file (.json), local or local:N"
        )
    try:
        socket.create_connection((parts.hostname, port), ANSWER).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise LomarError(
            f"{said}: nothing answers there ({reason}); is the scheduler up?"
        ) from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def _checked(client: Client, where: str, beside: int, note: Callable[[str], None]) -> Dask:
    """The engine, once there are workers and all of them run this very package."""
    until = time.monotonic() + FIRST_WORKER
    while not (threads := client.nthreads()):
        if time.monotonic() > until:
            raise LomarError(
                f"{where}: has no workers; start some: dask worker {client.scheduler.address} "
                "--nthreads 1"
            )
        time.sleep(0.1)
    # Results come straight from their workers, not through the scheduler, where that can be.
    client.direct_to_workers = _reachable(min(threads))
    dashboard = f", dashboard {link}" if (link := client.dashboard_link) else ""
    count = f"{len(threads)} worker{'s' if len(threads) > 1 else ''}"
    engine = Dask(client, f"{where}, {count}{dashboard}", beside, note)
    _same_package(engine)
    wide = [name for name, number in threads.items() if number > 1]
    if wide:
        note(
            f"worker {wide[0]} has {threads[wide[0]]} threads, of which one is used"
            f"{_others(wide)}; start workers with --nthreads 1 --nworkers N"
        )
    return engine


def _reachable(worker: str) -> bool:
    """True when this machine can connect to a worker: it may be behind its scheduler."""
    parts = urlsplit(worker)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
        return False
    try:
        socket.create_connection((parts.hostname, parts.port), KNOCK).close()
    except OSError:
        return False
    return True


def _same_package(engine: Dask) -> None:
    """Refuse workers without this package, or with another; note what else differs."""

    # Nested, so that it travels as code: a worker without the package could not look it up.
    def build() -> tuple[str, str, tuple[tuple[str, str], ...]]:
        from lomar_cli.engine.build import this_build

        own = this_build()
        return own.version, own.code, own.libraries

    here = this_build()
    differ: list[str] = []
    for worker, found in sorted(engine.everywhere(build).items()):
        if isinstance(found, BaseException):
            reason = (str(found).splitlines() or [type(found).__name__])[0][:200]
            raise LomarError(
                f"{engine.where}: worker {worker} cannot load lomar_cli {here.version} ({reason}); "
                "install it there"
            )
        there = Build(*found)
        if (there.version, there.code) != (here.version, here.code):
            raise LomarError(
                f"{engine.where}: worker {worker} runs {there.package}, this is {here.package}; "
                "install the same on both"
            )
        for (name, ours), (_, theirs) in zip(here.libraries, there.libraries, strict=True):
            if ours != theirs:
                differ.append(f"worker {worker} has {name} {theirs}, this is {name} {ours}")
    if differ:
        more = f", and {len(differ) - 1} more such" if len(differ) > 1 else ""
        engine.note(f"{differ[0]}{more}: results may differ in their last digits")


def _others(names: list[str]) -> str:
    return f" (and {len(names) - 1} more workers)" if len(names) > 1 else ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's log off stderr: what matters is said in one line."""
    names = ("distributed", "distributed.client", "distributed.gc", "asyncio", "tornado")
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
