"""Slow and obvious versions of the contrasts and of the evidence of a pair."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq, nnls
from scipy.stats import binom, gamma, norm

from lomar_cli.scoring.auto import contrast, evidence, tails


def _robust(x, y, steps, fit):
    """Least absolute deviations by reweighting: what is left, its spread, the coefficients."""
    weight = [1.0] * len(y)
    for _ in range(steps):
        coefficients = fit(x, y, weight)
        left = [yi - float(np.dot(xi, coefficients)) for xi, yi in zip(x, y, strict=True)]
        spread = 1.4826 * float(np.median([abs(one) for one in left])) + 1e-12
        weight = [1 / max(abs(one) / spread, 0.05) for one in left]
    return left, spread, coefficients


def _ridge(x, y, weight):
    root = np.sqrt(np.array(weight))[:, None]
    wide = root * np.array(x)
    ridge = 1e-3 * (wide**2).sum() / wide.shape[1] + 1e-12
    more = np.vstack([wide, math.sqrt(ridge) * np.eye(wide.shape[1])])
    return np.linalg.lstsq(more, np.append(root[:, 0] * y, np.zeros(wide.shape[1])), rcond=None)[0]


def _from_zero(x, y, weight):
    root = np.sqrt(np.array(weight))
    return nnls(root[:, None] * np.array(x), root * y)[0]


def units(content, held, noise, trusted):
    """A column's noise in units of a row's: the root mean square over rows of what is left."""
    count, labels, _ = content.shape
    rows = [i for i in range(count) if trusted[i]]
    found = np.zeros(labels)
    for column in range(labels):
        total = 0.0
        for row in range(labels):
            x = [held[i] / math.sqrt(noise[i, row]) for i in rows]
            y = np.array([content[i, row, column] / math.sqrt(noise[i, row]) for i in rows])
            total += _robust(x, y, contrast._NOISE_STEPS, _ridge)[1] ** 2
        found[column] = math.sqrt(total / labels)
    return found


def contrasts(content, rest, trusted, judged):
    count, labels, _ = content.shape
    held = np.array([[max(a[r, r], 0.0) for r in range(labels)] for a in content])
    noise = rest + 1e-3 * np.median(rest)
    unit = units(content, held, noise, trusted)
    z, below = np.full((2, count, labels, labels), np.nan)
    for s in range(labels):
        for g in range(labels):
            if g == s or not (judged[g] and judged[s]):
                continue
            x, y, variances = [], [], []
            for i in range(count):
                even = 2 * held[i].sum() / labels
                major = [max(one - even, 0.0) for one in held[i]]
                own = contrast._OWN_MEAN**2 * (major[g] ** 2 + major[s] ** 2)
                deviation = math.sqrt(unit[s] ** 2 * (noise[i, g] + noise[i, s]) + own)
                some = contrast._SOME * unit[s] * math.sqrt(noise[i, s])
                below[i, g, s] = max(held[i, s] - some, 0.0) / deviation
                y.append((content[i, g, s] - content[i, s, s]) / deviation)
                x.append([0.0 if r == s else held[i, r] / deviation for r in range(labels)])
                variances.append(deviation**2)
            x, y = np.array(x), np.array(y)
            few = contrast._HOLDS * unit[s]
            fair = [i for i in range(count) if trusted[i]]
            without = [i for i in fair if held[i, s] <= few * math.sqrt(noise[i, s])]
            rows = without if 2 * len(without) > len(fair) else fair
            # Those who hold s lie below 0 by that; a share 1/R of it is left.
            level = y + held[:, s] / np.sqrt(variances) if rows is fair else y
            _, _, fit = _robust(x[rows], level[rows], contrast._FIT_STEPS, _from_zero)
            z[:, g, s] = y - x @ fit
    return z, below


def chances(z, below, rows):
    """log10 of the smallest binomial tail over all heights, by pair; depths in tenths, up to 8."""
    z, below = z[rows], np.minimum(np.round(below[rows], 1), 8.0)
    count, labels, _ = z.shape
    judged = [(g, s) for g in range(labels) for s in range(labels) if not np.isnan(z[0, g, s])]
    pool = [z[i, g, s] for g, s in judged for i in range(count)]
    found = np.zeros((labels, labels))
    for g, s in judged:
        own = sorted(z[:, g, s], reverse=True)[: count // 2]
        best = None
        for many, height in enumerate(own, start=1):
            if height <= evidence.LEAST_Z or many < evidence.LEAST_CLIENTS:
                continue
            elsewhere = sum(one >= height for one in pool) - many + 1
            shared = elsewhere / max(len(pool) - count, 1)

            def expected(pair, height=height):
                depths = below[:, pair[0], pair[1]]
                return sum(norm.sf((height + depth) / evidence.WIDER) for depth in depths)

            own = expected((g, s)) / count
            rest = sum(expected(pair) for pair in judged if pair != (g, s))
            chance = min(max(own, min(own * elsewhere / rest, shared)), 1.0)
            tail = binom.sf(many - 1, count, chance)
            best = tail if best is None else min(best, tail)
        if best is not None:
            found[g, s] = math.log10(max(best, 1e-300))
    return found


def tail_chances(z, below, rows):
    """log10 of the lower of both chances by pair, doubled; the tail's width by root finding."""
    z, below = z[rows], np.minimum(np.round(below[rows], 1), 8.0)
    count, labels, _ = z.shape
    judged = [(g, s) for g in range(labels) for s in range(labels) if not np.isnan(z[0, g, s])]

    def expected(pair, height, width):
        return sum(norm.sf((height + depth) / width) for depth in below[:, pair[0], pair[1]])

    def width(pair):
        others = [other for other in judged if other != pair]
        pool = sorted((z[i, g, s] for g, s in others for i in range(count)), reverse=True)
        many = max(tails.FEWEST, round(tails.SHARE * len(pool)))
        if many > len(pool) or pool[many - 1] <= evidence.LEAST_Z:
            return evidence.WIDER

        def short(wide):
            return sum(expected(other, pool[many - 1], wide) for other in others) - many

        if short(evidence.WIDER) >= 0:
            return evidence.WIDER
        return tails.WIDEST if short(tails.WIDEST) < 0 else brentq(short, 1.0, tails.WIDEST)

    found = np.zeros((labels, labels))
    for g, s in judged:
        wide = width((g, s))
        lowest, taken = 0.0, []
        for height in sorted(z[:, g, s], reverse=True)[: count // 2]:
            if height <= evidence.LEAST_Z:
                break
            taken.append(min(max(expected((g, s), height, wide) / count, tails.LEAST_CHANCE), 1.0))
            many = len(taken)
            binomial = math.log(max(binom.sf(many - 1, count, taken[-1]), 1e-300))
            product = gamma.logsf(-sum(math.log(one) for one in taken), many)
            together = math.log(math.comb(count, many)) + max(product, math.log(1e-300))
            lowest = min(lowest, (min(binomial, together) + math.log(2)) / math.log(10))
        found[g, s] = lowest
    return found
