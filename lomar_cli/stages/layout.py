"""What a client's file looks like: what must be alike in all files of a round."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lomar_cli.errors import InputError, LomarError
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

    @cached_property
    def key(self) -> object:
        shapes = {name: array.shape for name, array in self.arrays.arrays.items()}
        return tuple(sorted((n, shapes[n], self.arrays.types[n]) for n in shapes)), self.counted


@contextlib.contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a client's file is an InputError that does not name it.

    A file that breaks its importer is refused as any other: it must not end what goes on beside it.
    """
    try:
        yield
    except LomarError as error:
        raise InputError(str(error).removeprefix(f"{printable(str(path))}: ")) from None
    except MemoryError:
        raise InputError("does not fit into memory; --max-bytes refuses it unread") from None
    except Exception as error:
        why = f"{type(error).__name__}: {printable(str(error), 200)}"
        raise InputError(f"cannot be read, by a defect of lomar ({why})") from None


def unlike(layouts: Mapping[str, Layout], who: str = "clients sent") -> dict[str, str]:
    """Files that do not look like most of them, with the reason; by name.

    Nobody can make all others look wrong by coming first: the commonest layout counts, of equally
    common ones that of the first name. ``who`` is what has these layouts, for the reasons.
    """
    if not layouts:
        return {}
    names = sorted(layouts)
    counts = Counter(layouts[name].key for name in names)
    commonest = counts.most_common(1)[0][0]
    model = next(layouts[name] for name in names if layouts[name].key == commonest)
    most = f"what {counts[commonest]} of {len(names)} {who}"
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
