"""``lomar watch`` as a process of its own, killed at random moments until it is done."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.commands import command_line, environment
from tests.watch.dying import seen
from tests.watch.playing import CLIENTS, Place, npz, trained

OPTIONS = ("--expect", CLIENTS, "--rounds", 2, "--settle", 0, "--poll", 0.05)


def filled(folder: Path) -> Place:
    """A place with the files of both rounds and one that is none.

    Those of the second round wait in the incoming folder, as the first is full without them.
    """
    place = Place(folder)
    place.send("bad.npz", b"nothing of use")
    for number in (1, 2):
        for name, arrays in trained(number).items():
            place.send(f"{name}.{'npz' if number == 1 else 'NPZ'}", npz(arrays))
    return place


def arguments(place: Place) -> list[Any]:
    base = ("--base-model", place.base)
    return ["watch", place.incoming, *base, *OPTIONS, "-o", place.verdicts]


def start(place: Place) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command_line(*arguments(place)), env=environment(), stderr=subprocess.PIPE
    )


def undisturbed(folder: Path) -> dict[str, str]:
    """What two rounds come to when nobody disturbs them."""
    place = filled(folder)
    assert start(place).wait() == 0
    return seen(place)


def killed(place: Place, seed: int) -> Counter[str]:
    """Kill it again and again until it is done; how often at which stage.

    The interpreter takes a while to start: time counts from the first line that it says. Each try
    is let live a little longer than the last.
    """
    rng, kills = random.Random(seed), Counter[str]()
    while True:
        running = start(place)
        assert running.stderr is not None
        running.stderr.readline()
        time.sleep((0.1 + 0.02 * kills.total()) * rng.random())
        running.kill()
        running.communicate(timeout=60)
        if running.returncode == 0:
            return kills
        kills[_stage(place)] += 1
        assert kills.total() < 200


def _stage(place: Place) -> str:
    try:
        state = json.loads((place.verdicts / "state.json").read_text())
    except FileNotFoundError:
        return "before it began"
    return f"round {state['round']} {state['stage']}"
