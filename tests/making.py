"""Files made by hand: small rounds, models and client files, and changes that keep the digest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lomar_cli.files import h5
from lomar_cli.files.model import Model, write_model
from lomar_cli.files.round import RoundHead, create_round, open_round
from lomar_cli.files.scores import Scores
from lomar_cli.files.updates import OutputLayer

LAYER = OutputLayer("fc.weight", "fc.bias", 0)
Tensors = dict[str, np.ndarray[Any, Any]]


def tensors(clients: int, labels: int = 3, features: int = 4, seed: int = 0) -> Tensors:
    """Random updates of one fully connected layer, float32."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(clients, labels, features))
    bias = rng.normal(size=(clients, labels))
    return {"fc.weight": weight.astype(np.float32), "fc.bias": bias.astype(np.float32)}


def write_round(
    path: Path,
    updates: Tensors | int = 8,
    clients: Sequence[str] | None = None,
    num_examples: Sequence[int] | None = None,
    labels: Sequence[str] = (),
    output: OutputLayer | None = LAYER,
    base_sha256: str = "",
    architecture: str = "",
    buffers: Iterable[str] = (),
) -> Path:
    """A round file of ``updates`` (or of that many clients with random ones)."""
    made = tensors(updates) if isinstance(updates, int) else updates
    count = len(next(iter(made.values())))
    head = RoundHead(
        clients=clients or [f"c{number}" for number in range(count)],
        num_examples=np.array(num_examples or [10] * count, np.int64),
        shapes={name: array.shape[1:] for name, array in made.items()},
        dtypes={name: array.dtype for name, array in made.items()},
        output=output,
        labels=labels,
        round_number=1,
        base_sha256=base_sha256,
        architecture=architecture,
        buffers=frozenset(buffers),
    )
    with create_round(path, head, [], force=True) as writer:
        writer.write(0, made)
    return path


def read_updates(path: Path) -> Tensors:
    with open_round(path) as found:
        return {name: np.asarray(tensor[:]) for name, tensor in found.updates.tensors.items()}


def write_base(path: Path, parameters: Tensors, **more: Any) -> Path:
    """A model file."""
    layer = LAYER if LAYER.weight in parameters else None
    write_model(path, Model(parameters, layer, **more), force=True)
    return path


def write_verdict(
    path: Path,
    round_file: Path,
    flagged: Sequence[str],
    weights: Mapping[str, float] | None = None,
) -> Path:
    """A score table (CSV) of a round that flags these clients; ``weights`` of some below 1."""
    with open_round(round_file) as found:
        clients, digest = found.head.clients, found.sha256
    lines = ["client,suspicion,keep,round_sha256"]
    lines += [f"{c},{int(c in flagged)},{str(c not in flagged).lower()},{digest}" for c in clients]
    if weights is not None:
        lines = [f"{line},{weights.get(line.split(',')[0], 1)}" for line in lines]
        lines[0] = lines[0].replace(",1", ",weight")
    path.write_text("\n".join(lines) + "\n")
    return path


def change(path: Path, edit: Callable[[h5py.File], None], seal: bool = True) -> Path:
    """Let ``edit`` change an HDF5 file of ours, then make its digest right again."""
    with h5py.File(path, "r+") as handle:
        edit(handle)
        if seal:
            put(handle, "content_sha256", h5.content_digest(handle))
    return path


def put(target: h5py.HLObject, name: str, value: Any) -> None:
    """Set an attribute; text as our files hold it, anything else as h5py would."""
    if isinstance(value, str):
        h5.write_text(target, name, value)
    else:
        target.attrs[name] = value


def texts(values: Sequence[str | bytes]) -> np.ndarray[Any, Any]:
    """Strings as our files hold them: UTF-8 of a fixed length."""
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    return np.array(raw, h5py.string_dtype("utf-8", max(map(len, raw))))


def replace(handle: h5py.File, name: str, values: Any, **more: Any) -> None:
    """Put another data set in the place of one; its attributes are kept."""
    attributes = dict(handle[name].attrs)
    del handle[name]
    made = handle.create_dataset(name, data=values, **more)
    made.attrs.update(attributes)


def write_client(path: Path, arrays: Mapping[str, Any]) -> Path:
    """An npz as another system writes it."""
    np.savez(path, **arrays)
    return path


def write_json(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def columns_of(scores: Scores) -> dict[str, list[Any]]:
    """A table's columns in which NaN, what a view could not judge, equals NaN."""
    return {
        name: ["NaN" if value != value else value for value in values]
        for name, values in scores.columns.items()
    }
