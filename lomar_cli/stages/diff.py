"""Say what differs between two files of one kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.errors import UsageError
from lomar_cli.files import h5
from lomar_cli.files.model import read_model
from lomar_cli.files.round import open_round
from lomar_cli.files.score_table import KINDS
from lomar_cli.files.scores import FIXED, read_scores
from lomar_cli.files.split import read_split
from lomar_cli.files.text import printable
from lomar_cli.files.truth import read_json, read_truth
from lomar_cli.stages.describe import describe


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    ``about`` is settings, provenance, clients, parameters, samples, columns, decisions, groups or
    values; ``field`` says which; ``a`` and ``b`` are what the files hold (None: nothing). Of
    numbers that are many, ``largest`` is the largest absolute difference (None where one is NaN and
    the other is not), and ``at`` the client where it is.
    """

    about: str
    field: str
    a: Any
    b: Any
    largest: float | None = None
    at: str | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Diff:
    """What differs between two files of ``kind``; nothing if they say the same."""

    kind: str
    differences: list[Difference]


def diff(first: Path, second: Path, tolerance: float = 0.0) -> Diff:
    """Compare two files of ours; numbers that differ by no more than ``tolerance`` are the same.

    Both are read whole and checked as every reader checks them. What the bytes are, which version
    wrote them, and how HDF5 lays them out makes no difference. UsageError for two kinds of file.
    """
    facts = [describe(path) for path in (first, second)]
    kinds = [str(found["kind"]) for found in facts]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"{printable(str(first))} holds {kinds[0]}, {printable(str(second))} holds "
            f"{kinds[1]}: two files of one kind can be compared"
        )
    compare: dict[str, Callable[[Path, Path, float], Iterator[Difference]]] = {
        "round": _rounds,
        "model": _models,
        "split": _splits,
        "scores": _scores,
        "truth": _truths,
        "metrics": _metrics,
    }
    found = list(compare[kinds[0]](first, second, tolerance))
    chains = [one.get("provenance") or [] for one in facts]
    if kinds[0] != "metrics" and (kinds[0] != "scores" or all(chains)):
        found += _provenance(chains[0], chains[1])
    return Diff(kinds[0], found)


def _settings(about: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys([*a, *b]):
        one, other = a.get(name), b.get(name)
        if one != other and not (one != one and other != other):
            yield Difference(about, name, one, other)


def _provenance(a: h5.Provenance, b: h5.Provenance) -> Iterator[Difference]:
    """Stage by stage: options, inputs and seed; versions of the program make no difference."""
    stages = [[str(step.get("stage")) for step in chain] for chain in (a, b)]
    if stages[0] != stages[1]:
        yield Difference("provenance", "stages", stages[0], stages[1])
        return
    for number, (one, other) in enumerate(zip(a, b, strict=True), start=1):
        where = f"{number} {one.get('stage')}"
        yield from _settings("provenance", _flat(where, one), _flat(where, other))


def _flat(where: str, step: Mapping[str, Any]) -> dict[str, Any]:
    found = {f"{where}: {name}": value for name, value in dict(step.get("options") or {}).items()}
    for role, digest in dict(step.get("inputs") or {}).items():
        found[f"{where}: input {role}"] = digest
    found[f"{where}: seed"] = step.get("seed")
    return found


def _clients(a: Sequence[str], b: Sequence[str]) -> Iterator[Difference]:
    only = [name for name in a if name not in set(b)], [name for name in b if name not in set(a)]
    if only[0] or only[1]:
        yield Difference("clients", "only in one", only[0], only[1])
    elif list(a) != list(b):
        yield Difference("clients", "order", list(a), list(b))


def _common(a: Sequence[str], b: Sequence[str]) -> list[tuple[str, int, int]]:
    places = {name: row for row, name in enumerate(b)}
    return [(name, row, places[name]) for row, name in enumerate(a) if name in places]


def _distance(a: Any, b: Any) -> float:
    """The largest absolute difference; NaN equals NaN, infinity itself, and nothing else."""
    one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(one - other)
    apart = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, apart)
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0.0))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rounds(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    with open_round(first) as a, open_round(second) as b:
        yield from _settings("settings", _head(a.head), _head(b.head))
        yield from _clients(a.head.clients, b.head.clients)
        common = _common(a.head.clients, b.head.clients)
        counts = a.head.num_examples, b.head.num_examples
        for name, one, other in common:
            if counts[0][one] != counts[1][other]:
                pair = int(counts[0][one]), int(counts[1][other])
                yield Difference("clients", f"num_examples of {name}", pair[0], pair[1])
        shapes = [{n: _kind(h.dtypes[n], s) for n, s in h.shapes.items()} for h in (a.head, b.head)]
        yield from _settings("parameters", shapes[0], shapes[1])
        for name in shapes[0]:
            if shapes[0][name] != shapes[1].get(name):
                continue
            apart = [
                (_distance(a.updates.tensors[name][one], b.updates.tensors[name][other]), client)
                for client, one, other in common
            ]
            differ = [entry for entry in apart if entry[0] > tolerance]
            if differ:
                largest, at = max(differ)
                what = f"{len(differ)} of {len(common)} clients"
                yield Difference("parameters", name, what, what, _number(largest), at)


def _head(head: Any) -> dict[str, Any]:
    return {
        "round_number": head.round_number,
        "base_sha256": head.base_sha256 or None,
        "architecture": head.architecture or None,
        "output_layer": asdict(head.output) if head.output else None,
        "labels": list(head.labels),
        "order of parameters": list(head.shapes),
    }


def _kind(dtype: Any, shape: Sequence[int]) -> str:
    return f"{np.dtype(dtype).newbyteorder('=')} {list(shape)}"


def _models(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    a, b = read_model(first), read_model(second)
    heads = [
        {
            "round_number": model.round_number,
            "architecture": model.architecture or None,
            "output_layer": asdict(model.output) if model.output else None,
            "labels": list(model.labels),
        }
        for model in (a, b)
    ]
    yield from _settings("settings", *heads)
    shapes = [{n: _kind(v.dtype, v.shape) for n, v in m.parameters.items()} for m in (a, b)]
    yield from _settings("parameters", *shapes)
    for name in shapes[0]:
        if shapes[0][name] == shapes[1].get(name):
            largest = _distance(a.parameters[name], b.parameters[name])
            if largest > tolerance:
                yield Difference("parameters", name, shapes[0][name], shapes[0][name], largest)


def _splits(first: Path, second: Path, _: float) -> Iterator[Difference]:
    a, b = read_split(first), read_split(second)
    names = ("dataset", "dataset_sha256", "train_size", "scheme", "options", "data_options")
    heads = [
        {**{name: getattr(split, name) for name in names}, "labels": list(split.labels)}
        for split in (a, b)
    ]
    yield from _settings("settings", *heads)
    yield from _clients(a.clients, b.clients)
    for client, one, other in _common(a.clients, b.clients):
        if not np.array_equal(a.samples[one], b.samples[other]):
            counts = [f"{len(a.samples[one])} samples", f"{len(b.samples[other])} samples"]
            yield Difference("samples", client, counts[0], counts[1])
    seen = [_relabelled(split) for split in (a, b)]
    yield from _settings("samples", *seen)


def _relabelled(split: Any) -> dict[str, Any]:
    """Of each client whose samples see other labels or carry a trigger: how many, and which."""
    offsets, overlay, stamp = split.offsets, split.overlay, split.stamp
    found: dict[str, Any] = {}
    for row, client in enumerate(split.clients):
        inside = (overlay.position >= offsets[row]) & (overlay.position < offsets[row + 1])
        if inside.any():
            places = (overlay.position[inside] - offsets[row]).tolist()
            labels = zip(places, overlay.label[inside].tolist(), strict=True)
            found[f"labels seen by {client}"] = [f"{p}: {split.labels[v]}" for p, v in labels]
        if stamp is not None:
            own = (stamp.position >= offsets[row]) & (stamp.position < offsets[row + 1])
            if own.any():
                found[f"triggers of {client}"] = (stamp.position[own] - offsets[row]).tolist()
    if stamp is not None:
        parts = (stamp.feature, stamp.value, stamp.piece)
        found["trigger"] = [stamp.target, *(part.tolist() for part in parts)]
    return found


def _scores(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    a, b = read_scores(first), read_scores(second)
    heads = [
        {
            "method": scores.method or None,
            "threshold": _number(scores.threshold),
            "round_sha256": scores.round_sha256 or None,
            "options": scores.options,
        }
        for scores in (a, b)
    ]
    if not (a.method and b.method):
        # A table in text does not tell: nothing to compare.
        heads = [{"round_sha256": found["round_sha256"]} for found in heads]
    yield from _settings("settings", *heads)
    yield from _clients(a.clients, b.clients)
    common = _common(a.clients, b.clients)
    keep = a.keep, b.keep
    for client, one, other in common:
        if keep[0][one] != keep[1][other]:
            said = ["keep" if keep[0][one] else "remove", "keep" if keep[1][other] else "remove"]
            yield Difference("decisions", client, said[0], said[1])
    names = [[n for n in scores.columns if n not in FIXED] for scores in (a, b)]
    if set(names[0]) != set(names[1]):
        yield Difference("columns", "names", names[0], names[1])
    shared = [n for n in names[0] if n in names[1]]
    for name in (n for n in shared if KINDS.get(n) is str):
        # Reasons are of FIXED: what is left are the clients' groups.
        for client, one, other in common:
            texts = str(a.columns[name][one]), str(b.columns[name][other])
            if texts[0] != texts[1]:
                yield Difference("groups", client, texts[0], texts[1])
    for name in ("num_examples", "suspicion", *(n for n in shared if KINDS.get(n) is not str)):
        apart = [
            (_distance(a.columns[name][one], b.columns[name][other]), client)
            for client, one, other in common
        ]
        differ = [entry for entry in apart if entry[0] > tolerance]
        if differ:
            largest, at = max(differ)
            what = f"{len(differ)} of {len(common)} clients"
            yield Difference("columns", name, what, what, _number(largest), at)


def _truths(first: Path, second: Path, _: float) -> Iterator[Difference]:
    a, b = read_truth(first), read_truth(second)
    yield from _clients(sorted(a.malicious), sorted(b.malicious))
    yield from _settings("settings", a.about, b.about)


def _metrics(first: Path, second: Path, tolerance: float) -> Iterator[Difference]:
    a, b = (dict(_leaves("", read_json(path))) for path in (first, second))
    for found in _settings("values", a, b):
        numbers = [v for v in (found.a, found.b) if isinstance(v, float | int)]
        if len(numbers) == 2:
            largest = abs(numbers[0] - numbers[1])
            if largest > tolerance:
                yield Difference("values", found.field, found.a, found.b, largest)
        else:
            yield found


def _leaves(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{where}.{name}" if where else str(name), inner)
    else:
        yield where, value
