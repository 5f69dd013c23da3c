"""Turn whatever a command line leads to into an exit code and at most one line on stderr."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

from typer.core import TyperGroup

from lomar_cli import errors
from lomar_cli.cli.console import Settings


class ClosedPipe(Exception):
    """The reader of stdout has all it wants. Not an OSError: typer and rich take those for
    themselves and end with codes of their own."""


class Stdout:
    """Stdout that tells a closed pipe from every other failure."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            raise ClosedPipe from None

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise ClosedPipe from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class LomarGroup(TyperGroup):
    """The root command: its ``main`` never ends in a traceback for what a person can mend."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        parent: Any = super().main
        code = guarded(lambda: parent(*args, standalone_mode=False, **extra))
        if standalone_mode:
            sys.exit(code)
        return code


def guarded(work: Callable[[], Any]) -> int:
    """Run ``work`` and return its exit code (``docs/cli.md`` lists them)."""
    Settings.reset()
    try:
        result = work()
        sys.stdout.flush()
        if result == errors.EXIT_INTERRUPTED:
            # So typer answers Ctrl-C, without a word.
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except errors.LomarError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, EOFError):
        return _fail(errors.INTERRUPTED, errors.EXIT_INTERRUPTED)
    except (ClosedPipe, BrokenPipeError):
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return errors.EXIT_CLOSED_PIPE
    except MemoryError:
        return _fail("out of memory; lower --memory, or use a smaller round", 1)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return _fail(f"{name}{error.strerror or error}", 1)
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Any) -> int:
    """What typer raises (wrong options, --help's own exits), or a defect of this program."""
    if type(error).__name__ == "Abort":
        return _fail(errors.INTERRUPTED, errors.EXIT_INTERRUPTED)
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return int(error.exit_code)
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "lomar"
        message = " ".join(str(error.format_message()).split()).rstrip(".")
        return _fail(f"{message}; see '{path} --help'", error.exit_code)
    if hasattr(error, "exit_code"):
        return int(error.exit_code)
    traceback.print_exception(error)
    return _fail("this is a defect of lomar; please report the lines above", 1)


def _fail(message: str, code: int) -> int:
    if Settings.debug and sys.exc_info()[0] is not None:
        traceback.print_exc()
    print(f"lomar: error: {' '.join(message.splitlines())}", file=sys.stderr)
    return code
