"""A person's own data as a table: ``lomar partition csv --data-file FILE.csv``.

Comma-separated UTF-8 text, gzipped or not, with a line of column names. ``--label-column`` names
the column that holds the label, as text (default: the last); all others must be numbers and are
taken as they are: scale them yourself, features around 0 to 1 train best. The labels are the
different values, whole numbers by size and text by the alphabet. Of each label every fifth row is
a test sample. ``--group-column`` names a column that says who a row comes from: it is no feature,
and ``--scheme natural`` makes each group a client.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lomar_cli.data.dataset import Dataset
from lomar_cli.data.npz import encode
from lomar_cli.data.reading import read_bytes, test_part
from lomar_cli.errors import InputError, UsageError, nearest
from lomar_cli.files.text import printable

_MAX_BYTES = 2 * 2**30
_MAX_COLUMNS = 100_000


def load(path: Path, label_column: str | None = None, group_column: str | None = None) -> Dataset:
    where = printable(str(path))
    try:
        text = read_bytes(path, _MAX_BYTES).decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = [name.strip() for name in next(reader, [])]
        column = _column(header, label_column, where)
        grouped = _group_column(header, group_column, column, where)
        # From the right, so that a place stays good until it is taken.
        taken = sorted({column, *grouped}, reverse=True)
        rest = [name for place, name in enumerate(header) if place not in taken]
        features, seen, whose = [], [], []
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise InputError(
                    f"{where}: line {reader.line_num}: has {len(row)} fields, the first line has "
                    f"{len(header)}"
                )
            words = {place: row.pop(place).strip() for place in taken}
            seen.append(words[column])
            whose += [words[place] for place in grouped]
            features.append(_numbers(row, rest, f"{where}: line {reader.line_num}"))
    except (csv.Error, UnicodeDecodeError):
        raise InputError(f"{where}: is not a CSV file in UTF-8") from None
    if not seen:
        raise InputError(f"{where}: holds no rows")
    # Written as numbers are: "07" is a text, and another label than "7".
    whole = all(re.fullmatch(r"0|-?[1-9]\d{0,16}", name, re.ASCII) for name in seen)
    labels, y = encode(np.array([int(s) for s in seen]) if whole else np.array(seen), where)
    x = np.stack(features)
    test = test_part(y)
    groups = np.unique(whose, return_inverse=True)[1].astype(np.int64)[~test] if whose else None
    return Dataset("csv", x[~test], y[~test], x[test], y[test], labels, groups=groups)


def _column(header: list[str], name: str | None, where: str) -> int:
    if not 2 <= len(header) <= _MAX_COLUMNS:
        raise InputError(f"{where}: has {len(header)} columns; features and a label are needed")
    if name is None:
        return len(header) - 1
    return _place(header, name, "--label-column", where)


def _group_column(header: list[str], name: str | None, label: int, where: str) -> list[int]:
    """The place of the column, in a list; an empty one when there is none."""
    if name is None:
        return []
    place = _place(header, name, "--group-column", where)
    if place == label:
        raise UsageError(f"--group-column: '{printable(name, 40)}' is the label's column")
    if len(header) < 3:
        raise InputError(f"{where}: has no column left for a feature")
    return [place]


def _place(header: list[str], name: str, flag: str, where: str) -> int:
    if header.count(name) != 1:
        many = "are several columns" if name in header else "is no column"
        raise UsageError(
            f"{flag}: there {many} '{printable(name, 40)}' in {where}"
            f"{nearest(name, header) if name not in header else ''}"
        )
    return header.index(name)


def _numbers(row: list[str], header: list[str], where: str) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            made = np.array(row, np.float64).astype(np.float32)
        if np.isfinite(made).all():
            return made
    except ValueError:
        pass
    place = next(place for place, text in enumerate(row) if not _finite(text))
    raise InputError(
        f"{where}: {printable(header[place], 40)}: '{printable(row[place], 30)}' is no finite "
        "number; make columns of text numeric first, or name the label with --label-column"
    )


def _finite(text: str) -> bool:
    try:
        return abs(float(text)) <= float(np.finfo(np.float32).max)
    except ValueError:
        return False
