"""A round's updates in two dimensions, as Figure 2 of the paper shows them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.split import label_index
from lomar_cli.files.updates import Updates
from lomar_cli.threads import one_blas_thread


def updates_map(
    updates: Updates, malicious: Collection[str], labels: Sequence[str]
) -> dict[str, Any]:
    """First two principal components of the whole updates and of the blocks of ``labels``.

    ``points`` are a list of [x, y] a client in the order of the round; ``share`` is how much of
    the variance the two components hold. ``distance`` is how far the mean malicious update lies
    from the mean honest one, in all dimensions, and ``spread`` how far malicious updates lie from
    their mean (root mean square), both as multiples of how far honest ones lie from theirs; None
    where one of these is nothing.
    """
    parts: dict[str, NDArray[Any]] = {"whole update": _whole(updates)}
    for label in labels:
        parts[f"label {label}"] = updates.label_block(label_index(updates.labels, label, "flip"))
    bad = np.array([client in malicious for client in updates.clients])
    with one_blas_thread():
        return {
            "malicious": bad.astype(int).tolist(),
            "parts": {
                name: {**_components(block), **_apart(block, bad)} for name, block in parts.items()
            },
        }


def _whole(updates: Updates) -> NDArray[np.float64]:
    flat = [np.asarray(t[:], np.float64).reshape(t.shape[0], -1) for t in updates.tensors.values()]
    return np.concatenate(flat, axis=1)


def _apart(block: NDArray[Any], bad: NDArray[np.bool_]) -> dict[str, float | None]:
    """Distance and spread of the malicious rows, in spreads of the honest ones."""
    finite = np.isfinite(block).all(axis=1)
    means, spreads = [], []
    for rows in (finite & ~bad, finite & bad):
        if not rows.any():
            return {"distance": None, "spread": None}
        kind = block[rows].astype(np.float64)
        means.append(kind.mean(axis=0))
        spreads.append(float(np.sqrt(((kind - means[-1]) ** 2).sum(axis=1).mean())))
    if spreads[0] == 0:
        return {"distance": None, "spread": None}
    distance = float(np.linalg.norm(means[1] - means[0]))
    return {
        "distance": float(f"{distance / spreads[0]:.6g}"),
        "spread": float(f"{spreads[1] / spreads[0]:.6g}"),
    }


def _components(block: NDArray[Any]) -> dict[str, Any]:
    """Principal components by the small side: the Gram matrix over clients, (n, n).

    Updates that hold NaN or infinity lie in the middle, where they move nobody.
    """
    finite = np.isfinite(block).all(axis=1)
    block = np.where(finite[:, None], block, block[finite].mean(axis=0) if finite.any() else 0)
    centred = block.astype(np.float64) - block.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred @ centred.T)
    top = vectors[:, ::-1][:, :2]
    # An eigenvector's sign is arbitrary: let its largest entry be positive.
    top = top * np.sign(top[np.abs(top).argmax(axis=0), np.arange(top.shape[1])])
    kept = np.maximum(values[::-1][:2], 0)
    points = top * np.sqrt(kept)
    total = float(np.maximum(values, 0).sum())
    return {
        "points": [[float(f"{value:.6g}") for value in point] for point in points],
        "share": round(float(kept.sum()) / total, 6) if total > 0 else 0.0,
    }
