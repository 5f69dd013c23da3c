"""Where a watcher is, on disk: all that is not told by where files lie."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lomar_cli.errors import InputError
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.text import json_text, printable

NAME = "state.json"
FORMAT, VERSION = "lomar/watch", 1
COLLECTING, CLOSED, JUDGED = "collecting", "closed", "judged"


@dataclass(frozen=True)
class State:
    """A round and how far it is.

    ``collecting``: whatever lies in the round's folder of taken files may be part of it.
    ``closed``: ``files``, and nothing else, are; the verdict may be half made, and is made again.
    ``judged``: the verdict is whole; ``line`` is the round's line of metrics, and is to be told.
    ``model`` is what the round starts from, a path below the verdicts' folder; None for the base
    model that the watch began with. ``waited`` are seconds from the first client to the close.
    """

    round: int = 1
    stage: str = COLLECTING
    model: str | None = None
    files: Sequence[str] = ()
    waited: float = 0.0
    line: Mapping[str, Any] = field(default_factory=dict)


def write_state(folder: Path, state: State) -> None:
    """Replace the state: from here on, a watcher that is started again goes on from it."""
    document = {"format": FORMAT, "version": VERSION, **asdict(state)}
    atomic_bytes(folder / NAME, (json_text(document) + "\n").encode(), force=True)


def read_state(folder: Path) -> State | None:
    """The state that lies in ``folder``, or None; InputError for what is none of ours."""
    path = folder / NAME
    if not path.exists():
        return None
    shown = printable(str(path))
    try:
        found = json.loads(path.read_bytes())
        version = found["version"] if found["format"] == FORMAT else None
        if isinstance(version, int) and version > VERSION:
            raise InputError(f"{shown}: was written by a newer lomar; upgrade lomar")
        state = State(
            found["round"],
            found["stage"],
            found["model"],
            list(found["files"]),
            float(found["waited"]),
            dict(found["line"]),
        )
        whole = (
            version == VERSION
            and type(state.round) is int
            and state.round >= 1
            and state.stage in (COLLECTING, CLOSED, JUDGED)
            and (state.model is None or isinstance(state.model, str))
            and all(isinstance(name, str) and Path(name).name == name for name in state.files)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise InputError(
            f"{shown}: is damaged, or no watcher's; move it away to begin anew at round 1"
        )
    return state
