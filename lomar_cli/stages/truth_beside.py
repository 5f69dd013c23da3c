"""The truth of an attack: a file of its own, written together with what was attacked."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from lomar_cli.errors import UsageError
from lomar_cli.files.atomic import atomic_path, check_output
from lomar_cli.files.truth import Truth, truth_bytes


def truth_path(truth: Path | None, output: Path, force: bool) -> Path:
    """Where the truth goes: ``truth.json`` beside ``output`` if not said. Both may be written."""
    truth = output.parent / "truth.json" if truth is None else truth
    if truth.resolve() == output.resolve():
        raise UsageError("--truth: must be another file than -o")
    check_output(output, force)
    check_output(truth, force)
    return truth


@contextlib.contextmanager
def truth_beside(
    path: Path, malicious: Collection[str], about: dict[str, Any], force: bool
) -> Iterator[None]:
    """Write the truth once the caller has written its output inside; a failure leaves no truth.

    ``about`` says what was done. How many clients were added (its ``malicious``) gives way to the
    list of who they are.
    """
    said = {key: value for key, value in about.items() if key != "malicious"}
    with atomic_path(path, force) as temporary:
        temporary.write_bytes(truth_bytes(Truth(sorted(malicious), said)))
        yield
