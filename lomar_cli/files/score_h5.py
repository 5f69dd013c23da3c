"""Score tables as HDF5, which holds all that is known of one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.files import h5
from lomar_cli.files.round import decode_name, encode_name
from lomar_cli.files.score_table import FIXED, KINDS, Scores, checked
from lomar_cli.files.text import printable


def write_h5(path: Path, scores: Scores, force: bool) -> None:
    with h5.create(path, "scores", scores.provenance, force) as handle:
        h5.write_text(handle, "method", scores.method)
        handle.attrs["threshold"] = np.float64(scores.threshold)
        h5.write_text(handle, "round_sha256", scores.round_sha256)
        h5.write_text(handle, "options", json.dumps(scores.options, sort_keys=True))
        h5.write_strings(handle, "notes", scores.notes)
        group = handle.create_group("columns")
        for position, (name, values) in enumerate(scores.columns.items()):
            kind = KINDS.get(name, float)
            link = encode_name(name)
            if kind is str:
                h5.write_strings(group, link, values)
            else:
                dtype = {int: np.int64, bool: np.uint8, float: np.float64}[kind]
                group.create_dataset(link, data=np.asarray(values).astype(dtype))
            group[link].attrs["position"] = np.int64(position)


def read_h5(path: Path) -> Scores:
    with h5.open_read(path, "scores") as reader:
        reader.check_digest()
        names = reader.names("columns")
        for name in FIXED:
            if name not in names:
                raise reader.fault(f"columns/{name}", "the column is missing")
        names.sort(key=lambda name: reader.integer("position", f"columns/{name}"))
        columns: dict[str, Sequence[Any]] = {}
        count = len(reader.strings("columns/client"))
        for link in names:
            where, name = f"columns/{link}", decode_name(link)
            kind = KINDS.get(name, float)
            if kind is str:
                columns[name] = reader.strings(where, count)
            elif kind is float:
                columns[name] = reader.floats(where, count).tolist()
            else:
                columns[name] = reader.integers(where, count).astype(kind).tolist()
        threshold = reader.number("threshold")
        return checked(
            Scores(
                method=reader.string("method"),
                threshold=threshold,
                round_sha256=reader.string("round_sha256"),
                columns=columns,
                options=reader.document("options"),
                notes=reader.strings("notes"),
                provenance=reader.provenance(),
                sha256=reader.content_sha256(),
            ),
            printable(str(path)),
        )
