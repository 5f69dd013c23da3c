"""Check files of ours, each by itself and against the files that its provenance names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.errors import InputError
from lomar_cli.files import h5
from lomar_cli.files.model import read_model
from lomar_cli.files.provenance import file_sha256
from lomar_cli.files.round import open_round
from lomar_cli.files.scores import read_scores
from lomar_cli.files.stored_types import read_types
from lomar_cli.files.text import listed, printable
from lomar_cli.stages.describe import describe
from lomar_cli.stages.validate_sets import sets

_BLOCK = 32 * 2**20


@dataclass
class Checked:
    """What was found of one file.

    ``error`` is None for a valid file. ``inputs`` are those that its provenance names, each with
    the given file that it is, or None. ``warnings`` tell what is allowed, yet seldom meant.
    """

    file: Path
    kind: str | None = None
    sha256: str | None = None
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    inputs: list[dict[str, Any]] = field(default_factory=list)
    provenance: h5.Provenance = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As ``lomar validate --json`` prints it."""
        return {
            "file": str(self.file),
            "valid": self.error is None,
            "kind": self.kind,
            "sha256": self.sha256,
            "error": self.error,
            "warnings": self.warnings,
            "inputs": self.inputs,
        }


def validate(paths: Sequence[Path]) -> list[Checked]:
    """Check every file (of a folder: its ``.h5`` files), then what they say of one another.

    Each is read whole: schema, ranges, digests, finite numbers where these are promised. An input
    that a file's provenance names by its SHA-256 is looked for among the given files. Nothing is
    raised for a bad file; its ``error`` says what is wrong. InputError for a folder without files.
    """
    found = [_check(path) for path in _files(paths)]
    known: dict[str, list[Checked]] = {}
    for checked in found:
        for digest in _identities(checked):
            known.setdefault(digest, []).append(checked)
    _check_sets(found, known)
    for checked in found:
        if checked.error is None:
            _check_chain(checked, known)
            try:
                _check_against(checked, known)
            except InputError as error:
                checked.error = str(error)
    return found


def _check_sets(found: Sequence[Checked], known: dict[str, list[Checked]]) -> None:
    """Warn of shards whose set is not whole, and make whole sets known by their digests."""
    rounds = {one.file: one for one in found if one.error is None and one.kind == "round"}
    whole, faults = sets(list(rounds))
    for path, fault in faults.items():
        rounds[path].warnings.append(fault.removeprefix(f"{printable(str(path))}: "))
    for path, digest, steps in whole:
        known.setdefault(digest, []).append(Checked(path, "set", digest, provenance=steps))


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                p
                for p in path.iterdir()
                if p.suffix.lower() in (".h5", ".hdf5") and not p.name.startswith(".")
            )
            if not inside:
                raise InputError(f"{printable(str(path))}: holds no .h5 files; name the files")
            found.extend(inside)
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def _check(path: Path) -> Checked:
    checked = Checked(path)
    try:
        facts = describe(path)
        checked.kind = facts["kind"]
        checked.provenance = facts.get("provenance") or []
        checked.sha256 = facts.get("sha256") or file_sha256(path)
        if checked.kind == "round":
            with h5.open_read(path) as reader:
                read_types(reader)
            checked.warnings += _not_finite(path)
    except InputError as error:
        checked.error = str(error)
    return checked


def _identities(checked: Checked) -> list[str]:
    """The digests that provenance may know a file by: its content's, a model's, its bytes'."""
    if checked.error is not None or checked.sha256 is None:
        return []
    found = [checked.sha256]
    if checked.kind == "model":
        found.append(read_model(checked.file).sha256)
    return found


def _not_finite(path: Path) -> list[str]:
    """Clients of a round with NaN or infinity: a client may send them, a person wants to know."""
    with open_round(path, verify=False) as found:
        clients = found.head.clients
        bad = np.zeros(len(clients), dtype=bool)
        for tensor in found.updates.tensors.values():
            rows = max(1, _BLOCK // (8 * prod(tensor.shape[1:])))
            for start in range(0, len(clients), rows):
                block = np.asarray(tensor[start : start + rows])
                bad[start : start + rows] |= ~np.isfinite(block.reshape(len(block), -1)).all(axis=1)
    names = [printable(clients[row], 40) for row in np.flatnonzero(bad).tolist()]
    if not names:
        return []
    return [f"NaN or infinity in the updates of {listed(names)}"]


def _check_chain(checked: Checked, known: dict[str, list[Checked]]) -> None:
    """Find the inputs of all stages; warn where a file's own past is not in the chain."""
    for step in checked.provenance:
        for role, digest in dict(step.get("inputs") or {}).items():
            there = known.get(str(digest), [])
            checked.inputs.append(
                {
                    "stage": step.get("stage"),
                    "role": role,
                    "sha256": digest,
                    "file": str(there[0].file) if there else None,
                }
            )
            # The same content may have come about in several ways: one of them is enough. Metrics
            # tell of their own stage only.
            told = checked.kind == "metrics" or not there
            if not told and not any(_within(one.provenance, checked.provenance) for one in there):
                checked.warnings.append(
                    f"provenance: the stages that led to {printable(there[0].file.name)} "
                    f"({printable(str(role), 40)}) are not all there"
                )


def _within(steps: h5.Provenance, chain: h5.Provenance) -> bool:
    return all(step in chain for step in steps)


def _check_against(checked: Checked, known: dict[str, list[Checked]]) -> None:
    """Raise InputError where a file contradicts one that it names and that is there."""
    shown = printable(str(checked.file))
    if checked.kind == "scores":
        scores = read_scores(checked.file)
        for other in known.get(scores.round_sha256, []):
            if other.kind != "round":
                continue
            with open_round(other.file, verify=False) as found:
                if scores.clients != list(found.head.clients):
                    name = printable(other.file.name)
                    raise InputError(f"{shown}: client: the clients are not those of {name}")
    if checked.kind == "round":
        with open_round(checked.file, verify=False) as found:
            head = found.head
        for other in known.get(head.base_sha256, []):
            if other.kind != "model":
                continue
            base = read_model(other.file)
            if {n: tuple(a.shape) for n, a in base.parameters.items()} != dict(head.shapes):
                name = printable(other.file.name)
                raise InputError(f"{shown}: updates: the parameters are not those of {name}")
