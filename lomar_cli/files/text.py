"""Make names that strangers chose safe to show."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

MAX_NAME = 255


def printable(text: str, limit: int = 120) -> str:
    """Return ``text`` with control and unprintable characters escaped, cut to ``limit``.

    Client ids, parameter names and file names come from outside: an escape sequence in one must
    not reach a terminal.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def counted(count: int, noun: str) -> str:
    """``1 client``, ``2 clients``: a number of things whose name takes an s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(shown: Sequence[str], most: int = 5) -> str:
    """``a, b and 3 more``: the first few of names as they are shown (``printable``)."""
    more = len(shown) - most
    return ", ".join(shown[:most]) + (f" and {more} more" if more > 0 else "")


def json_text(document: Any, indent: int | None = 2) -> str:
    """Strict JSON with non-ASCII text as it is, but for control characters beyond ASCII's.

    JSON itself escapes those below U+0020 only; a terminal obeys U+0080 to U+009F as well.
    """
    text = json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    return re.sub(r"[\x7f-\x9f\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def name_fault(name: str) -> str | None:
    """Say what is wrong with a client id, parameter or label name; None when it may be used."""
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME:
        return f"it is longer than {MAX_NAME} characters"
    if not name.isprintable():
        return "it holds control or unprintable characters"
    return None
