"""Say what is in any of our files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lomar_cli.errors import InputError, UsageError
from lomar_cli.files import h5
from lomar_cli.files.model import read_model
from lomar_cli.files.output_layer import likely_output, output_candidates
from lomar_cli.files.round import Round, open_round, open_rounds
from lomar_cli.files.scores import read_scores
from lomar_cli.files.split import Split, read_split
from lomar_cli.files.text import printable
from lomar_cli.files.truth import as_truth, read_json


def describe(path: Path, layers: bool = False) -> dict[str, Any]:
    """Read ``path`` whole, checking all that its reader checks, and return what it holds.

    The keys are ``kind``, ``sha256``, kind-specific facts, and ``provenance``; with ``layers``, of
    a round or model, also the parameters that could be its output layer, and the likely one.
    """
    if not path.is_file():
        raise InputError(f"{printable(str(path))}: no such file")
    if h5.is_hdf5(path):
        with h5.open_read(path) as reader:
            kind = reader.string("format").removeprefix("lomar/")
            head = {
                "kind": kind,
                "format_version": reader.integer("format_version"),
                "generator": reader.string("generator"),
                "sha256": reader.content_sha256(),
            }
        describers = {"round": _round, "model": _model, "split": _split, "scores": _scores}
        if kind not in describers:
            raise InputError(f"{printable(str(path))}: format: '{printable(kind)}' is not known")
        found = {**head, **describers[kind](path)}
        if layers:
            if kind not in ("round", "model"):
                raise UsageError(f"--layers: a {kind} file has no layers")
            found["output_candidates"] = _candidates(path, kind)
        return found
    if layers:
        raise UsageError("--layers: only rounds and models have layers")
    return _text(path)


def _candidates(path: Path, kind: str) -> dict[str, str]:
    """The possible output layers, each with its labels and bias, and which of them is likely."""
    if kind == "round":
        with open_round(path, verify=False) as found:
            scored = found.updates.scored().tensors
            shapes = {name: tuple(tensor.shape[1:]) for name, tensor in scored.items()}
    else:
        shapes = {n: tuple(v.shape) for n, v in read_model(path).parameters.items()}
    likely, why = likely_output(shapes)
    return {
        one.weight: f"{shapes[one.weight][one.label_axis]} labels along axis {one.label_axis}, "
        + (f"bias {one.bias}" if one.bias else "no bias")
        + (f" (likely: {why})" if likely == one else "")
        for one in output_candidates(shapes)
    }


def describe_set(paths: Sequence[Path]) -> dict[str, Any]:
    """Read the several files of one round whole, checking all, and return what they hold.

    The keys are those of a round, and ``files``, by name in their order with their digests.
    """
    with open_rounds(paths) as found:
        files = {printable(str(one.path)): one.sha256 for one in found.files}
        return {"kind": "round", "sha256": found.sha256, "files": files, **_round_facts(found)}


def _round(path: Path) -> dict[str, Any]:
    with open_round(path) as found:
        shard = found.files[0].shard
        return {**({"shard": str(shard)} if shard else {}), **_round_facts(found)}


def _round_facts(found: Round) -> dict[str, Any]:
    head = found.head
    return {
        "clients": len(head.clients),
        "parameters": sum(math.prod(shape) for shape in head.shapes.values()),
        "round_number": head.round_number,
        "base_sha256": head.base_sha256 or None,
        "architecture": head.architecture or None,
        "output_layer": head.output.weight if head.output else None,
        "labels": found.updates.label_count if head.output else None,
        "num_examples": _span(head.num_examples),
        "buffers": sorted(head.buffers),
        "tensors": {n: f"{head.dtypes[n]} {list(s)}" for n, s in head.shapes.items()},
        "provenance": found.provenance,
    }


def _model(path: Path) -> dict[str, Any]:
    model = read_model(path)
    return {
        "parameters_sha256": model.sha256,
        "parameters": sum(int(value.size) for value in model.parameters.values()),
        "architecture": model.architecture or None,
        "round_number": model.round_number,
        "output_layer": model.output.weight if model.output else None,
        "labels": list(model.labels),
        "tensors": {n: f"{v.dtype} {list(v.shape)}" for n, v in model.parameters.items()},
        "provenance": model.provenance,
    }


def _split(path: Path) -> dict[str, Any]:
    split = read_split(path)
    changed = np.stack([split.overlay.original, split.overlay.label], axis=1)
    pairs, counts = np.unique(changed, axis=0, return_counts=True)
    return {
        "dataset": split.dataset,
        "dataset_sha256": split.dataset_sha256,
        "clients": len(split.clients),
        "samples_per_client": _span(np.array([len(own) for own in split.samples])),
        "scheme": split.scheme,
        "options": split.options,
        "labels": list(split.labels),
        "relabelled": {
            f"{split.labels[source]}:{split.labels[target]}": int(count)
            for (source, target), count in zip(pairs, counts, strict=True)
        },
        **_stamped(split),
        "provenance": split.provenance,
    }


def _stamped(split: Split) -> dict[str, Any]:
    """What only few splits have: a data set read with options, a backdoor's pattern."""
    found: dict[str, Any] = {"data_options": split.data_options} if split.data_options else {}
    if split.stamp is not None:
        found["stamped"] = len(split.stamp.position)
        found["backdoor_target"] = split.labels[split.stamp.target]
    return found


def _scores(path: Path) -> dict[str, Any]:
    scores = read_scores(path)
    return {
        "method": scores.method or None,
        "threshold": scores.threshold if math.isfinite(scores.threshold) else None,
        "clients": len(scores.clients),
        "flagged": int((~scores.keep).sum()),
        "round_sha256": scores.round_sha256 or None,
        "options": scores.options,
        "notes": list(scores.notes),
        "provenance": scores.provenance,
    }


def _text(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".json":
        document = read_json(path)
        if "malicious" in document:
            truth = as_truth(document, path)
            return {**_steps(path, truth.about), "malicious": len(truth.malicious), "kind": "truth"}
        if "accuracy" in document or "detection" in document:
            return {**_steps(path, document), "kind": "metrics"}
        # Or a large table would be held twice.
        del document
    return {"kind": "scores", **_scores(path)}


def _steps(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """The document, if its provenance (where it has one) is a list of objects."""
    steps = document.get("provenance", [])
    fields = ("options", "inputs")
    if not isinstance(steps, list) or not all(
        isinstance(step, dict) and all(isinstance(step.get(f, {}), dict) for f in fields)
        for step in steps
    ):
        raise InputError(f"{printable(str(path))}: provenance: must be a list of stages")
    return document


def _span(values: Any) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"
