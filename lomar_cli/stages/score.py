"""Judge the clients of a round."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.aggregation.registry import RULES
from lomar_cli.engine.base import unheard
from lomar_cli.errors import UsageError
from lomar_cli.files.atomic import atomic_bytes, check_output
from lomar_cli.files.model import parameters_sha256
from lomar_cli.files.provenance import extend
from lomar_cli.files.round import DEFAULT_MEMORY, Paths, Round, as_paths, open_rounds
from lomar_cli.files.scores import GROUP, WEIGHT, Scores, format_of, write_scores
from lomar_cli.files.text import printable
from lomar_cli.files.updates import Updates
from lomar_cli.plots.save import check_figure, rendered
from lomar_cli.scoring.base import Judgement, Loss, Method
from lomar_cli.scoring.distances import MakeAdder, SquareSum
from lomar_cli.scoring.geometry import Geometry
from lomar_cli.scoring.judge import ASIDE, Screened, prepare
from lomar_cli.scoring.options import assumed
from lomar_cli.scoring.registry import DEFAULT_METHOD, METHODS
from lomar_cli.stages.context import Context, open_context
from lomar_cli.stages.far import check_far, far_geometry
from lomar_cli.stages.gather import Gather, adder_on, chosen_layers
from lomar_cli.stages.groups import kinds_of, read_kinds
from lomar_cli.stages.start import start_model

if TYPE_CHECKING:
    from lomar_cli.stages.holdout import HeldOut

# A larger round stays in its file, however much memory there is, for methods that look at distances
# and little else: these are made while it is read and checked, in half the time (measured). Not so
# where labels lie across the file, of which views read all several times.
_HELD = 256 * 2**20


def score(
    paths: Paths,
    output: Path | None = None,
    name: str = DEFAULT_METHOD,
    options: dict[str, Any] | None = None,
    layers: Sequence[str] | None = None,
    kind: str | None = None,
    memory: int = DEFAULT_MEMORY,
    jobs: int = 1,
    force: bool = False,
    seed: int = 0,
    history: Sequence[Path] = (),
    root: Path | None = None,
    held_out: HeldOut | None = None,
    base_model: Path | None = None,
    plot: Path | None = None,
    groups: Path | None = None,
    device: str = "cpu",
    cluster: str | None = None,
    tell: Callable[[str], None] = unheard,
    note: Callable[[str], None] = unheard,
) -> Scores:
    """Judge the round in ``paths``, one file or several, by the method ``name``.

    The table is written if ``output`` is given.

    ``options`` are the method's own; None values stand for its defaults. ``layers`` are patterns
    of parameter names to look at. ``kind`` is the table's format (default: by ``output``'s ending).
    ``seed`` feeds methods that draw; ``history`` are earlier rounds, files or folders of them, and
    ``root`` is a round of the defender's own, for the methods that ask for them; ``held_out`` is
    data of its own, for the loss of the model that the round starts from, ``base_model`` (None:
    the all-zero model). ``device`` is where distances are made. ``plot`` is where a figure of the
    verdict goes (png, svg or pdf). ``groups`` is a file that says of what kind clients are: each
    kind is judged by itself.

    With ``cluster`` (``engine.opened``) its workers read the round and make the distances, and
    ``tell`` hears where that is, ``note`` warnings. UsageError for a method that needs more.
    """
    if output is not None:
        kind = kind or format_of(output)
        check_output(output, force)
    if plot is not None:
        check_figure(plot, "--plot", force)
        if output is not None and plot.resolve() == output.resolve():
            raise UsageError(f"--plot {printable(str(plot))}: is also -o; give each its own file")
    if name in RULES.table and name not in METHODS.names():
        raise UsageError(
            f"--method {name}: is a rule, which suspects nobody: lomar aggregate --rule {name}"
        )
    known = read_kinds(groups, options or {})
    made: Method = METHODS.make(name, options or {})
    by_distance = getattr(made, "by_distance", False)
    by_distance = by_distance and getattr(made, "neighbors_search", "exact") == "exact"
    by_label = getattr(made, "by_label", False)
    by_course = getattr(made, "by_course", False) and getattr(made, "asks_course", True)
    here = cluster is None
    if not here:
        check_far(name, made)
        if groups is not None:
            raise UsageError("--client-groups: is judged by this process; leave --cluster out")
    adder = adder_on(device if here else "cpu")
    gather = None
    # Kinds of clients have distances of their own.
    if by_distance and here and groups is None:
        gather = Gather(layers, memory, jobs, adder, by_label, by_course)
    held = memory
    if gather is not None and not getattr(made, "reads_columns", False) and _by_row(paths):
        held = min(memory, _HELD)
    with contextlib.ExitStack() as stack:
        opened = open_rounds(paths, held, consumer=gather, updates=here)
        found = stack.enter_context(opened)
        beside = stack.enter_context(open_context(found, history, root, memory))
        elsewhere = None
        if cluster is not None:
            far = far_geometry(cluster, found, made, memory, jobs, device, tell, note)
            updates, elsewhere = stack.enter_context(far)
            found = replace(found, updates=updates)
        screened = screened_round(
            found,
            beside,
            layers,
            memory,
            jobs,
            seed,
            held_out,
            base_model,
            adder,
            gather,
            elsewhere,
        )
        kinds = kinds_of(known, found.head.clients, beside.inputs)
        judged = screened.in_groups(kinds).judge(made)
        scores = table(found, name, made, judged, layers, seed, beside.inputs, kinds)
        drawn = None if plot is None else _drawn(plot, scores, screened)
    if output is not None and kind is not None:
        write_scores(output, scores, kind, force)
    if plot is not None and drawn is not None:
        atomic_bytes(plot, drawn, force)
    return scores


def _by_row(paths: Paths) -> bool:
    """Whether what a label owns lies together in files of a large round, quick to be read."""
    if sum(path.stat().st_size for path in as_paths(paths) if path.is_file()) <= _HELD:
        return False
    with open_rounds(paths, verify=False, updates=False) as found:
        return found.head.output is None or found.head.output.label_axis == 0


def _drawn(plot: Path, scores: Scores, screened: Screened) -> bytes:
    from lomar_cli.plots.scores import scores_figure
    from lomar_cli.stages.plane import plane

    points = plane(screened)
    return rendered(
        plot,
        lambda: scores_figure(
            scores.clients, scores.suspicion, scores.keep, scores.threshold, points, scores.method
        ),
    )


def screened_round(
    found: Round,
    beside: Context,
    layers: Sequence[str] | None,
    memory: int,
    jobs: int,
    seed: int,
    held_out: HeldOut | None,
    base_model: Path | None,
    adder: MakeAdder = SquareSum,
    gather: Gather | None = None,
    elsewhere: Callable[[Updates, NDArray[np.intp]], Geometry] | None = None,
) -> Screened:
    """An open round made ready for any number of methods, with what they may ask for beside it.

    ``elsewhere`` is as for ``judge.prepare``.
    """
    names = chosen_layers(found.head, layers)
    loss = start_loss(found, beside, held_out, base_model)
    return prepare(
        found.updates,
        names,
        memory,
        jobs,
        seed,
        beside.history,
        beside.root,
        loss,
        adder=adder,
        gathered=gather.found if gather else None,
        elsewhere=elsewhere,
    )


def start_loss(
    found: Round, beside: Context, held_out: HeldOut | None, base_model: Path | None
) -> Loss | None:
    """The loss on held-out data, or None without any; the start model is read for it alone."""
    if held_out is None:
        if base_model is not None:
            raise UsageError("--model: is used with --holdout only, to see what a step does to it")
        return None
    parameters, _, _ = start_model(found, base_model)
    beside.inputs["model"] = parameters_sha256(parameters)
    return beside.loss(found, held_out, parameters)


def table(
    found: Round,
    name: str,
    made: Method,
    judged: Judgement,
    layers: Sequence[str] | None,
    seed: int,
    inputs: dict[str, str],
    groups: Sequence[str | None] | None = None,
) -> Scores:
    """The score table of a judgement; ``inputs`` are digests of what was read beside the round.

    ``groups`` (n,) are the kinds of clients that were judged each by itself, if any.
    """
    options = dict(vars(made))
    if "assume_malicious" in options:
        # A run that was told a number differs from a blind one, also where both come to the same.
        told = options["assume_malicious"]
        options["assume_malicious"] = assumed(told, int((judged.suspicion < ASIDE).sum()))
        options["assume_malicious_given"] = told is not None
    if layers is not None:
        options["layers"] = list(layers)
    columns: dict[str, Sequence[Any]] = {
        "client": list(found.head.clients),
        "num_examples": found.head.num_examples.tolist(),
        "suspicion": judged.suspicion.tolist(),
        "keep": judged.keep.tolist(),
    }
    if judged.weight is not None:
        columns[WEIGHT] = judged.weight.tolist()
    if groups is not None:
        columns[GROUP] = [group or "" for group in groups]
    columns["reason"] = list(judged.reasons)
    columns.update({key: values.tolist() for key, values in judged.columns.items()})
    chain = extend(
        "score",
        {"method": name, **options},
        {**found.inputs(), **inputs},
        [found.provenance],
        seed,
    )
    return Scores(
        method=name,
        threshold=judged.threshold,
        round_sha256=found.sha256,
        columns=columns,
        options=options,
        notes=list(judged.notes),
        provenance=chain,
    )
