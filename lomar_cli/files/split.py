"""The split file: which samples each client owns, and which of them are relabelled (lomar/split).

Samples are indices into the training part of a named data set, which the file identifies by its
checksum; the samples themselves are not stored.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.errors import UsageError
from lomar_cli.files import h5
from lomar_cli.files.round import check_clients, check_labels
from lomar_cli.files.text import printable

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Overlay:
    """Relabelled samples. ``position`` counts through all clients' samples in order."""

    position: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    original: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    label: Ints = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True)
class Stamp:
    """A pattern that is put on samples before their client trains on them: a backdoor's trigger.

    Feature ``feature[i]`` of a sample becomes ``value[i]`` (as the model sees it, after scaling).
    The pattern may be in parts: ``piece[i]`` is the part that entry i belongs to. ``position``
    counts through all clients' samples in order, as the overlay's; ``part`` says for each such
    sample which part of the pattern it carries, -1 for all of it. ``target`` is the label that the
    pattern is to lead to; who tests for the backdoor puts on the whole pattern.
    """

    target: int
    feature: Ints
    value: NDArray[np.float64]
    piece: Ints
    position: Ints
    part: Ints


@dataclass(frozen=True)
class Split:
    """Clients and their samples.

    ``samples[i]`` holds the indices of client ``clients[i]``. ``scheme`` and ``options`` say how
    they were drawn, so that an attack can draw further clients the same way. ``data_options`` are
    those that the data set was loaded with.
    """

    dataset: str
    dataset_sha256: str
    labels: Sequence[str]
    train_size: int
    clients: Sequence[str]
    samples: Sequence[Ints]
    scheme: str
    options: dict[str, Any]
    overlay: Overlay = field(default_factory=Overlay)
    stamp: Stamp | None = None
    data_options: dict[str, Any] = field(default_factory=dict)
    provenance: h5.Provenance = field(default_factory=list)
    sha256: str = ""

    @property
    def offsets(self) -> Ints:
        """Where each client's samples begin when all are laid end to end, shape (clients + 1,)."""
        counts = [len(s) for s in self.samples]
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)

    def client_labels(self, truth: Ints) -> list[Ints]:
        """Labels of each client's samples as it sees them, given the data set's own ``truth``."""
        flat = np.concatenate([truth[s] for s in self.samples]).astype(np.int64)
        flat[self.overlay.position] = self.overlay.label
        return np.split(flat, self.offsets[1:-1])


def write_split(path: Path, split: Split, force: bool = False) -> None:
    with h5.create(path, "split", split.provenance, force) as handle:
        h5.write_text(handle, "dataset", split.dataset)
        h5.write_text(handle, "dataset_sha256", split.dataset_sha256)
        handle.attrs["train_size"] = np.int64(split.train_size)
        h5.write_text(handle, "scheme", split.scheme)
        h5.write_text(handle, "options", json.dumps(split.options, sort_keys=True))
        h5.write_strings(handle, "labels", split.labels)
        clients = handle.create_group("clients")
        h5.write_strings(clients, "id", split.clients)
        clients.create_dataset("offset", data=split.offsets)
        samples = handle.create_group("samples")
        flat = np.concatenate(split.samples) if split.samples else np.empty(0, np.int64)
        narrow = np.int32 if split.train_size < 2**31 else np.int64
        samples.create_dataset("index", data=flat.astype(narrow))
        overlay = handle.create_group("overlay")
        overlay.create_dataset("position", data=split.overlay.position)
        overlay.create_dataset("original", data=split.overlay.original.astype(np.int32))
        overlay.create_dataset("label", data=split.overlay.label.astype(np.int32))
        # What few splits have is written for these only.
        if split.data_options:
            h5.write_text(handle, "data_options", json.dumps(split.data_options, sort_keys=True))
        if split.stamp is not None:
            _write_stamp(handle, split.stamp)


def read_split(path: Path) -> Split:
    """Read a split file, checked against itself (indices, offsets and labels in range)."""
    with h5.open_read(path, "split") as reader:
        reader.check_digest()
        labels = reader.strings("labels")
        check_labels(reader, labels)
        size = reader.integer("train_size")
        clients = reader.strings("clients/id")
        check_clients(clients, f"{printable(str(path))}: clients/id")
        offsets = reader.integers("clients/offset", len(clients) + 1)
        index = reader.integers("samples/index")
        if offsets[0] != 0 or offsets[-1] != len(index) or (np.diff(offsets) < 0).any():
            raise reader.fault("clients/offset", "does not divide the samples among the clients")
        if len(index) and not (index.min() >= 0 and index.max() < size):
            raise reader.fault("samples/index", f"holds indices outside 0 to {size - 1}")
        position = reader.integers("overlay/position")
        original = reader.integers("overlay/original", len(position))
        label = reader.integers("overlay/label", len(position))
        if len(position) and not (
            position.min() >= 0 and position.max() < len(index) and (np.diff(position) > 0).all()
        ):
            raise reader.fault("overlay/position", "must rise and lie within the samples")
        for name, values in (("original", original), ("label", label)):
            if len(values) and not (values.min() >= 0 and values.max() < len(labels)):
                raise reader.fault(
                    f"overlay/{name}", f"holds labels outside 0 to {len(labels) - 1}"
                )
        return Split(
            dataset=reader.string("dataset"),
            dataset_sha256=reader.string("dataset_sha256"),
            labels=labels,
            train_size=size,
            clients=clients,
            samples=np.split(index, offsets[1:-1]),
            scheme=reader.string("scheme"),
            options=reader.document("options"),
            overlay=Overlay(position, original, label),
            stamp=_read_stamp(reader, len(labels), len(index)),
            data_options=_data_options(reader),
            provenance=reader.provenance(),
            sha256=reader.content_sha256(),
        )


def _write_stamp(handle: Any, stamp: Stamp) -> None:
    handle.attrs["stamp_target"] = np.int64(stamp.target)
    group = handle.create_group("stamp")
    group.create_dataset("feature", data=stamp.feature)
    group.create_dataset("value", data=stamp.value)
    group.create_dataset("piece", data=stamp.piece.astype(np.int32))
    group.create_dataset("position", data=stamp.position)
    group.create_dataset("part", data=stamp.part.astype(np.int32))


def _read_stamp(reader: h5.Reader, labels: int, samples: int) -> Stamp | None:
    """The optional group ``stamp``; splits made before it existed have none."""
    if "stamp" not in reader.handle:
        return None
    target = reader.integer("stamp_target")
    if not 0 <= target < labels:
        raise reader.fault("stamp_target", f"must be a label from 0 to {labels - 1}")
    feature = reader.integers("stamp/feature")
    value = reader.floats("stamp/value", len(feature))
    piece = reader.integers("stamp/piece", len(feature))
    if len(feature) == 0 or feature.min() < 0 or len(np.unique(feature)) != len(feature):
        raise reader.fault("stamp/feature", "must hold features, from 0, each one once")
    if not np.isfinite(value).all():
        raise reader.fault("stamp/value", "holds NaN or infinity")
    if piece.min() < 0:
        raise reader.fault("stamp/piece", "parts are counted from 0")
    position = reader.integers("stamp/position")
    part = reader.integers("stamp/part", len(position))
    if len(position) and not (
        position.min() >= 0 and position.max() < samples and (np.diff(position) > 0).all()
    ):
        raise reader.fault("stamp/position", "must rise and lie within the samples")
    if not np.isin(part, [-1, *np.unique(piece)]).all():
        raise reader.fault("stamp/part", "names a part that the pattern does not have")
    return Stamp(target, feature, value, piece, position, part)


def _data_options(reader: h5.Reader) -> dict[str, Any]:
    return reader.document("data_options") if "data_options" in reader.handle.attrs else {}


def label_index(labels: Sequence[str], text: str, where: str) -> int:
    """Turn a label given by name or by number into its number; names win.

    ``where`` names the option in the UsageError for a label that is not there.
    """
    if text in labels:
        return list(labels).index(text)
    if text.isascii() and text.isdigit() and int(text) < len(labels):
        return int(text)
    shown = ", ".join(printable(name, 20) for name in labels[:12])
    raise UsageError(f"{where}: there is no label '{printable(text)}' (labels: {shown})")
