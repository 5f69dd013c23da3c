"""Every data set by name. A new one is one file and one line here."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lomar_cli.data.dataset import Dataset
from lomar_cli.errors import InputError, UsageError, nearest
from lomar_cli.files.text import printable


@dataclass(frozen=True)
class DatasetEntry:
    """Where a data set's loader lies, and how many clients and samples the paper gives it.

    ``samples`` of each client; None is an even share of the training part. ``options`` are the
    loader's own, with defaults. ``endings`` are those of the file that a person brings; without
    any the data set is looked for in folders. ``rare`` is the default of ``--rare``.
    """

    module: str
    about: str
    clients: int = 10
    samples: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    endings: tuple[str, ...] = ()
    rare: str = "refuse"


DATASETS = {
    "digits": DatasetEntry("digits", "8x8 digits that ship with scikit-learn", 60, 100),
    "mnist": DatasetEntry(
        "mnist", "28x28 handwritten digits (paper: 1,000 clients x 600)", 1000, 600
    ),
    "kddcup99": DatasetEntry(
        "kddcup99", "network intrusions, the 10 % file (paper: 23 clients)", 23, rare="repeat"
    ),
    "amazon": DatasetEntry(
        "amazon", "who wrote a review (paper: 50 clients x 150)", 50, 150, rare="repeat"
    ),
    "images": DatasetEntry(
        "images",
        "pictures, a folder a class, as VGGFace2 (paper: 200 clients)",
        200,
        369,
        {"size": 32},
    ),
    "npz": DatasetEntry("npz", "your own arrays: --data-file FILE.npz", endings=(".npz",)),
    "csv": DatasetEntry(
        "table",
        "your own table of numbers: --data-file FILE.csv",
        options={"label_column": None, "group_column": None},
        endings=(".csv", ".csv.gz"),
    ),
}
# Options of loaders, and the flags that give them.
FLAGS = {
    "size": "--image-size",
    "label_column": "--label-column",
    "group_column": "--group-column",
}


def entry(name: str) -> DatasetEntry:
    if name not in DATASETS:
        known = list(DATASETS)
        raise UsageError(
            f"there is no data set '{printable(name)}'{nearest(name, known)} "
            f"(known: {', '.join(known)})"
        )
    return DATASETS[name]


def load(
    name: str,
    data_dir: Path | None = None,
    data_file: Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Dataset:
    """Load a data set by name; the last one is kept, for those who call again in this process.

    ``data_dir`` (or ``LOMAR_DATA_DIR``) is the folder that holds a folder per data set.
    ``data_file`` is the file of a data set that a person brings; without it there must be just one
    of its kind in ``data_dir``.
    """
    about = entry(name)
    given = checked_options(name, options or {})
    if about.endings:
        source: Path | None = data_file or _only(name, own_files(name, data_dir))
    elif data_file is not None:
        raise UsageError(f"--data-file: {name} is no file of yours; --data-dir says where it lies")
    else:
        source = _folder(data_dir)
    resolved = source.resolve() if source is not None else None
    return _load(about.module, source, resolved, tuple(sorted(given.items())))


def checked_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given (not None), each one known to the loader."""
    known = entry(name).options
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in known:
            raise UsageError(f"{FLAGS.get(key, key)}: the data set {name} has no such option")
    return given


def own_files(name: str, data_dir: Path | None) -> list[Path]:
    """Files in ``data_dir/name`` and ``data_dir`` that could be this data set of a person's own."""
    folder = _folder(data_dir)
    if folder is None:
        return []
    found = []
    for place in (folder / name, folder):
        if place.is_dir():
            inside = (path for path in place.iterdir() if path.is_file())
            found += sorted(p for p in inside if p.name.lower().endswith(entry(name).endings))
    return found


def _only(name: str, files: list[Path]) -> Path:
    if len(files) != 1:
        many = f"{len(files)} files could be meant" if files else "it is a file of yours"
        raise UsageError(f"{name}: {many}; name it with --data-file FILE")
    return files[0]


def _folder(data_dir: Path | None) -> Path | None:
    if data_dir is None and os.environ.get("LOMAR_DATA_DIR"):
        return Path(os.environ["LOMAR_DATA_DIR"])
    return data_dir


@functools.lru_cache(maxsize=1)
def _load(
    module: str, source: Path | None, resolved: Path | None, options: tuple[tuple[str, Any], ...]
) -> Dataset:
    loader = importlib.import_module(f"lomar_cli.data.{module}")
    try:
        loaded: Dataset = loader.load(source, **dict(options))
    except MemoryError:
        where = printable(str(source))
        raise InputError(f"{where}: does not fit into memory") from None
    return loaded
