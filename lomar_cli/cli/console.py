"""Talking to people: data to stdout, everything else to stderr, honouring -q, -v and NO_COLOR."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


class Settings:
    """What -q, -v and --debug said in this run."""

    quiet = False
    verbose = False
    debug = False

    @classmethod
    def reset(cls) -> None:
        cls.quiet = cls.verbose = cls.debug = False


def out() -> Console:
    """Rich console on stdout."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, markup=False)


def err() -> Console:
    """Rich console on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False, markup=False)


def say(message: str) -> None:
    """A line of summary on stderr, unless -q."""
    if not Settings.quiet:
        print(message, file=sys.stderr)


def detail(message: str) -> None:
    """A line on stderr with -v only."""
    if Settings.verbose and not Settings.quiet:
        print(message, file=sys.stderr)


def warn(message: str) -> None:
    """A warning on stderr, also with -q: it is about the result."""
    print(f"lomar: warning: {message}", file=sys.stderr)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    from lomar_cli.files.text import json_text

    print(json_text(document))


def on_terminal() -> bool:
    """True when stdout is a terminal."""
    return sys.stdout.isatty()


def duration(seconds: float) -> str:
    """Seconds as people say them: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Bytes as people say them: ``15 MB``, ``2.1 GB``."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


@contextlib.contextmanager
def progress(what: str) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Yield ``begin(total)`` and ``advance(count)``; a bar on stderr if that is a terminal."""
    if Settings.quiet or not sys.stderr.isatty():
        yield (lambda total: None), (lambda count: None)
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err(),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield (
            (lambda total: bar.update(task, total=total)),
            (lambda count: bar.update(task, advance=count)),
        )
