"""Judging updates from Python: what ``lomar score`` does, without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files.buffers import find_buffers
from lomar_cli.files.importers.base import One, one_client, whole_count
from lomar_cli.files.output_layer import resolve_output
from lomar_cli.files.round import DEFAULT_MEMORY, Round, RoundHead, check_clients
from lomar_cli.files.scores import Scores
from lomar_cli.files.text import printable
from lomar_cli.files.updates import Updates
from lomar_cli.scoring.judge import judge
from lomar_cli.scoring.registry import DEFAULT_METHOD, METHODS
from lomar_cli.stages.client_files import compare
from lomar_cli.stages.gather import chosen_layers
from lomar_cli.stages.groups import told
from lomar_cli.stages.score import table

# One client's arrays: by name, or in a fixed order, as Flower's parameters are.
Named = Mapping[str, ArrayLike] | Sequence[ArrayLike]


def score_updates(
    updates: Mapping[str, Named],
    *,
    base_model: Named | None = None,
    gradients: bool = False,
    output_layer: str | None = None,
    label_axis: int | None = None,
    labels: Sequence[str] = (),
    num_examples: Mapping[str, int] | None = None,
    method: str = DEFAULT_METHOD,
    options: Mapping[str, Any] | None = None,
    layers: Sequence[str] | None = None,
    groups: Mapping[str, str] | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    round_number: int = 1,
    seed: int = 0,
    jobs: int = 1,
    memory: int = DEFAULT_MEMORY,
) -> Scores:
    """Judge the clients of one round; the same as ``lomar dump`` and ``lomar score`` on files.

    Args:
        updates: each client's update by its id: arrays by parameter name, all alike, or a list of
            arrays, which are then named ``"0"``, ``"1"`` and so on. float16, float32 or float64,
            or JAX's bfloat16. Integers and running statistics are not scored.
        base_model: when given, ``updates`` hold trained parameters and this is what they started
            from; the difference is judged.
        gradients: ``updates`` hold gradients, which a step takes away: their negatives are judged.
        output_layer: the weight that holds a block per label, or ``"none"``; None finds it where
            names and shapes leave one.
        label_axis: its axis over labels: 0 in torch, 1 in Keras and JAX.
        labels: names of the labels, for reasons and column names.
        num_examples: how many samples each client says it has; 1 each by default. Who says 0, or
            what is no number of samples (negative, NaN), is flagged. Clients that are not in
            ``updates`` are passed over.
        method: as in ``lomar list methods``; ``options`` are the method's own.
        layers: patterns of parameter names to look at, all by default; ``include`` and
            ``exclude`` say which are scored, as in ``lomar dump``.
        groups: what kind of client each one is, by its id: each kind of ten or more is judged by
            itself, as with ``--client-groups``.
        round_number: the round's number, for provenance.
        seed: for methods that draw.
        jobs: threads to use.
        memory: bytes to stay within, roughly, beside the updates themselves.

    Returns:
        Scores: ``clients`` in the order of ``updates``, ``suspicion`` (n,) float64, higher is
        worse, ``keep`` (n,) bool, and all columns of the table in ``columns``. Its
        ``round_sha256`` is empty: there is no round file that it speaks of.

    Raises:
        InputError: the updates are not alike, or hold what no update holds.
        UsageError: the options do not fit together or do not fit the updates.
    """
    if gradients and base_model is not None:
        raise UsageError("base_model and gradients: the updates are one or the other")
    made = METHODS.make(method, dict(options or {}))
    if seed < 0:
        raise UsageError(f"seed: must be a whole number from 0, is {seed}")
    names = list(updates)
    odd = next((name for name in names if not isinstance(name, str)), None)
    if odd is not None:
        raise InputError(f"updates: the client's name {odd!r} must be a text")
    check_clients(names, "updates")
    clients = [_one(f"client '{printable(name, 40)}'", updates[name]) for name in names]
    first = clients[0]
    base = _one("base_model", base_model) if base_model is not None else None
    for name, one in zip(names, clients, strict=True):
        compare(one, first, Path(f"client '{name}'"), "the first client")
    if base is not None:
        compare(base, first, Path("base_model"), "the first client", base=True)
    buffers = find_buffers(first.types, include, exclude)
    shapes = {name: array.shape for name, array in first.arrays.items()}
    scored = {name: shape for name, shape in shapes.items() if name not in buffers}
    output, _ = resolve_output(scored, output_layer, label_axis)
    if labels and (output is None or len(labels) != shapes[output.weight][output.label_axis]):
        raise UsageError(f"labels: {len(labels)} names do not fit the output layer")
    tensors = {name: _stacked(name, clients, base) for name in shapes}
    if gradients:
        # In place: these are copies already.
        for name in scored:
            np.negative(tensors[name], out=tensors[name])
    counts = _counts(names, clients, num_examples)
    head = RoundHead(
        clients=names,
        num_examples=counts,
        shapes=shapes,
        dtypes={name: tensor.dtype for name, tensor in tensors.items()},
        output=output,
        labels=list(labels),
        round_number=round_number,
        base_sha256="",
        buffers=buffers,
    )
    seen = Updates(names, counts, tensors, output, list(labels), buffers=buffers)
    found = Round(Path("updates"), head, seen, "", [])
    kinds = None if groups is None else told(names, groups, "groups")
    judged = judge(seen, made, chosen_layers(head, layers), memory, jobs, seed, groups=kinds)
    return table(found, method, made, judged, layers, seed, {}, kinds)


def _one(shown: str, arrays: Named) -> One:
    if not isinstance(arrays, Mapping):
        arrays = {str(place): array for place, array in enumerate(arrays)}
    odd = next((name for name in arrays if not isinstance(name, str)), None)
    if odd is not None:
        raise InputError(f"{shown}: the parameter's name {odd!r} must be a text")
    return one_client(shown, {name: _numbers(shown, array) for name, array in arrays.items()})


def _numbers(shown: str, array: Any) -> NDArray[Any]:
    if hasattr(array, "detach"):
        # torch's parameters; of its bfloat16 NumPy has no type, and float32 holds all of it.
        array = array.detach()
        if "bfloat16" in str(array.dtype):
            array = array.float()
    try:
        made = np.asarray(array)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{shown}: is no array ({printable(str(error), 120)})") from None
    # JAX's, for which NumPy has no type of its own.
    return made.astype(np.float32) if made.dtype.name == "bfloat16" else made


def _stacked(name: str, clients: Sequence[One], base: One | None) -> NDArray[Any]:
    """One parameter over all clients, (clients, \\*shape), less the base model's if any.

    Row by row into its place: a round may fill most of the memory, and a copy of it is enough.
    """
    if base is None:
        return np.stack([one.arrays[name] for one in clients])
    dtype = np.result_type(clients[0].arrays[name].dtype, np.float32)
    start = base.arrays[name].astype(dtype)
    differences = np.empty((len(clients), *start.shape), dtype)
    with np.errstate(all="ignore"):
        for row, one in enumerate(clients):
            np.subtract(one.arrays[name], start, out=differences[row, ...], dtype=dtype)
    return differences


def _counts(
    names: Sequence[str], clients: Sequence[One], given: Mapping[str, int] | None
) -> NDArray[np.int64]:
    if given is None:
        inside = [one.num_examples for one in clients]
        return np.array([1 if count is None else count for count in inside], np.int64)
    missing = [name for name in names if name not in given]
    if missing:
        raise UsageError(f"num_examples: has nothing for client '{printable(missing[0], 40)}'")
    return np.array([whole_count("num_examples", given[name]) for name in names], np.int64)
