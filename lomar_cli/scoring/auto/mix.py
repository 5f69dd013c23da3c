"""The view on labels: clients whose samples of one class are called another.

Pairs of labels are judged first (``search``); in those that are guilty each client's own z decides.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lomar_cli.files.updates import Updates
from lomar_cli.scoring.auto.base import Seen, Sight, cannot
from lomar_cli.scoring.auto.contrast import Contrasts, follows
from lomar_cli.scoring.auto.gaps import told
from lomar_cli.scoring.auto.pairs import LEAST_HOLDERS, Array, Mask, Pair, at
from lomar_cli.scoring.auto.search import DOUBT, GATE, NOTHING, WAY, Search
from lomar_cli.scoring.auto.unmix import rows_seen, unfit

# From this on it ranks clients as they come on the way to being removed, below by a part of that.
_RANKED = -3.0
# The z that is too high for a single client, whatever the others do; and in multiples of what one
# client in a hundred exceeds in innocent pairs, where that is more.
_ALONE, _ALONE_HERE = 8.0, 4.0
# With no evidence of others than those, others must come so much of the way to them, or so far.
_NEAR_FAR = 0.3
# Spreads of a pair's own z above their median, with the clients found left out: of those who hold
# none of the source, if they are so many, and such a share (12 of 1,003 were not the bulk).
_BULK, _LEAST_BULK, _BULK_SHARE = 1.65, 10, 0.05
# Of like classes honest clients, too, have some in common. How much shows where the two labels are
# exchanged: nobody is guilty of less, if that is not more than so much of the way to this share of
# those who stand out.
_MOST_WAY, _OUTSTANDING = 0.5, 0.6
# Who stands out by so many spreads does so clearly; the others must come some of the way from the
# median to these, if that is not more than so many times what shows there: the loudest, whose major
# label it is, are no measure of the others.
_CLEAR, _TIMES = 3.0, 2.0
_LEAST_LABELS = 3
# In no round in which labels could be told less of what is there followed what clients say.
_FOLLOWS = 0.5
_TINY = 1e-12


def mix(seen: Seen) -> Sight:
    """Judge the labels' contents of a round by its output layer."""
    updates = seen.geometry.updates
    fault = unfit(updates)
    if fault is not None:
        return fault
    if updates.label_count < _LEAST_LABELS:
        return cannot(
            len(updates.clients),
            "with two labels there is no third to tell who of two calls them by the wrong names: "
            "label contents are not compared",
        )
    # Who lies by its bias is no witness, where the view on biases is not asked, either.
    word = rows_seen(seen, seen.trusted).word
    if word is not None:
        honest = seen.trusted & (word.suspicion <= 1)
        if honest.sum() > 0.5 * len(honest):
            seen = replace(seen, trusted=honest)
    return _Round(rows_seen(seen, seen.trusted), seen).sight(updates)


def _words(updates: Updates, target: int, source: int) -> str:
    called, others = updates.label_name(target), updates.label_name(source)
    return f"what it calls {called} holds what others call {others}"


class _Round(Search):
    def sight(self, updates: Updates) -> Sight:
        judged = int(self.judged.sum())
        if judged < 2:
            return cannot(
                self.count,
                f"fewer than two labels are held by {LEAST_HOLDERS} clients or more: label "
                "contents cannot be compared",
            )
        given = self.rows.gaps
        if given is not None and (given.refused or (given.own and not self._told())):
            return cannot(
                self.count,
                "parameters are missing from the output layer, others for each label, as where "
                "clients send a part of them or round: label contents are not compared",
            )
        if follows(self.content, self.rows.claims, self.trusted, self.judged) < _FOLLOWS:
            return cannot(
                self.count,
                "what clients hold of labels hardly shows in their rows, as where all hold about "
                "as much: label contents are not compared",
            )
        contrast, pairs = self._search()
        z = contrast.z
        alone = max(_ALONE, _ALONE_HERE * self._usual(z, pairs))
        suspicion = np.maximum(np.nanmax(z[:, self._both()], axis=1), 0.0) / alone
        words: dict[int, str] = {}
        if not pairs:
            return Sight(self._ranking(contrast, suspicion), False, notes=self.rows.notes)
        best = np.zeros(self.count)
        for pair in pairs:
            height = self._threshold(contrast, pairs, pair)
            own = np.maximum(z[:, pair.target, pair.source], 0.0)
            far = own > alone
            if far.any() and not self._are_more(contrast, pairs, pair, far):
                height = max(height, min(_NEAR_FAR * float(np.median(own[far])), alone / 2))
            own /= height
            said = _words(updates, pair.target, pair.source)
            words.update((int(i), said) for i in np.flatnonzero((own > 1) & (own > best)))
            best = np.maximum(best, own)
        suspicion = np.maximum(suspicion, best)
        accused = np.where(self._both(), z, -np.inf)
        for i in np.flatnonzero(suspicion > 1):
            words.setdefault(int(i), _words(updates, *at(z[i], accused[i].argmax())))
        named = ", ".join(
            f"{updates.label_name(p.source)}:{updates.label_name(p.target)}" for p in pairs
        )
        flipped = f"labels are flipped in this round: {named}"
        return Sight(suspicion, True, words, [flipped, *self.rows.notes])

    def _told(self) -> bool:
        return told(self.content[self.trusted], self.rows.claims[self.trusted], self._both())

    def _ranking(self, contrast: Contrasts, suspicion: Array) -> Array:
        """Nobody is flagged; the pair with the most evidence still ranks the clients."""
        ranks = np.minimum(suspicion, 0.99)
        found = self._all_evidence(contrast, self.trusted)
        g, s = at(found, found.argmin())
        if found[g, s] >= DOUBT:
            return ranks
        pair = self._pair(contrast.z, [], g, s)
        fit = self._fit([pair])
        if not self._majority(fit):
            return ranks
        # So much of the way from the most to being removed, and of the pair's to being guilty.
        z = contrast.z[:, g, s]
        most = max(float(np.median(z[fit])), 0.0)
        height = self._threshold(contrast, [pair], pair)
        way = (z - most) / max(height - most, _TINY)
        ranked: Array = np.clip(way * min(found[g, s] / _RANKED, 1.0), 0.0, 0.9) + 0.09 * ranks
        return ranked

    def _threshold(self, contrast: Contrasts, pairs: list[Pair], pair: Pair) -> float:
        """The z from which a client is guilty of a pair, of all those that were found."""
        z, fit = contrast.z, self._fit(pairs)
        height = self._height(z, [p for p in pairs if p is not pair], pair.source, fit)
        own = z[:, pair.target, pair.source]
        # Who holds some of the source lies below 0, and is no measure of the others.
        bulk = fit & (contrast.below[:, pair.target, pair.source] <= 0)
        if bulk.sum() < max(_LEAST_BULK, _BULK_SHARE * fit.sum()):
            bulk = fit
        middle, high = np.quantile(own[bulk], [0.5, 0.8413])
        spread = high - middle
        height = max(height, float(middle + _BULK * spread))
        mirror = z[fit, pair.source, pair.target]
        alike = float(np.quantile(mirror, 1 - self.false_alarm))
        clear = own[pair.clients & (own > middle + _CLEAR * spread)]
        if len(clear):
            way = float(middle + WAY * (np.median(clear) - middle))
            height = max(height, min(way, _TIMES * alike))
        out = own[pair.clients & (own > height)]
        if len(out):
            most = float(middle + _MOST_WAY * (np.quantile(out, _OUTSTANDING) - middle))
            height = max(height, min(alike, most))
        return height

    def _are_more(self, contrast: Contrasts, pairs: list[Pair], pair: Pair, far: Mask) -> bool:
        """Whether there is evidence of more in a pair than those who are ``far`` out."""
        rows = self._fit(pairs) | pair.clients
        many = self._evidence(contrast, rows)[pair.target, pair.source]
        others = self._all_evidence(contrast, rows & ~far)[pair.target, pair.source]
        return bool(many <= GATE + self.strict or others <= NOTHING)
