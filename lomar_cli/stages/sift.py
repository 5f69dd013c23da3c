"""Which of many client files can be used together, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lomar_cli.errors import InputError
from lomar_cli.files.importers import registry
from lomar_cli.files.importers.base import One
from lomar_cli.files.round import check_clients
from lomar_cli.files.text import listed, printable
from lomar_cli.stages.client_files import chosen, client_name, compare
from lomar_cli.stages.layout import Layout, unlike


@dataclass(frozen=True)
class Sifted:
    """The files to use, in order, what was passed over, and why each of the others is refused."""

    files: Sequence[Path]
    ignored: Sequence[Path]
    refused: dict[Path, str]

    @property
    def looked_at(self) -> int:
        """How many files were read."""
        return len(self.files) + len(self.refused)

    def warning(self) -> str | None:
        """A sentence that names what was refused, with the reasons of the first few."""
        if not self.refused:
            return None
        shown = [f"{printable(p.name, 60)} ({why})" for p, why in self.refused.items()]
        return f"skipped {len(shown)} of {self.looked_at} files: {listed(shown)}"


def sift(
    paths: Sequence[Path],
    max_bytes: int,
    layers: Sequence[str] | None = None,
    base: One | None = None,
    pattern: str | None = None,
    advance: Callable[[int], None] = lambda count: None,
    begin: Callable[[int], None] = lambda total: None,
) -> Sifted:
    """Read every file among ``paths`` (files or folders) to its end and part good from bad.

    Refused is what cannot be read, has a client's name that may not be or that another file has,
    or differs in names, shapes or types from ``base`` and from what most files hold. InputError
    when less than half of the files are left: then nobody can say what is right.
    """
    files, ignored = registry.find_clients(paths)
    refused: dict[Path, str] = {}
    layouts: dict[str, Layout] = {}
    names: dict[Path, list[str]] = {}
    begin(len(files))
    for path in files:
        try:
            names[path] = _names(path, max_bytes, pattern)
            layouts[str(path)] = _layout(path, max_bytes, layers, base)
        except InputError as error:
            refused[path] = _why(error, path)
        except MemoryError:
            refused[path] = "does not fit into memory; --max-bytes refuses it unread"
        advance(1)
    refused |= {Path(path): why for path, why in unlike(layouts).items()}
    # Who names its clients itself may not take the name of one that is named as its file.
    taken: dict[str, Path] = {}
    own = {path for path in names if names[path] == [client_name(path, pattern)]}
    for path in sorted(names, key=lambda path: path not in own):
        if path in refused:
            continue
        claimed = next((name for name in names[path] if name in taken), None)
        if claimed is not None and path not in own:
            other = printable(taken[claimed].name, 60)
            refused[path] = f"names a client '{printable(claimed, 40)}', as {other} does"
        else:
            taken |= dict.fromkeys(names[path], path)
    kept = [path for path in files if path not in refused]
    if 2 * len(kept) < len(files):
        first = next(path for path in files if path in refused)
        raise InputError(
            f"{printable(str(first))}: {refused[first]}; {len(refused)} of {len(files)} files are "
            "refused, so that nobody can say what is right"
        )
    return Sifted(kept, ignored, {path: refused[path] for path in files if path in refused})


def _names(path: Path, max_bytes: int, pattern: str | None) -> list[str]:
    inside = registry.importer(path).clients(path, max_bytes)
    if inside is None:
        inside = [client_name(path, pattern)]
    check_clients(inside, printable(str(path)))
    return inside


def _layout(path: Path, max_bytes: int, layers: Sequence[str] | None, base: One | None) -> Layout:
    first: Layout | None = None
    for found in registry.importer(path).read(path, max_bytes):
        one = chosen(found, layers, path)
        if first is None:
            first = Layout.of(one)
            if base is not None:
                compare(one, base, path, "the base model", base=True)
        else:
            compare(one, first.arrays, path, "its first client")
    if first is None:
        raise InputError(f"{printable(str(path))}: holds no clients")
    return first


def _why(error: InputError, path: Path) -> str:
    return str(error).removeprefix(f"{printable(str(path))}: ")
