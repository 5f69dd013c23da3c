"""The truth file: which clients are malicious. Apart, so that no scorer can peek."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.text import json_text, printable

# Python's lists take up to 30 times the room of their text.
_MAX_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Truth:
    """``malicious`` are client ids; ``about`` says what was done (attack, flips, ...)."""

    malicious: Sequence[str]
    about: dict[str, Any] = field(default_factory=dict)


def truth_bytes(truth: Truth) -> bytes:
    """The truth as its file holds it."""
    document = {"malicious": list(truth.malicious), **truth.about}
    return (json_text(document) + "\n").encode()


def write_truth(path: Path, truth: Truth, force: bool = False) -> None:
    atomic_bytes(path, truth_bytes(truth), force)


def read_truth(path: Path) -> Truth:
    return as_truth(read_json(path), path)


def as_truth(document: dict[str, Any], path: Path) -> Truth:
    """The truth that ``document``, read from ``path``, is; it loses its list of clients."""
    found = document.pop("malicious", None)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise InputError(f"{printable(str(path))}: malicious: must be a list of client ids")
    if len(set(found)) != len(found):
        raise InputError(f"{printable(str(path))}: malicious: names a client twice")
    return Truth(found, document)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file, or say in one line why not."""
    shown = printable(str(path))
    if not path.is_file():
        raise InputError(f"{shown}: no such file")
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{shown}: is larger than {_MAX_BYTES:,} bytes; none of our JSON is")
    try:
        document = json.loads(path.read_text("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InputError(f"{shown}: is not valid JSON; was it cut short?") from None
    except OSError as error:
        raise InputError(f"{shown}: cannot be read: {error.strerror}") from None
    if not isinstance(document, dict):
        raise InputError(f"{shown}: must hold a JSON object")
    return document
