"""The round file: every client's update of one round (``docs/format.md``, lomar/round).

A round may lie in several files (``shards``); it is read as if it lay in one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lomar_cli.files import h5
from lomar_cli.files.digests import Watch, client_digest, watched
from lomar_cli.files.joined import Joined
from lomar_cli.files.round_head import (
    RoundHead,
    check_clients,
    check_labels,
    decode_name,
    encode_name,
    read_head,
    read_output,
    read_parameters,
)
from lomar_cli.files.round_writing import RoundWriter, chunk_shape, create_round, write_output
from lomar_cli.files.shards import (
    RoundFile,
    Shard,
    check_different,
    check_digests,
    in_order,
    merged_head,
    read_shard,
    set_sha256,
)
from lomar_cli.files.stretches import Consumer, ahead, width
from lomar_cli.files.updates import Updates

__all__ = [
    "DEFAULT_MEMORY",
    "Paths",
    "Round",
    "RoundFile",
    "RoundHead",
    "RoundWriter",
    "Shard",
    "as_paths",
    "check_clients",
    "check_labels",
    "chunk_shape",
    "client_digest",
    "create_round",
    "decode_name",
    "encode_name",
    "open_round",
    "open_rounds",
    "read_head",
    "read_output",
    "read_parameters",
    "write_output",
]

DEFAULT_MEMORY = 2 * 2**30
# One file, or those of a set.
Paths = Path | Sequence[Path]


@dataclass(frozen=True)
class Round:
    """A round as read: its head, its updates, and where it comes from.

    ``path`` is the file it lies in, or the first of ``files``, in their order. ``sha256`` is the
    digest of the file, or of the set.
    """

    path: Path
    head: RoundHead
    updates: Updates
    sha256: str
    provenance: h5.Provenance
    files: Sequence[RoundFile] = ()

    def inputs(self) -> dict[str, str]:
        """The digests that provenance names it by: the round's, and those of its several files."""
        if len(self.files) < 2:
            return {"round": self.sha256}
        parts = {f"part_{place}": one.sha256 for place, one in enumerate(self.files, 1)}
        return {"round": self.sha256, **parts}


def as_paths(paths: Paths) -> list[Path]:
    return [paths] if isinstance(paths, Path) else list(paths)


@contextlib.contextmanager
def open_round(
    path: Path,
    memory: int = DEFAULT_MEMORY,
    max_bytes: int = h5.DEFAULT_MAX_BYTES,
    verify: bool = True,
    consumer: Callable[[RoundHead], Consumer | None] | None = None,
) -> Iterator[Round]:
    """Yield the round in the one file ``path``, which may be a shard: see :func:`open_rounds`."""
    with h5.open_read(path, "round", max_bytes) as reader:
        files = [_file(reader, verify)]
        yield _read([reader], files, memory, verify, consumer)


@contextlib.contextmanager
def open_rounds(
    paths: Paths,
    memory: int = DEFAULT_MEMORY,
    max_bytes: int = h5.DEFAULT_MAX_BYTES,
    verify: bool = True,
    consumer: Callable[[RoundHead], Consumer | None] | None = None,
    updates: bool = True,
) -> Iterator[Round]:
    """Yield the round in ``paths``; its tensors are arrays when they fit ``memory``, else in files.

    Every byte is checked against the stored digests (``verify``). NaN and infinity are let
    through: a client may send them, and it is the scorer's work to say so. Without ``updates``
    theirs stay unread, and what stands beside them is checked alone.

    Where the tensors do not fit, they are read once for the check, in stretches that fit, and what
    ``consumer`` makes of the head is fed these too, so that it needs no reading of its own: the
    next stretch is read and checked, on a thread of its own, while it looks at the last.

    Several files are one round of all their clients, file after file, shards by their numbers.
    InputError where they are of different models, name a client twice, or a shard is missing.
    """
    paths = as_paths(paths)
    check_different(paths)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(h5.open_read(path, "round", max_bytes)) for path in paths]
        of = {reader.path: reader for reader in opened}
        files = in_order([_file(reader, verify) for reader in opened])
        readers = [of[one.path] for one in files]
        yield _read(readers, files, memory if updates else -1, verify and updates, consumer)


def _file(reader: h5.Reader, verify: bool) -> RoundFile:
    head = read_head(reader)
    if verify:
        reader.check_digest()
    digests = reader.strings("clients/sha256", len(head.clients)) if verify else []
    return RoundFile(reader.path, head, reader.content_sha256(), read_shard(reader), digests)


def _read(
    readers: Sequence[h5.Reader],
    files: Sequence[RoundFile],
    memory: int,
    verify: bool,
    consumer: Callable[[RoundHead], Consumer | None] | None,
) -> Round:
    head = merged_head(files)
    sets = {
        name: [reader.dataset(f"updates/{encode_name(name)}") for reader in readers]
        for name in head.shapes
    }
    total = sum(s.size * s.dtype.itemsize for parts in sets.values() for s in parts)
    paths = [one.path for one in files]
    tensors: dict[str, Any] = {
        name: parts[0] if len(parts) == 1 else Joined(parts, paths) for name, parts in sets.items()
    }
    magnitudes = None
    if total <= memory:
        with h5.damage(paths[0], "updates"):
            tensors = {n: t.whole() if isinstance(t, Joined) else t[:] for n, t in tensors.items()}
    if verify:
        if total <= memory:
            found = [client_digest(tensors, row) for row in range(len(head.clients))]
        else:
            watch, looker = Watch(tensors), consumer(head) if consumer else None
            read = watched(paths[0], tensors, width(memory), watch)
            # Closed, the thread has ended before the files are.
            with contextlib.closing(ahead(read) if looker else read) as coming:
                for stretch in coming:
                    if looker:
                        looker.feed(stretch)
            found, magnitudes = watch.digests(), watch.magnitudes
        check_digests(files, found)
    updates = Updates(
        head.clients,
        head.num_examples,
        tensors,
        head.output,
        head.labels,
        magnitudes,
        head.buffers,
    )
    steps: h5.Provenance = []
    for reader in readers:
        steps += [step for step in reader.provenance() if step not in steps]
    return Round(paths[0], head, updates, set_sha256(files), steps, files)
