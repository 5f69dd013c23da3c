"""Flower's own runtimes: a deployed SuperLink with ten SuperNodes, and the simulation engine.

Both are processes of their own on this machine's loopback, started as Flower's guide says, and are
handed the app in ``flower_app`` by ``flwr run``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr", reason="needs the extra 'flower'")

from lomar_cli.files.scores import read_scores
from tests.integrations import flippers

APP = Path(__file__).parent / "flower_app"
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ROUNDS = 3
# Seconds, on a machine that does much else.
PATIENCE = 900


class Processes:
    """Programs of Flower's in sessions of their own, which end with the test."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "FLWR_HOME": str(folder / "home"),
            "FLWR_TELEMETRY_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }
        self.started = []
        self.stack = contextlib.ExitStack()

    def start(self, log, *words):
        output = self.stack.enter_context((self.folder / f"{log}.log").open("w"))
        made = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
        )
        self.started.append(made)

    def stop(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            for one in self.started:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(one.pid, number)
            for one in self.started:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    one.wait(10)
        self.stack.close()


@pytest.fixture
def processes(tmp_path):
    (tmp_path / "home").mkdir()
    made = Processes(tmp_path)
    yield made
    made.stop()


def free_ports(count):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]


def superlink(processes, port, *words):
    processes.start(
        "superlink",
        *("flower-superlink", "--insecure", "--disable-runtime-dependency-installation"),
        *("--host", "127.0.0.1", "--port", str(port), *words),
    )
    home = processes.folder / "home" / "config.toml"
    home.write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
        "insecure = true\n"
    )
    until = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < until, (processes.folder / "superlink.log").read_text()
        time.sleep(0.2)


def run(processes, *words):
    """Hand the app to the server, wait for its end, and return what it found."""
    out = processes.folder / "out"
    out.mkdir()
    # Each message starts a process of its own: none has to wait for scikit-learn.
    for client, (x, y) in flippers.samples().items():
        np.savez(out / f"client-{client}.npz", x=x, y=y)
    config = f"rounds={ROUNDS} out='{out}'"
    done = subprocess.run(
        [str(BIN / "flwr"), "run", str(APP), "here", "--stream", "--run-config", config, *words],
        capture_output=True,
        text=True,
        env=processes.environment,
        timeout=PATIENCE,
    )
    assert (out / "found.json").is_file(), done.stdout[-4000:] + done.stderr[-4000:]
    verdicts = [read_scores(out / "verdicts" / f"round-{n}.json") for n in range(1, ROUNDS + 1)]
    return json.loads((out / "found.json").read_text()), verdicts


def check(found, verdicts):
    """What the two runtimes must agree on, whatever the order in which clients answered."""
    assert found["defended"] > 0.8 > 0.5 > found["undefended"]
    last = range(flippers.CLIENTS - flippers.FLIPPERS, flippers.CLIENTS)
    for scores in verdicts:
        assert len(scores.clients) == flippers.CLIENTS
        removed = {c for c, keep in zip(scores.clients, scores.keep, strict=True) if not keep}
        assert removed == {f"partition-{client}" for client in last}


def test_ten_supernodes_of_a_superlink(processes):
    port, *own = free_ports(1 + flippers.CLIENTS)
    superlink(processes, port)
    for client in range(flippers.CLIENTS):
        processes.start(
            f"supernode-{client}",
            *("flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}"),
            *("--host", "127.0.0.1", "--port", str(own[client])),
            *("--node-config", f"partition-id={client} num-partitions={flippers.CLIENTS}"),
        )
    check(*run(processes))


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs ray (pip install 'flwr[simulation]')"
)
def test_the_simulation_engine(processes):
    (port,) = free_ports(1)
    superlink(processes, port, "--simulation")
    options = f"num-supernodes={flippers.CLIENTS} client-resources-num-cpus=1 init-args-num-cpus=2"
    check(*run(processes, "--federation-config", options))
