"""Average the kept updates into the next model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.aggregation.base import Aggregate
from lomar_cli.aggregation.registry import DEFAULT_RULE
from lomar_cli.errors import LomarError, UsageError
from lomar_cli.files import foreign
from lomar_cli.files.atomic import check_output
from lomar_cli.files.importers.registry import read_parameters
from lomar_cli.files.model import Model, parameters_sha256, write_model
from lomar_cli.files.provenance import extend
from lomar_cli.files.round import DEFAULT_MEMORY, Paths, RoundHead, open_rounds
from lomar_cli.files.scores import read_scores
from lomar_cli.files.text import printable
from lomar_cli.scoring.base import RoundView
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.stages.context import open_context
from lomar_cli.stages.recipe import Recipe
from lomar_cli.stages.start import Parameters, start_model
from lomar_cli.stages.verdict import rows_of
from lomar_cli.stages.weights import base_weights, capped, large_claim, shared_votes

if TYPE_CHECKING:
    from lomar_cli.stages.holdout import HeldOut

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Aggregated:
    """The new model, which clients were used, and whether the start model could be checked.

    ``used`` (n,) marks those of the round's ``clients`` (n,) that took part, ``weight`` (n,) is
    each one's part of a vote by the scores, and ``share`` (n,) its part of all the weight that the
    rule was given. ``said`` are the options on record.
    ``notes`` are sentences about how it was made, ``warnings`` those that no one should miss.
    """

    model: Model
    clients: Sequence[str]
    used: NDArray[np.bool_]
    weight: NDArray[np.float64]
    share: NDArray[np.float64]
    base_checked: bool
    said: Mapping[str, Any]
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Weighting:
    """Weights by ``examples`` or ``uniform``, and the most that one client may have of the sum."""

    by: str = "examples"
    max_share: float | None = None


def aggregate(
    paths: Paths,
    output: Path,
    scores_path: Path | None = None,
    name: str = DEFAULT_RULE,
    options: dict[str, Any] | None = None,
    base_model: Path | None = None,
    renormalize: bool = True,
    from_zero: bool = False,
    memory: int = DEFAULT_MEMORY,
    force: bool = False,
    pre: Sequence[str] = (),
    seed: int = 0,
    weights_by: str = "examples",
    max_weight_share: float | None = None,
    assume_malicious: str | None = None,
    history: Sequence[Path] = (),
    root: Path | None = None,
    held_out: HeldOut | None = None,
) -> Aggregated:
    """Write ``base + aggregated update`` as a model file, or as npz, safetensors or pt by ending.

    The round lies in ``paths``, one file or several. The start model must be the one that it says
    its updates start from. It need not be given when that is the all-zero model; ``from_zero``
    writes the aggregated update itself.

    ``pre`` are pre-aggregations by name, applied in order. ``options`` are the rule's own, and as
    ``PRE.NAME`` those of a pre-aggregation; ``assume_malicious`` goes to whichever of them reckons
    with a number. ``history``, ``root`` and ``held_out`` are for rules that ask for them.
    """
    check_output(output, force)
    recipe = Recipe.make(name, pre, options or {}, assume_malicious)
    if not renormalize and name != DEFAULT_RULE:
        raise UsageError(
            f"--no-renormalize: only a weighted average counts for a share of all samples (eq. 3); "
            f"--rule {name} is none"
        )
    weighting = Weighting(weights_by, max_weight_share)
    scores = read_scores(scores_path) if scores_path is not None else None
    if from_zero and held_out is not None:
        raise UsageError("--holdout: the loss is that of the start model; give it with --model")
    with open_rounds(paths, memory) as found, open_context(found, history, root, memory) as beside:
        foreign.check_model_ending(output)
        keep = np.ones(len(found.head.clients), dtype=bool)
        votes = np.ones(len(keep))
        if scores is not None and scores_path is not None:
            order = rows_of(found, scores, scores_path)
            keep, votes = scores.keep[order], scores.weight[order]
        base, chain, checked = start_model(
            found,
            base_model,
            from_zero,
            ", or --from-zero to write the aggregated update by itself",
        )
        loss = beside.loss(found, held_out, base)
        rows = _taking_part(keep, found.head.num_examples)
        kept = found.updates.rows(rows)
        weights, share, warnings = _weigh(found.head, rows, votes, weighting)
        view = RoundView(kept, Geometry(kept, memory), seed, beside.history, beside.root, loss)
        done = recipe(view, weights)
        used, shares = np.zeros(len(keep), dtype=bool), np.zeros(len(keep))
        used[rows], shares[rows] = done.used, weights / weights.sum()
        notes = [*shared_votes(votes[rows]), *done.notes]
        inputs = {**found.inputs(), "model": parameters_sha256(base), **beside.inputs}
        if scores is not None:
            inputs["scores"] = scores.sha256
        said = {
            **recipe.described(len(rows)),
            "renormalize": renormalize,
            "weights": weights_by,
            "max_weight_share": max_weight_share,
            "used": int(used.sum()),
        }
        before = [found.provenance, chain, scores.provenance if scores is not None else []]
        model = Model(
            parameters=_added(base, done, 1.0 if renormalize else share),
            output=found.head.output,
            labels=found.head.labels,
            architecture=found.head.architecture,
            round_number=found.head.round_number,
            provenance=extend("aggregate", said, inputs, before, seed),
        )
    _write(output, model, base_model, force)
    return Aggregated(
        model, found.head.clients, used, votes, shares, checked, said, notes, warnings
    )


def _write(output: Path, model: Model, base_model: Path | None, force: bool) -> None:
    """Write the model as the ending of ``output`` asks, in the types of the start model's file."""
    kind = foreign.format_of(output)
    if kind is None:
        write_model(output, model, force)
        return
    types = read_parameters(base_model).types if base_model is not None else {}
    foreign.write_parameters(output, kind, model.parameters, types, force)


def document(done: Aggregated) -> dict[str, Any]:
    """What ``lomar aggregate --json`` prints: who took part, and under which options."""
    return {
        "schema_version": SCHEMA_VERSION,
        "round": done.model.round_number,
        "options": dict(done.said),
        "clients": [
            {"client": client, "used": used, "weight": weight, "share": share}
            for client, used, weight, share in zip(
                done.clients,
                done.used.tolist(),
                done.weight.tolist(),
                done.share.tolist(),
                strict=True,
            )
        ],
        "notes": list(done.notes),
        "warnings": list(done.warnings),
    }


def _taking_part(keep: NDArray[np.bool_], num_examples: NDArray[np.int64]) -> NDArray[np.intp]:
    """The rows of the kept clients that hold samples."""
    rows = np.flatnonzero(keep & (num_examples > 0))
    if len(rows) == 0:
        raise LomarError(
            "no client is left to aggregate: all were removed or hold no samples; "
            "look at the scores, or raise the threshold"
        )
    return rows


def _weigh(
    head: RoundHead,
    rows: NDArray[np.intp],
    votes: NDArray[np.float64],
    weighting: Weighting,
) -> tuple[NDArray[np.float64], float, list[str]]:
    """Weights of the clients that take part, their share of all weight (eq. 3), warnings.

    What near-copies lose by sharing a vote is lost as what removed clients had is.
    """
    everybody = base_weights(head.num_examples, weighting.by)
    weights = everybody[rows] * votes[rows]
    share = float(weights.sum() / everybody.sum())
    if weighting.max_share is not None:
        return capped(weights, weighting.max_share), share, []
    clients = [head.clients[int(row)] for row in rows]
    # What a client says of its samples is a claim; that others share votes does not make it larger.
    claim = large_claim(everybody[rows], clients) if weighting.by == "examples" else None
    return weights, share, [claim] if claim else []


def _added(base: Parameters, done: Aggregate, share: float) -> Parameters:
    """The start model plus the aggregated update, which must stay finite in the model's type."""
    with np.errstate(over="ignore", invalid="ignore"):
        parameters = {
            key: (values.astype(np.float64) + share * done.update[key]).astype(values.dtype)
            for key, values in base.items()
        }
    for key, values in parameters.items():
        if not np.isfinite(values).all():
            raise LomarError(f"{printable(key)}: the aggregated model is not finite")
    return parameters
