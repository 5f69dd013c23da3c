"""A server's folder with a clock of its own, and clients that send at given times."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.watching.job import Job, Judging, Voice
from lomar_cli.watching.loop import watch
from tests.making import tensors

CLIENTS = 12
LATEST = 10_000.0


def model(seed: int = 7, labels: int = 3, features: int = 4) -> dict[str, np.ndarray]:
    return {name: array[0] for name, array in tensors(1, labels, features, seed).items()}


def trained(round_number: int, clients: int = CLIENTS, **size: int) -> dict[str, dict[str, Any]]:
    """What the clients of a round send: all parameters, and a count."""
    start = model(**size)
    made = tensors(clients, seed=100 + round_number, **size)
    return {
        f"site-{row:02d}": {
            **{name: start[name] + 0.1 * made[name][row] for name in start},
            "num_examples": np.int64(10 + row),
        }
        for row in range(clients)
    }


def npz(arrays: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


class Place:
    """``incoming`` and ``verdicts`` below a folder, and a base model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming, self.verdicts = folder / "incoming", folder / "verdicts"
        self.base = folder / "base.npz"
        self.sent = 0
        if not self.incoming.exists():
            self.incoming.mkdir(parents=True)
            self.base.write_bytes(npz(model()))

    def send(self, name: str, content: bytes) -> Path:
        """Put a file in place by a rename, later than those before it."""
        hidden = self.folder / "sending"
        hidden.write_bytes(content)
        self.sent += 1
        os.utime(hidden, (1_000_000 + self.sent, 1_000_000 + self.sent))
        path = self.incoming / name
        hidden.replace(path)
        return path

    def send_all(self, clients: Mapping[str, Mapping[str, Any]], ending: str = ".npz") -> None:
        for name, arrays in clients.items():
            self.send(f"{name}{ending}", npz(arrays))

    def job(self, **changes: Any) -> Job:
        judging = {"method": "lomar-auto", "rule": "fedavg", **changes.pop("judging", {})}
        given = {
            "expect": CLIENTS,
            "least": 1,
            "base_model": self.base,
            "rounds": 1,
            "settle": 0.0,
            **changes,
        }
        return Job(self.incoming, self.verdicts, Judging(**judging), **given)

    def aside(self, round_number: int = 1) -> dict[str, str]:
        """Reasons by the name under which a file was set aside."""
        folder = self.incoming / ".lomar" / "aside" / f"{round_number:06d}"
        found = sorted((folder / "files").iterdir()) if folder.exists() else []
        return {p.name: (folder / "reasons" / f"{p.name}.reason").read_text() for p in found}


class Play:
    """Runs a watch in this process; ``script`` says what happens at which second."""

    def __init__(self, place: Place, script: Mapping[float, Callable[[], Any]] | None = None):
        self.place, self.script = place, dict(script or {})
        self.now = 0.0
        self.said: list[str] = []
        self.warned: list[str] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for time in sorted(self.script):
            if time <= self.now:
                self.script.pop(time)()
        assert self.now < LATEST, f"the watch never ends: {self.said}"

    def watch(self, **changes: Any) -> int:
        voice = Voice(self.said.append, self.said.append, self.warned.append)
        return watch(self.place.job(**changes), voice, self.clock, self.sleep)
