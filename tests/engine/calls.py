"""Calls that workers make in tests; they must be able to import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from lomar_cli.engine.leash import go_on
from lomar_cli.errors import LomarError


def slower_first(number: int, of: int) -> int:
    """The first take longest, so that they end in another order than they began."""
    time.sleep(0.02 * (of - number))
    return number * number


def words(number: int) -> str:
    return f"{number}"


def joined(left: str, right: str) -> str:
    return f"({left}+{right})"


def mark(folder: Path, number: int) -> int:
    """Write down that, and by whom, the call was made."""
    with (folder / f"{number}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return number


def mark_and_wait(folder: Path, number: int) -> int:
    """As ``mark``, and end once the file ``go`` is there."""
    mark(folder, number)
    while not (folder / "go").exists():
        time.sleep(0.01)
    return number


def die_if(number: int, who: int) -> int:
    if number == who:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dead(number: int, who: int) -> int:
    return -number


def refuse(number: int) -> int:
    raise LomarError(f"{number} is refused")


def until_unwanted(folder: Path) -> None:
    """Go on for as long as somebody waits."""
    try:
        (folder / "begun").touch()
        while True:
            go_on()
            time.sleep(0.02)
    finally:
        (folder / "ended").touch()


def process() -> int:
    return os.getpid()
