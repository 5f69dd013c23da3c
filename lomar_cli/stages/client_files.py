"""The clients in a number of files: who they are, and their arrays one by one, all alike."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path

from lomar_cli.errors import ClientFileError, InputError, UsageError
from lomar_cli.files.importers import registry
from lomar_cli.files.importers.base import One
from lomar_cli.files.round import check_clients
from lomar_cli.files.text import listed, printable


@dataclass(frozen=True)
class ClientFiles:
    """``names`` are all clients, in order; each of ``files`` holds one of them or several."""

    files: Sequence[Path]
    names: Sequence[str]
    ignored: Sequence[Path]

    @classmethod
    def find(cls, paths: Sequence[Path], max_bytes: int, pattern: str | None = None) -> ClientFiles:
        """Look for client files among ``paths``, files or folders.

        A client is named as its file, or by the first group (or all) of what the regular
        expression ``pattern`` finds in the file's path; clients of a file that names them keep
        their names.
        """
        check_pattern(pattern)
        files, ignored = registry.find_clients(paths)
        names: list[str] = []
        for path in files:
            with _of_a_client():
                inside = registry.importer(path).clients(path, max_bytes)
                if inside is not None:
                    check_clients(inside, printable(str(path)))
            names += [client_name(path, pattern)] if inside is None else inside
        check_clients(
            names,
            "client files (a client is named as its file; --client-pattern takes another part of "
            "the path)",
        )
        return cls(files, names, ignored)

    def read(self, max_bytes: int, layers: Sequence[str] | None) -> Iterator[tuple[Path, One]]:
        """Each client's arrays, checked to be as the first one's; ``layers`` are patterns."""
        first: One | None = None
        for path, then in zip_longest(self.files, self.files[1:]):
            if then is not None:
                _read_ahead(then)
            with _of_a_client():
                stream = registry.importer(path).read(path, max_bytes)
            while True:
                with _of_a_client():
                    found = next(stream, None)
                if found is None:
                    break
                # What the first has none of, the operator may have mistyped.
                first = first or chosen(found, layers, path)
                with _of_a_client():
                    one = chosen(found, layers, path)
                    compare(one, first, path, printable(self.files[0].name))
                yield path, one


def chosen(found: One, layers: Sequence[str] | None, path: Path) -> One:
    """Only the arrays whose names match a pattern (None: all); each must match something."""
    if layers is None:
        return found
    if not layers:
        raise UsageError("--layers: names nothing; give names or patterns, such as fc.*")
    for pattern in layers:
        if not any(fnmatchcase(name, pattern) for name in found.arrays):
            listed = ", ".join(printable(name, 40) for name in list(found.arrays)[:12])
            raise InputError(
                f"{printable(str(path))}: --layers: nothing matches '{pattern}' "
                f"(there are: {listed})"
            )
    names = [n for n in found.arrays if any(fnmatchcase(n, p) for p in layers)]
    return One(
        {n: found.arrays[n] for n in names}, {n: found.types[n] for n in names}, found.num_examples
    )


def compare(one: One, first: One, path: Path, other: str, base: bool = False) -> None:
    """Refuse arrays whose names, shapes or types differ from the first client's.

    A ``base`` model may be in float32 where clients send half precision, or the other way round.
    """
    shown = printable(str(path))
    compare_shapes(one, {name: array.shape for name, array in first.arrays.items()}, path, other)
    for name in one.arrays:
        mine, theirs = one.types[name], first.types[name]
        if mine != theirs and not (base and _wide(mine) == _wide(theirs)):
            raise InputError(
                f"{shown}: {printable(name)}: has type {mine}, {other} has {theirs}; all clients "
                "must send one type"
            )


def compare_shapes(one: One, shapes: Mapping[str, tuple[int, ...]], path: Path, other: str) -> None:
    """Refuse arrays whose names or shapes differ from those that ``other`` has."""
    shown = printable(str(path))
    for name in shapes:
        if name not in one.arrays:
            raise InputError(f"{shown}: {printable(name)}: is missing, {other} has it")
    for name, array in one.arrays.items():
        if name not in shapes:
            raise InputError(f"{shown}: {printable(name)}: is there, but not in {other}")
        shape, wanted = array.shape, shapes[name]
        if shape != wanted:
            raise InputError(f"{shown}: {printable(name)}: has shape {shape}, {other} has {wanted}")


def client_counts(
    names: Sequence[str], inside: Sequence[int | None], given: Mapping[str, int] | None, source: str
) -> list[int]:
    """Sample counts: those ``given`` beside the files, else those in them, else 1 for everybody."""
    if given is not None:
        for name in names:
            if name not in given:
                raise InputError(f"{source}: has no line for client '{printable(name, 40)}'")
        return [given[name] for name in names]
    said = [count for count in inside if count is not None]
    if not said:
        return [1] * len(names)
    for name, count in zip(names, inside, strict=True):
        if count is None:
            raise ClientFileError(
                f"client '{printable(name, 40)}': its file has no num_examples, {len(said)} of "
                f"{len(names)} have; give all of them with --weights"
            )
    return said


def idle_warning(names: Sequence[str], counts: Sequence[int]) -> str | None:
    """A sentence that names clients without samples: who said so, or said what is no number."""
    idle = [printable(n, 40) for n, count in zip(names, counts, strict=True) if count == 0]
    if not idle:
        return None
    return (
        f"no samples, or an impossible number of them, claimed by {listed(idle)}; 0 is stored, and "
        "`lomar score` flags who has none"
    )


@contextlib.contextmanager
def _of_a_client() -> Iterator[None]:
    """Tell what is wrong with a client's file from what is wrong with the operator's."""
    try:
        yield
    except InputError as error:
        raise ClientFileError(str(error)) from None


def _read_ahead(path: Path) -> None:
    """Let the kernel read a file that is wanted soon; no more than a hint."""
    if not hasattr(os, "posix_fadvise"):
        return
    # What is wrong with the file, its reader will say.
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_WILLNEED)
        finally:
            os.close(handle)


def _wide(kind: str) -> str:
    return "float32" if kind in ("float16", "bfloat16") else kind


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--client-pattern {printable(pattern)}: is no regular expression ({error})"
        ) from None


def check_pattern(pattern: str | None) -> None:
    """UsageError for what is no regular expression."""
    if pattern is not None:
        _compiled(pattern)


def client_name(path: Path, pattern: str | None) -> str:
    """The one client of a file that names none: after its name, or what ``pattern`` finds."""
    if pattern is None:
        return registry.client_name(path)
    expression = _compiled(pattern)
    found = expression.search(path.as_posix())
    if found is None:
        raise UsageError(
            f"--client-pattern: finds nothing in {printable(path.as_posix())}; it is looked for in "
            "the whole path"
        )
    return str((found[1] if expression.groups else found[0]) or "")
