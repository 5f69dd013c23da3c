"""Which of many client files can be used together, and what is wrong with the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lomar_cli.errors import InputError
from lomar_cli.files.importers import registry
from lomar_cli.files.importers.base import One
from lomar_cli.files.round import check_clients
from lomar_cli.files.text import printable
from lomar_cli.stages.client_files import (
    ClientFiles,
    check_pattern,
    chosen,
    client_name,
    compare,
)
from lomar_cli.stages.layout import Layout, refusing, unlike

# So many of the refused are told one by one.
_TOLD = 100


@dataclass(frozen=True)
class Wanted:
    """What a client's file must be like.

    ``layers`` are patterns of arrays to look at, ``base`` is the base model, ``pattern`` finds a
    client's name in a path, and ``counted`` are the clients whose samples are counted elsewhere
    (None: by their files, if at all).
    """

    max_bytes: int
    layers: Sequence[str] | None = None
    base: One | None = None
    pattern: str | None = None
    counted: Collection[str] | None = None


@dataclass(frozen=True)
class Sifted:
    """The ``clients`` to use, and why each of the other files is refused.

    ``names`` are what the refused are called: a client, or a file of many.
    """

    clients: ClientFiles
    refused: dict[Path, str]
    names: list[str]

    @property
    def looked_at(self) -> int:
        """How many files were read."""
        return len(self.clients.files) + len(self.refused)

    def warnings(self) -> list[str]:
        """A sentence for each file that was refused, of very many for the first of them."""
        found = [
            f"skipped {printable(str(path))}: {why}"
            for path, why in list(self.refused.items())[:_TOLD]
        ]
        if found:
            more = len(self.refused) - len(found)
            rest = f", {more} of them not named here" if more else ""
            found.append(f"skipped {len(self.refused)} of {self.looked_at} files{rest}")
        return found


@dataclass(frozen=True)
class _Seen:
    """A file's layout and clients; ``own`` where they are named in it."""

    layout: Layout
    names: list[str]
    own: bool


def sift(
    paths: Sequence[Path],
    wanted: Wanted,
    advance: Callable[[int], None] = lambda count: None,
    begin: Callable[[int], None] = lambda total: None,
) -> Sifted:
    """Read every file among ``paths`` (files or folders) to its end and part good from bad.

    Refused is what cannot be read, has a client's name that may not be or that another file has,
    or differs in names, shapes or types from the base model and from what most files hold. Where
    two files have one name both are refused, unless one of them is called by it and the other
    names its clients itself. InputError unless more than half of the files, and of the clients in
    those that could be read, are left: otherwise nobody can say what is right.
    """
    check_pattern(wanted.pattern)
    files, ignored = registry.find_clients(paths)
    files = list(dict.fromkeys(files))
    refused: dict[Path, str] = {}
    seen: dict[Path, _Seen] = {}
    layouts: dict[object, Layout] = {}
    begin(len(files))
    for path in files:
        try:
            with refusing(path):
                one = _look(path, wanted)
            # Thousands of files have one layout: it is kept once.
            layout = layouts.setdefault(one.layout.key, one.layout)
            seen[path] = replace(one, layout=layout)
        except InputError as error:
            refused[path] = str(error)
        advance(1)
    odd = unlike({str(path): one.layout for path, one in seen.items()}, "files hold")
    refused |= {Path(path): why for path, why in odd.items()}
    refused |= _twice({path: one for path, one in seen.items() if path not in refused})
    kept = [path for path in files if path not in refused]
    _check_most(files, kept, refused, seen)
    clients = [name for path in kept for name in seen[path].names]
    gone = {path: refused[path] for path in files if path in refused}
    names = sorted(
        printable(name, 60)
        for path in gone
        for name in (seen[path].names if path in seen and not seen[path].own else [path.stem])
    )
    return Sifted(ClientFiles(kept, clients, ignored), gone, names)


def _look(path: Path, wanted: Wanted) -> _Seen:
    inside = registry.importer(path).clients(path, wanted.max_bytes)
    names = [client_name(path, wanted.pattern)] if inside is None else inside
    check_clients(names, printable(str(path)))
    if wanted.counted is not None:
        for name in names:
            if name not in wanted.counted:
                raise InputError(f"--weights has no line for client '{printable(name, 40)}'")
    first: Layout | None = None
    read = 0
    for found in registry.importer(path).read(path, wanted.max_bytes):
        one = chosen(found, wanted.layers, path)
        read += 1
        if first is None:
            first = Layout.of(one)
            if wanted.base is not None:
                compare(one, wanted.base, path, "the base model", base=True)
        else:
            compare(one, first.arrays, path, "its first client")
    if first is None or read != len(names):
        raise InputError(f"names {len(names)} clients and holds {read}")
    if wanted.counted is not None:
        first = replace(first, counted=False)
    return _Seen(first, names, inside is not None)


def _twice(seen: dict[Path, _Seen]) -> dict[Path, str]:
    """Files with a client's name that another has, too; who is called by it is right."""
    called = Counter(name for one in seen.values() if not one.own for name in one.names)
    claimed = Counter(name for one in seen.values() if one.own for name in one.names)
    found = {}
    for path, one in seen.items():
        for name in one.names:
            others = called[name] + claimed[name] - 1 if one.own else called[name] - 1
            if others > 0:
                found[path] = f"another file is of the client '{printable(name, 40)}', too"
                break
    return found


def _check_most(
    files: Sequence[Path],
    kept: Sequence[Path],
    refused: dict[Path, str],
    seen: dict[Path, _Seen],
) -> None:
    clients = sum(len(seen[path].names) for path in kept)
    everybody = sum(len(one.names) for one in seen.values())
    if not refused or (2 * len(kept) > len(files) and 2 * clients > everybody):
        return
    first = next(path for path in files if path in refused)
    raise InputError(
        f"{printable(str(first))}: {refused[first]}; {len(refused)} of {len(files)} files are "
        "refused, so that nobody can say what is right (--base-model would)"
    )
