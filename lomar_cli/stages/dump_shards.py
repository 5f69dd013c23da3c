"""Which file of a set of shards takes which clients of a new round."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lomar_cli.errors import UsageError
from lomar_cli.files.atomic import check_output
from lomar_cli.files.round import Shard
from lomar_cli.files.text import printable

# Where a shard's number goes in the name of its file.
PLACE = "{}"


@dataclass(frozen=True)
class Target:
    """A file for clients ``start`` to ``stop``; ``of`` so many shards it is the ``number``-th.

    ``of`` is None for a round in one file.
    """

    path: Path
    start: int
    stop: int
    number: int = 1
    of: int | None = None

    def shard(self, before: str) -> Shard | None:
        """What is written of it, after the shard with the digest ``before``."""
        return None if self.of is None else Shard(self.number, self.of, before)


def check_name(output: Path, shard: int | None) -> None:
    """UsageError unless ``output`` says where a shard's number goes, where there are shards."""
    shown = printable(str(output))
    if shard is None:
        return
    if shard < 1:
        raise UsageError(f"--shard {shard}: must be at least 1 client a file")
    if output.name.count(PLACE) != 1 or PLACE in str(output.parent):
        raise UsageError(
            f"-o {shown}: --shard writes several files; say where their number goes, once, in the "
            "file's name: -o 'round-{}.h5'"
        )


def targets(output: Path, clients: int, shard: int | None, force: bool) -> list[Target]:
    """The files of a round of so many clients, at most ``shard`` in each, all free to be written.

    Numbers count from 1 and have equally many digits, so that names sort.
    """
    if shard is None:
        check_output(output, force)
        return [Target(output, 0, clients)]
    of = -(-clients // shard)
    digits = len(str(of))
    found = []
    for number in range(1, of + 1):
        path = output.with_name(output.name.replace(PLACE, str(number).zfill(digits)))
        check_output(path, force)
        start = (number - 1) * shard
        found.append(Target(path, start, min(start + shard, clients), number, of))
    return found


def left_over(output: Path, written: Sequence[Target]) -> list[Path]:
    """Files named as further shards would be: an earlier set's, which a pattern would catch."""
    if written[0].of is None:
        return []
    before, after = output.name.split(PLACE)
    named = re.compile(re.escape(before) + r"\d+" + re.escape(after))
    ours = {target.path.name for target in written}
    there = (path for path in output.parent.iterdir() if named.fullmatch(path.name))
    return sorted(path for path in there if path.name not in ours)
