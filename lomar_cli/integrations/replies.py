"""What a server's clients sent in one round, judged with no framework in sight.

A server cannot stop for one reply. Whatever does not fit the model, or cannot be read, is set
aside with its reason, and the others are judged as if it had not come.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.api import score_updates
from lomar_cli.errors import InputError
from lomar_cli.files.importers.base import One, fault, one_client
from lomar_cli.files.npy import read_npy_head
from lomar_cli.files.scores import WEIGHT, Scores
from lomar_cli.files.text import printable
from lomar_cli.scoring.judge import ASIDE
from lomar_cli.stages.client_files import compare_shapes

Arrays = Mapping[str, NDArray[Any]]
# How a reply is called in the reasons for which it is set aside: they stand beside its client.
SHOWN = "its update"


@dataclass(frozen=True)
class Reply:
    """A client's trained parameters by name, or the ``fault`` for which they are not looked at."""

    client: str
    arrays: Arrays = field(default_factory=dict)
    num_examples: int = 1
    fault: str | None = None


def judge_replies(
    replies: Sequence[Reply], start: Arrays, method: str, round_number: int, **scoring: Any
) -> Scores:
    """Judge a round; the table has a row a reply, in order.

    Args:
        replies: what came back, at least one, of different clients.
        start: the parameters that the clients started from. Names and shapes are this model's.
            The type may be another one: most replies say which, a server's average of whole
            numbers is not whole.
        method: as in ``score_updates``, which takes ``scoring`` as well.
        round_number: for provenance.

    Returns:
        Scores: replies that do not fit are not kept, and rank above all others. When fewer than
        half fit, none is kept: then it is the model that is another one, or attackers are the
        majority, and no verdict holds.

    Raises:
        UsageError: the options fit neither together nor the model.
    """
    faults = {row: reply.fault for row, reply in enumerate(replies) if reply.fault is not None}
    shapes = {name: array.shape for name, array in start.items()}
    for row, reply in enumerate(replies):
        wrong = None if row in faults else _misfit(reply.arrays, shapes)
        if wrong is not None:
            faults[row] = wrong
    types = _usual_types([replies[row].arrays for row in _left(replies, faults)], start)
    for row in _left(replies, faults):
        wrong = _other_types(replies[row].arrays, types)
        if wrong is not None:
            faults[row] = wrong
    rows = _left(replies, faults)
    if 2 * len(rows) < len(replies) or not rows:
        note = f"only {len(rows)} of {len(replies)} updates fit the model: nobody is kept"
        return _nobody(replies, method, faults, note)
    scores = score_updates(
        {replies[row].client: {n: replies[row].arrays[n] for n in start} for row in rows},
        base_model={name: _as_type(array, types[name]) for name, array in start.items()},
        num_examples={replies[row].client: replies[row].num_examples for row in rows},
        method=method,
        round_number=round_number,
        **scoring,
    )
    return _with_aside(scores, replies, faults, rows)


def from_npy(name: str, data: bytes) -> NDArray[Any]:
    """The array in an npy file, without a copy; what it declares is checked before it is believed.

    InputError names it, and says what is wrong.
    """
    stream = io.BytesIO(data)
    head = read_npy_head(stream, len(data), SHOWN, name, len(data), "fiub")
    start, count = stream.tell(), math.prod(head.shape)
    if len(data) - start < count * head.dtype.itemsize:
        raise fault(SHOWN, name, "is cut short")
    # In its own byte order: a mean that began with a foreign one would have it, and break torch.
    flat = np.frombuffer(data, head.dtype, count, start)
    return flat.reshape(head.shape, order="F" if head.fortran else "C")


def _misfit(arrays: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What keeps a reply from being compared, None when nothing does."""
    try:
        compare_shapes(One(dict(arrays), {}), shapes, Path(SHOWN), "the model")
        one_client(SHOWN, arrays)
    except InputError as error:
        return str(error)
    return None


def _usual_types(fitting: Sequence[Arrays], start: Arrays) -> dict[str, np.dtype[Any]]:
    """Types by parameter that most replies have; the model's own where as many have others."""
    own = {name: array.dtype for name, array in start.items()}
    counts = Counter(tuple(arrays[name].dtype for name in start) for arrays in fitting)
    if not counts:
        return own
    most = max(counts.values())
    usual = [types for types, count in counts.items() if count == most]
    if tuple(own.values()) in usual:
        return own
    return dict(zip(start, usual[0], strict=True))


def _other_types(arrays: Arrays, types: Mapping[str, np.dtype[Any]]) -> str | None:
    for name, wanted in types.items():
        mine = arrays[name].dtype
        if mine != wanted:
            return f"{SHOWN}: {printable(name)}: has type {mine}, most clients' has {wanted}"
    return None


def _as_type(array: NDArray[Any], wanted: np.dtype[Any]) -> NDArray[Any]:
    """The start model's array in the clients' type, so that the two can be subtracted.

    The model may be wider than half-precision updates: that loses nothing. An average of counters
    becomes the nearest whole number again.
    """
    if wanted == np.float16:
        return array if array.dtype in (np.float16, np.float32) else array.astype(np.float32)
    if array.dtype.kind == "f" and wanted.kind != "f":
        with np.errstate(invalid="ignore"):
            whole: NDArray[Any] = np.rint(array).astype(wanted)
        return whole
    return array.astype(wanted, copy=False)


def _left(replies: Sequence[Reply], faults: Mapping[int, str]) -> list[int]:
    return [row for row in range(len(replies)) if row not in faults]


def _nobody(replies: Sequence[Reply], method: str, faults: Mapping[int, str], note: str) -> Scores:
    empty: dict[str, list[Any]] = {"client": [], "num_examples": [], "suspicion": [], "keep": []}
    reasons = {row: faults.get(row, note) for row in range(len(replies))}
    made = Scores(method, 0.0, "", {**empty, "reason": []}, notes=[note])
    return _with_aside(made, replies, reasons, [])


def _with_aside(
    scores: Scores, replies: Sequence[Reply], faults: Mapping[int, str], rows: Sequence[int]
) -> Scores:
    """The table of those at ``rows`` with the rows of the others, who were set aside."""
    if not faults:
        return scores
    place = {row: number for number, row in enumerate(rows)}
    aside: dict[str, Any] = {"suspicion": ASIDE, "keep": False, WEIGHT: 1.0}
    columns: dict[str, Sequence[Any]] = {}
    for name, values in scores.columns.items():
        usual = aside.get(name, float("nan"))
        columns[name] = [
            values[place[row]] if row in place else usual for row in range(len(replies))
        ]
    columns["client"] = [reply.client for reply in replies]
    columns["num_examples"] = [reply.num_examples for reply in replies]
    columns["reason"] = [
        scores.columns["reason"][place[row]] if row in place else faults[row]
        for row in range(len(replies))
    ]
    note = f"{len(faults)} of {len(replies)} replies set aside: they do not fit the round"
    notes = [note, *scores.notes] if rows else list(scores.notes)
    return replace(scores, columns=columns, notes=notes)
