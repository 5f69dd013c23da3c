"""Slow and obvious versions of what ``lomar-auto`` computes, written from its docs/method.md."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm


def quantile(ordered, share):
    """Linear between the two nearest ranks."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def core(values, noise=0.0):
    ordered = sorted(values)
    centre = quantile(ordered, 0.5)
    spread = max(centre - quantile(ordered, 0.1587), quantile(ordered, 0.8413) - centre)
    return centre, max(spread, noise)


def cut(values, width, gap, false_alarm=0.01, noise=0.0):
    """The forward search: (indices beyond the cut, limit, the core's centre).

    Limit None: nobody.
    """
    count = len(values)
    order = sorted(range(count), key=lambda i: values[i])
    strict = norm.ppf(1 - false_alarm / 10) / norm.ppf(0.999)
    start = math.ceil(0.55 * count)
    inside = [values[i] for i in order[:start]]
    centre, spread = core(inside, noise)
    if inside[-1] > centre + width * (1 + 10 / count) * spread:
        return set(), None, core(values)[0]
    for size in range(start, count):
        inside = [values[i] for i in order[:size]]
        centre, spread = core(inside, noise)
        new = values[order[size]]
        far = new > centre + width * (1 + 10 / count) * strict * spread
        if spread > 0 and far and new - inside[-1] > gap * spread:
            return set(order[size:]), (new + inside[-1]) / 2, centre
    return set(), None, core(values)[0]


def suspicions(values, width, gap, false_alarm=0.01, noise=0.0):
    """The same as suspicions: 1 at the limit, 0 at the centre and below."""
    flagged, limit, centre = cut(values, width, gap, false_alarm, noise)
    if limit is None:
        _, spread = core(values, noise)
        strict = norm.ppf(1 - false_alarm / 10) / norm.ppf(0.999)
        reach = width * (1 + 10 / len(values)) * strict * spread
        limit = centre + max(reach, 1.01 * (max(values) - centre))
    return np.array([max((v - centre) / (limit - centre), 0.0) for v in values]), flagged


def ranked(values):
    """Suspicions that found nobody: up to 0.98, ten spreads of the nearest 80 % being 1."""
    nearest = sorted(values)[: math.ceil(0.8 * len(values))]
    centre, spread = core(nearest)
    if spread < 1e-9:
        return values
    return [max(one, min((one - centre) / (10 * spread), 0.98)) for one in values]


def distances(flat):
    """Sorted distances of every client to all others, nearest first."""
    found = []
    for i, one in enumerate(flat):
        others = [
            math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)))
            for j, other in enumerate(flat)
            if j != i
        ]
        found.append(sorted(others))
    return found


def complete_linkage(flat, share):
    """Merge the two groups whose furthest members are nearest, while these are near-copies.

    Far is a distance in units of ``share`` of the shorter one's length. Sets of rows.
    """
    zero = [0.0] * len(flat[0])
    between = [
        [math.dist(a, b) / (share * min(math.dist(a, zero), math.dist(b, zero))) for b in flat]
        for a in flat
    ]
    groups = [{i} for i in range(len(flat))]
    while len(groups) > 1:
        far, x, y = min(
            (max(between[i][j] for i in a for j in b), x, y)
            for x, a in enumerate(groups)
            for y, b in enumerate(groups)
            if x < y
        )
        if far > 1:
            break
        groups[x] |= groups.pop(y)
    return {frozenset(group) for group in groups}


def unmixed(seen, trusted):
    """The regression as one least squares problem with the ridge as more rows."""
    count, labels, size = seen.parts.shape
    floor = 0.1 * np.median(seen.rest)
    rows, wanted, weights = [], [], []
    for i in range(count):
        if not trusted[i]:
            continue
        for r in range(labels):
            rows.append(seen.parts[i, r])
            target = [
                seen.claims[i, label] * ((label == r) - 1 / labels) for label in range(labels)
            ]
            wanted.append(target)
            weights.append(1 / (seen.rest[i, r] + floor))
    x, y, w = np.array(rows), np.array(wanted), np.sqrt(np.array(weights))[:, None]
    ridge = 1e-3 * ((w * x) ** 2).sum() / size
    wide = np.vstack([w * x, math.sqrt(ridge) * np.eye(size)])
    maps = np.linalg.lstsq(wide, np.vstack([w * y, np.zeros((size, labels))]), rcond=None)[0]
    found = np.empty((count, labels, labels))
    for i in range(count):
        for r in range(labels):
            for label in range(labels):
                found[i, r, label] = seen.parts[i, r] @ maps[:, label]
    return found
