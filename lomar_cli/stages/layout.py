"""What a client's file looks like: what must be alike in all files of a round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files.importers.base import One
from lomar_cli.files.text import printable
from lomar_cli.stages.client_files import compare


@dataclass(frozen=True)
class Layout:
    """Names, shapes and types of the arrays, and whether samples are counted.

    ``arrays`` are of the right shapes and hold nothing.
    """

    arrays: One
    counted: bool

    @classmethod
    def of(cls, found: One) -> Layout:
        empty = {n: np.broadcast_to(np.zeros(()), a.shape) for n, a in found.arrays.items()}
        return cls(One(empty, found.types), found.num_examples is not None)

    @property
    def key(self) -> object:
        shapes = {name: array.shape for name, array in self.arrays.arrays.items()}
        return tuple(sorted((n, shapes[n], self.arrays.types[n]) for n in shapes)), self.counted


def unlike(layouts: Mapping[str, Layout]) -> dict[str, str]:
    """Files that do not look like most of them, with the reason; by name.

    Nobody can make all others look wrong by coming first: the commonest layout counts, of equally
    common ones that of the first name.
    """
    if not layouts:
        return {}
    names = sorted(layouts)
    counts = Counter(layouts[name].key for name in names)
    commonest = counts.most_common(1)[0][0]
    model = next(layouts[name] for name in names if layouts[name].key == commonest)
    most = f"what {counts[commonest]} of {len(names)} clients sent"
    found = {}
    for name in names:
        mine = layouts[name]
        if mine.key == commonest:
            continue
        try:
            compare(mine.arrays, model.arrays, Path(name), most)
            has, others = ("has", "does not") if mine.counted else ("has no", "has")
            found[name] = f"{has} num_examples, {most} {others}"
        except InputError as error:
            found[name] = str(error).removeprefix(f"{printable(name)}: ")
    return found
