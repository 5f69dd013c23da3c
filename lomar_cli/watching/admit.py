"""May this file be part of the round? Who sent it, and is it an update like the others'?"""

from __future__ import annotations

import re
from pathlib import Path

from lomar_cli.errors import InputError
from lomar_cli.files.importers import registry
from lomar_cli.files.text import name_fault, printable
from lomar_cli.stages.client_files import compare
from lomar_cli.stages.layout import Layout, refusing
from lomar_cli.watching.inbox import Seen

# Room for the longest ending within the 255 bytes that a file's name may have.
_MAX_CLIENT = 240


def client_of(path: Path, pattern: re.Pattern[str] | None) -> str:
    """The client that a file's name stands for; InputError for a name that may not be used."""
    client = registry.client_name(path)
    if pattern is not None:
        found = pattern.search(path.name)
        if found is None:
            raise InputError("--client-pattern finds nothing in its name")
        client = str((found[1] if pattern.groups else found[0]) or "")
    fault = name_fault(client)
    if fault is None and len(client.encode("utf-8", "surrogateescape")) > _MAX_CLIENT:
        fault = f"it is longer than {_MAX_CLIENT} bytes"
    if fault is None and "/" in client:
        fault = "it holds a slash"
    if fault:
        raise InputError(f"the client's name '{printable(client, 40)}' is refused: {fault}")
    return client


def fault_of(seen: Seen, max_bytes: int) -> str | None:
    """What can be told of a file without opening it; None if nothing speaks against it."""
    if not seen.regular:
        return "is a link, a folder or a device, not a file"
    if seen.size > max_bytes:
        return f"has {seen.size:,} bytes, more than {max_bytes:,}; raise --max-bytes if it may"
    return None


def read_layout(path: Path, max_bytes: int, base: Layout | None) -> Layout:
    """Read a client's file to its end; InputError for whatever is wrong with it.

    ``base`` is what the base model looks like.
    """
    with refusing(path):
        reader = registry.importer(path)
        if reader.clients(path, max_bytes) is not None:
            raise InputError("holds a round of many clients; here a file is one client's")
        one = next(iter(reader.read(path, max_bytes)))
        if base is not None:
            compare(one, base.arrays, path, "the base model", base=True)
        return Layout.of(one)
