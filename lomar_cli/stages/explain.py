"""Everything there is to say of one client of a round: its verdict, and where it lies."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.files.atomic import atomic_bytes
from lomar_cli.files.round import DEFAULT_MEMORY, Paths, Round, open_rounds
from lomar_cli.files.scores import GROUP, Scores, read_scores
from lomar_cli.files.text import printable
from lomar_cli.plots.save import check_figure, rendered
from lomar_cli.plots.verdict import Plane
from lomar_cli.scoring.base import Method
from lomar_cli.scoring.groups import apart
from lomar_cli.scoring.judge import Screened
from lomar_cli.scoring.profile import FEW, Profile, profile, robust_z
from lomar_cli.scoring.registry import DEFAULT_METHOD, METHODS
from lomar_cli.stages.context import open_context
from lomar_cli.stages.explain_words import side, words
from lomar_cli.stages.groups import kinds_of, read_kinds
from lomar_cli.stages.plane import plane
from lomar_cli.stages.score import screened_round, table
from lomar_cli.stages.verdict import rows_of

if TYPE_CHECKING:
    from lomar_cli.stages.holdout import HeldOut

SCHEMA_VERSION = 1
NEAREST = 5
# Pairs closer than this part of the usual distance are near-copies of each other.
COPY = 0.1
_VIEW, _FACTOR = "view_", "log_factor_label_"
Document = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """A round with its scores, in the order of its clients, and what figures show of it.

    ``lies`` is None when no client could be compared. ``rows`` are the round's rows of those that
    ``lies`` tells of.
    """

    scores: Scores
    screened: Screened
    lies: Profile | None
    rows: Sequence[int]


def explain(
    paths: Paths,
    client: str,
    scores_path: Path | None = None,
    name: str | None = None,
    options: dict[str, Any] | None = None,
    layers: Sequence[str] | None = None,
    memory: int = DEFAULT_MEMORY,
    jobs: int = 1,
    seed: int = 0,
    history: Sequence[Path] = (),
    root: Path | None = None,
    held_out: HeldOut | None = None,
    base_model: Path | None = None,
    plot: Path | None = None,
    groups: Path | None = None,
    force: bool = False,
) -> Document:
    """Return what ``lomar explain --json`` prints; draw it if ``plot`` is given.

    The round is judged by the method ``name`` with ``options``, or, with ``scores_path``, by that
    table, which must be this round's. Where ``groups``, or the table, says of what kind clients
    are, the client is told of among its own. UsageError for a client that is not in the round.
    """
    if plot is not None:
        check_figure(plot, "--plot", force)
    if scores_path is not None:
        _check_no_method(name, {**(options or {}), "client_groups": groups})
    known = read_kinds(groups, options or {})
    with open_rounds(paths, memory) as found, open_context(found, history, root, memory) as beside:
        row = _row(found, client)
        scores = None if scores_path is None else _read(found, scores_path)
        if layers is None and scores is not None:
            layers = scores.options.get("layers")
        screened = screened_round(found, beside, layers, memory, jobs, seed, held_out, base_model)
        if scores is None:
            name = name or DEFAULT_METHOD
            made: Method = METHODS.make(name, options or {})
            kinds = kinds_of(known, found.head.clients, beside.inputs)
            judged = screened.in_groups(kinds).judge(made)
            scores = table(found, name, made, judged, layers, seed, beside.inputs, kinds)
        of = _group(scores, screened, row)
        if of is not None:
            screened = screened.among(of)
        lies = None if screened.view is None else profile(screened.view)
        rows = [i for i in range(screened.count) if i not in screened.aside]
        whole = Judged(scores, screened, lies, rows)
        document = _document(whole, row, of)
        drawn = None
        if plot is not None:
            points = plane(screened)
            if of is not None:
                points = replace(points, group=document["group"])
            drawn = _drawn(plot, whole, row, document, points)
    if plot is not None and drawn is not None:
        atomic_bytes(plot, drawn, force)
    return document


def _check_no_method(name: str | None, options: dict[str, Any]) -> None:
    given = [option for option, value in options.items() if value is not None]
    if name is not None or given:
        option = "method" if name is not None else given[0].replace("_", "-")
        raise UsageError(f"--{option}: the round is judged already by --scores; give one of both")


def _row(found: Round, client: str) -> int:
    clients = list(found.head.clients)
    if client in clients:
        return clients.index(client)
    close = difflib.get_close_matches(client, clients, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(printable(c, 60) for c in close)}?" if close else ""
    raise UsageError(
        f"{printable(str(found.path))}: there is no client '{printable(client, 60)}'; "
        + (hint or f"its {len(clients)} clients are named like '{printable(clients[0], 60)}'")
    )


def _read(found: Round, path: Path) -> Scores:
    """The table in the order of the round's clients."""
    scores = read_scores(path)
    order = rows_of(found, scores, path)
    columns = {name: [values[int(row)] for row in order] for name, values in scores.columns.items()}
    return replace(scores, columns=columns)


def _group(scores: Scores, screened: Screened, row: int) -> NDArray[np.intp] | None:
    """The round's rows of the client's group; None where it was judged among all."""
    if GROUP not in scores.columns:
        return None
    names = [
        None if i in screened.aside else name or None
        for i, name in enumerate(scores.columns[GROUP])
    ]
    return next((rows for rows in apart(names).values() if row in rows), None)


def _document(judged: Judged, row: int, of: NDArray[np.intp] | None) -> Document:
    scores = judged.scores
    suspicion, keep = scores.suspicion, scores.keep
    document: Document = {
        "schema_version": SCHEMA_VERSION,
        "client": scores.clients[row],
        "method": scores.method,
        "keep": bool(keep[row]),
        "reason": str(scores.columns["reason"][row]),
        "suspicion": float(suspicion[row]),
        "threshold": number(scores.threshold),
        "rank": int((suspicion > suspicion[row]).sum()) + 1,
        "clients": len(keep),
        "flagged": int((~keep).sum()),
        "weight": float(scores.weight[row]),
        "set_aside": row in judged.screened.aside,
        "views": _views(scores, row),
    }
    if GROUP in scores.columns:
        document["group"] = scores.columns[GROUP][row] or None
        document["group_clients"] = None if of is None else len(of)
    if judged.lies is not None and not document["set_aside"]:
        document |= _among(judged, judged.lies, row)
    document["notes"] = list(scores.notes)
    document["words"] = words(document)
    return document


def _views(scores: Scores, row: int) -> list[Document]:
    """What each view suspects, in units of its threshold, the loudest first."""
    found = [
        {"view": name.removeprefix(_VIEW), "suspicion": number(values[row])}
        for name, values in scores.columns.items()
        if name.startswith(_VIEW)
    ]
    return sorted(
        found, key=lambda one: math.inf if one["suspicion"] is None else -one["suspicion"]
    )


def _among(judged: Judged, lies: Profile, row: int) -> Document:
    """How the client lies among those that can be compared."""
    assert judged.screened.view is not None
    view, rows, scores = judged.screened.view, judged.rows, judged.scores
    place = rows.index(row)
    distances = np.sqrt(view.geometry.squares[place].astype(np.float64))
    distances[place] = np.inf
    order = np.argsort(distances, kind="stable")[: len(rows) - 1]
    copies = [i for i in order if distances[i] <= COPY * lies.unit]
    document: Document = {
        "length": float(lies.lengths[place]),
        "median_length": float(np.median(lies.lengths)),
        "cosine_to_median": float(lies.cosines[place]),
        "median_cosine": float(np.median(lies.cosines)),
        "few": min(FEW, len(rows) - 1),
        "near_z": float(lies.near[place]),
        "far_z": float(lies.far[place]),
        "labels": _labels(judged, lies, place, row),
        "parameters": _parameters(list(view.updates.tensors), lies, place),
        "neighbours": [
            {
                "client": scores.clients[rows[i]],
                "distance": float(distances[i]),
                "of_usual": float(distances[i]) / lies.unit if lies.unit > 0 else None,
                "suspicion": float(scores.suspicion[rows[i]]),
                "keep": bool(scores.keep[rows[i]]),
            }
            for i in order[:NEAREST]
        ],
        "near_copies": [scores.clients[rows[i]] for i in copies],
    }
    document["side"] = side(document)
    return document


def _labels(judged: Judged, lies: Profile, place: int, row: int) -> list[Document]:
    """A label's z-scores, the furthest from 0 first, with LoMar's factor where there is one."""
    assert judged.screened.view is not None
    updates, columns = judged.screened.view.updates, judged.scores.columns
    if updates.output is None:
        return []
    found = []
    for label in range(updates.label_count):
        name = updates.label_name(label)
        one: Document = {
            "label": name,
            "near_z": float(lies.near_by_label[place, label]),
            "far_z": float(lies.far_by_label[place, label]),
        }
        if _FACTOR + name in columns:
            one["log_factor"] = number(columns[_FACTOR + name][row])
        found.append(one)
    return sorted(found, key=lambda one: -max(abs(one["near_z"]), abs(one["far_z"])))


def _parameters(names: Sequence[str], lies: Profile, place: int) -> list[Document]:
    """Each parameter's length against its median length, the furthest from it first."""
    found = []
    for name, lengths in zip(names, lies.layers.T, strict=True):
        middle = float(np.median(lengths))
        found.append(
            {
                "parameter": name,
                "length": float(lengths[place]),
                "of_median": float(lengths[place]) / middle if middle > 0 else None,
                "z": float(robust_z(lengths)[place]),
            }
        )
    return sorted(found, key=lambda one: -abs(one["z"]))


def _drawn(plot: Path, judged: Judged, row: int, document: Document, points: Plane) -> bytes:
    from lomar_cli.plots.explained import explained_figure

    scores = judged.scores
    near = [scores.clients.index(one["client"]) for one in document.get("neighbours", [])]
    return rendered(
        plot,
        lambda: explained_figure(
            document, row, scores.suspicion, scores.keep, scores.threshold, points, near
        ),
    )


def number(value: Any) -> float | None:
    """NaN and infinity are None: JSON has neither."""
    return float(value) if math.isfinite(value) else None
