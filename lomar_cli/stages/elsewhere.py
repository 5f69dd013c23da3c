"""Where a call finds data sets when another process, maybe on another machine, makes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lomar_cli.data import registry
from lomar_cli.engine.base import Engine
from lomar_cli.engine.checks import ask
from lomar_cli.errors import LomarError


@dataclass(frozen=True)
class Place:
    """How the command was told where things lie.

    ``data_dir`` is what ``--data-dir`` said; ``usual`` is ``LOMAR_DATA_DIR`` where the command was
    given, for workers that have none of their own. Relative names are from ``base``.
    """

    data_dir: Path | None = None
    usual: Path | None = None
    base: Path = Path()

    def folder(self) -> Path | None:
        """The folder of data sets, as a process that uses this sees it."""
        if self.data_dir is not None or os.environ.get("LOMAR_DATA_DIR"):
            return self.data_dir
        return self.usual

    def file(self, name: str | Path | None) -> Path | None:
        """A person's own file."""
        return None if name is None else self.base / name


def place_for(engine: Engine, data_dir: Path | None) -> Place:
    """The place as the workers of ``engine`` have to be told it: their folder is another one."""
    if not engine.remote:
        return Place(data_dir)
    usual = os.environ.get("LOMAR_DATA_DIR")
    return Place(
        data_dir.absolute() if data_dir is not None else None,
        Path(usual).absolute() if usual else None,
        Path.cwd(),
    )


def check_data(
    engine: Engine, place: Place, name: str, file: str | None, options: Mapping[str, Any]
) -> None:
    """Every worker must have the data set, and the same one; LomarError names the worker."""
    found = ask(engine, _checksum, place, name, file, dict(options))
    first = min(found, default="")
    for worker, checksum in sorted(found.items()):
        if checksum != found[first]:
            raise LomarError(
                f"{engine.where}: workers {first} and {worker} have different data named "
                f"'{name}' (checksums {found[first][:12]} and {checksum[:12]}); point --data-dir, "
                "or LOMAR_DATA_DIR on the workers, at the same files"
            )


def _checksum(place: Place, name: str, file: str | None, options: Mapping[str, Any]) -> str:
    return registry.load(name, place.folder(), place.file(file), options).sha256
