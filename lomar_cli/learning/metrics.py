"""How good a model is, and how well a verdict meets the truth (sec. 4.1.5, 4.3.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def accuracy(
    predicted: Ints, truth: Ints, labels: Sequence[str], flips: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """Accuracy over all samples, by label, and over source, target and all other labels.

    ``flips`` are (source, target) label numbers. ``source`` counts the samples whose true label is
    flipped by the attack, ``target`` those of the labels they are flipped to, ``other`` the rest;
    ``source_as_target`` is the share of source samples taken for their target. None where a group
    has no samples.
    """
    right = predicted == truth
    per_label = {name: _mean(right[truth == label]) for label, name in enumerate(labels)}
    known = [value for value in per_label.values() if value is not None]
    found: dict[str, Any] = {
        "overall": _mean(right),
        "mean_per_label": float(np.mean(known)) if known else None,
        "per_label": per_label,
        "samples": len(truth),
    }
    if flips:
        sources = sorted({source for source, _ in flips})
        targets = sorted({target for _, target in flips})
        fooled = [predicted[truth == source] == target for source, target in flips]
        found["flips"] = [f"{labels[s]}:{labels[t]}" for s, t in flips]
        found["source"] = _mean(right[np.isin(truth, sources)])
        found["target"] = _mean(right[np.isin(truth, targets)])
        found["other"] = _mean(right[~np.isin(truth, sources + targets)])
        found["source_as_target"] = _mean(np.concatenate(fooled))
    return found


def backdoor(
    plain: Ints, stamped: Ints, truth: Ints, labels: Sequence[str], target: int
) -> dict[str, Any]:
    """How often samples of other labels are taken for ``target``, with the pattern and without."""
    others = truth != target
    return {
        "backdoor_target": labels[target],
        "attack_success": _mean(stamped[others] == target),
        "attack_success_unstamped": _mean(plain[others] == target),
        "attack_samples": int(others.sum()),
    }


def detection(
    clients: Sequence[str],
    suspicion: NDArray[np.float64],
    keep: NDArray[np.bool_],
    malicious: Collection[str],
) -> dict[str, Any]:
    """AUC of the suspicion, and what the verdict found.

    ``found`` is the share of malicious clients that were flagged, ``false_alarms`` the share of
    clean ones, ``precision`` the share of flagged ones that are malicious. None where a share has
    nothing to count.
    """
    guilty = np.array([client in malicious for client in clients], dtype=bool)
    flagged = ~np.asarray(keep, dtype=bool)
    return {
        "clients": len(clients),
        "malicious": int(guilty.sum()),
        "flagged": int(flagged.sum()),
        "auc": auc(suspicion[guilty], suspicion[~guilty]),
        "found": _mean(flagged[guilty]),
        "false_alarms": _mean(flagged[~guilty]),
        "precision": _mean(guilty[flagged]),
    }


def auc(malicious: NDArray[np.float64], clean: NDArray[np.float64]) -> float | None:
    """The share of pairs in which the malicious client is the more suspicious; ties count half.

    This is the area under the ROC curve (Hanley & McNeil 1982). scikit-learn has it too, but
    takes longer to load than the rest of an evaluation takes. None without a pair.
    """
    if not len(malicious) or not len(clean):
        return None
    ordered = np.sort(clean)
    below = np.searchsorted(ordered, malicious, "left").sum(dtype=np.int64)
    ties_too = np.searchsorted(ordered, malicious, "right").sum(dtype=np.int64)
    return float((below + ties_too) / (2 * len(malicious) * len(clean)))


def _mean(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if values.size else None
