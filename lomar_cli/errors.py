"""Every failure a person can mend, with the exit code it leads to.

A message is one line that names the file, the field and the mend. Anything else that escapes a
command is a defect of this program.
"""

from __future__ import annotations


class LomarError(Exception):
    """The run failed (exit 1); base of all errors that are shown without a traceback."""

    exit_code = 1


class WriteError(LomarError):
    """An output cannot be written: a full disk, a folder that may not be written to (exit 1)."""


class UsageError(LomarError):
    """The options do not fit together or do not fit the input (exit 2)."""

    exit_code = 2


class NotLoadedError(UsageError):
    """A method or rule of another package that cannot be imported (exit 2)."""


class NeedsHistoryError(UsageError):
    """A method cannot judge yet: it looks back at more rounds than there are (exit 2)."""


class NotApplicableError(LomarError):
    """A defense, or an attack, does not fit this setting of a sweep: recorded, never a zero."""


class InputError(LomarError):
    """An input file is missing, invalid or hostile (exit 3)."""

    exit_code = 3


class ClientFileError(InputError):
    """One client's file cannot be used, or is unlike the first one's (exit 3)."""


class OutputExistsError(LomarError):
    """The output exists and ``--force`` was not given (exit 4)."""

    exit_code = 4


EXIT_FLAGGED = 10
EXIT_INTERRUPTED = 130
INTERRUPTED = "interrupted; nothing half-written was left"
EXIT_CLOSED_PIPE = 141


def nearest(name: str, known: list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known name closest to ``name``, or ``""``."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
