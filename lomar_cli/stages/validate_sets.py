"""Shards among the files that are checked: are they whole rounds, and of one model?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lomar_cli.errors import InputError
from lomar_cli.files import h5
from lomar_cli.files.round import RoundFile, open_round
from lomar_cli.files.shards import merged_head, set_of, set_sha256


def sets(paths: Sequence[Path]) -> tuple[list[tuple[Path, str, h5.Provenance]], dict[Path, str]]:
    """The sets of shards among valid round files, and what is wrong with the others, by file.

    Of each set its first file, its digest and its provenance. A fault is a sentence.
    """
    files: list[RoundFile] = []
    steps: dict[Path, h5.Provenance] = {}
    for path in paths:
        with open_round(path, -1, verify=False) as found:
            (one,) = found.files
            if one.shard is not None and one.shard.of > 1:
                files.append(one)
                steps[path] = found.provenance
    found_sets, faults = [], {}
    left = list(files)
    while left:
        try:
            chain = set_of(left[0], files)
            merged_head(chain)
        except InputError as error:
            faults[left[0].path] = str(error)
            left = left[1:]
            continue
        told: h5.Provenance = []
        for one in chain:
            told += [step for step in steps[one.path] if step not in told]
        found_sets.append((chain[0].path, set_sha256(chain), told))
        left = [one for one in left if one not in chain]
    return found_sets, faults
