"""Which pairs of labels are guilty, and by whom: one after another, the clearest first.

The clients that are found leave the fit, so that their flips no longer bend what the others are
measured by.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from lomar_cli.scoring.auto.contrast import Contrasts, left_over, otherwise, told_apart
from lomar_cli.scoring.auto.evidence import LEAST_CLIENTS
from lomar_cli.scoring.auto.pairs import Array, Mask, Pair, Pairs, at

# log10 of the chance at which a pair is found guilty, at a false alarm of 0.01.
GATE = -6.0
# Where clients' data differ in more than their labels (``contrast.otherwise``: 2.3 at most where
# they do not), and labels are told apart no better than a few times their noise (where they are, as
# in KDD Cup 99, all that is left has a common course), the z of honest clients are wider. Divided
# by this they come to 10^-3.8, in one round of 96 to 10^-6.
_COURSE, _TOLD_APART, _WIDE, _WIDE_GATE = 2.5, 5.0, 1.5, -4.5
# Theirs tail off; those of flippers stand together: of whose z is above the first, so many at least
# are above the second.
_SOMEWHAT, _CLEARLY, _TOGETHER = 1.0, 2.0, 0.67
# So much of it beyond that of every pair that shares neither label with it is enough, too, where
# there are so many of these: in a round with less noise than is allowed for, all others show it.
_BEYOND, _ENOUGH = -4.5, 20
# Many flips bend the fit that they are seen by: from this evidence on a pair is looked at once more
# with its own clients left out of the fit, and guilty of that much then. Innocent pairs, whose
# highest z are taken for flips so, were found to come to -16.
_SUSPECT, _SURE = -2.5, -30.0
# A pair whose mirror image has evidence of its own is a question of who is right.
DOUBT = -2.0
# An accusation may rest on the word of a few: those who hold at least so much of the label, of the
# most that anybody does. So much evidence is none, and so is this share of what there was.
_LEAD, NOTHING, _LITTLE = 0.5, -1.0, 0.15
# Neither side is asked then, if so many others are there to be asked.
_JURY = 0.3
# More pairs than can be guilty have evidence of their own where clients lie about what they hold.
# Where such lies would show, so do flips of several pairs, which bend what others are measured by
# (35 of 90 pairs at most; with ten labels or fewer there are no more than 90), and 50 labels of two
# clients each (340 of 2,450).
_UNSURE, _MANY_PAIRS = -1.0, 100
_PAIRS, _STEPS = 4, 2
# So much of the way to those who stand out must others come to be of them.
WAY = 0.4
_TINY = 1e-12


class Search(Pairs):
    """The search for the guilty pairs of a round."""

    def _search(self) -> tuple[Contrasts, list[Pair]]:
        """Find guilty pairs, the clearest first; the contrasts are those of the last fit."""
        pairs: list[Pair] = []
        unsettled: list[int] = []
        contrast = self._contrasts(self.trusted)
        found = self._evidence(contrast, self.trusted)
        # Who lies by its bias is found by that, where it would show.
        word = self.rows.word
        most = _MANY_PAIRS if word is not None and word.tells else _PAIRS
        self.believed = bool((found < _UNSURE).sum() <= most)
        found = self._all_evidence(contrast, self.trusted)
        for _ in range(_PAIRS):
            found[:, [*unsettled, *(pair.source for pair in pairs)]] = 0.0
            g, s = at(found, found.argmin())
            guilty = self._is_guilty(found, pairs, g, s)
            guilty = guilty and self._is_enough(contrast, pairs, g, s)
            # Where many pairs have evidence it is not the flips of one that bend the fit.
            if not guilty and (found[g, s] > _SUSPECT or not self.believed):
                break
            pair = self._pair(contrast.z, pairs, g, s)
            pair = self._who_is_right(contrast.z, found, pairs, pair)
            if not pair.clients.any():
                # What s is they do not agree on.
                unsettled.append(s)
                continue
            pair = self._settled(pairs, pair)
            fit = self._fit([*pairs, pair])
            if not pair.clients.any() or not self._majority(fit):
                break
            without = self._contrasts(fit)
            if not guilty and not self._is_sure(without, self._fit(pairs), pair):
                break
            pairs.append(pair)
            contrast = without
            found = self._all_evidence(contrast, fit)
        return contrast, pairs

    def _is_guilty(self, found: Array, before: list[Pair], g: int, s: int) -> bool:
        innocent = self._innocent(found, len(before))
        if found[g, s] - innocent <= GATE + self.strict:
            return True
        if innocent < GATE - _BEYOND:
            return False  # a round with more noise than is allowed for
        apart = self._both()
        apart[g, :] = apart[s, g] = False
        apart[:, [s, *(pair.source for pair in before)]] = False
        beyond = found[g, s] - found[apart].min(initial=0.0)
        return bool(apart.sum() >= _ENOUGH and beyond <= _BEYOND + self.strict)

    def _is_enough(self, contrast: Contrasts, before: list[Pair], g: int, s: int) -> bool:
        """Whether the evidence of a pair holds where honest clients' z may be wider, too."""
        rows = self._fit(before)
        own = contrast.z[rows][:, g, s]
        if (own > _CLEARLY).sum() >= _TOGETHER * (own > _SOMEWHAT).sum():
            return True
        wide = Contrasts(contrast.z / _WIDE, contrast.below / _WIDE)
        if self._all_evidence(wide, rows)[g, s] <= _WIDE_GATE + self.strict:
            return True
        plain = self._evidence(contrast, rows)
        plain[:, [pair.source for pair in before]] = 0.0
        return self._is_guilty(plain, before, g, s) and not self._differ_otherwise(g, s)

    def _differ_otherwise(self, g: int, s: int) -> bool:
        """Whether clients differ in more than their labels, which labels g and s leave alone."""
        if self.left_over is None:
            return False
        others = self.compared.copy()
        others[[g, s]] = False
        return otherwise(self.left_over, others) > _COURSE

    @cached_property
    def left_over(self) -> Array | None:
        """What labels leave of the contents; None where they are told apart too well to ask it."""
        claims, faint = self.rows.claims, self.rows.faint
        if told_apart(self.content, claims, self.trusted, faint) > _TOLD_APART:
            return None
        return left_over(self.content, self.rows.rest, self.trusted)

    def _is_sure(self, without: Contrasts, rows: Mask, pair: Pair) -> bool:
        """Whether ``rows`` bear out a suspicion where the suspects are not among the fitted."""
        found = self._evidence(without, rows)[pair.target, pair.source]
        return bool(found <= _SURE + self.strict)

    def _innocent(self, found: Array, before: int) -> float:
        """The most that innocent pairs show in this round.

        All pairs that can be guilty, and what shares a label with these, are left out.
        """
        left = found.copy()
        for _ in range(_PAIRS - before):
            g, s = at(left, left.argmin())
            left[[g, s]] = 0.0
            left[:, [g, s]] = 0.0
        return float(left.min())

    def _who_is_right(self, z: Array, found: Array, before: list[Pair], pair: Pair) -> Pair:
        """One side relabels s as g, or the other g as s: take out each and see what remains.

        With both sides out of the fit the guilty still stand out from the others; an accusation
        that rests on the word of a few on what s is does not, and then it is they who are wrong,
        if they stand out themselves or are too few to tell; else nobody is. Where both sides have
        evidence, the others agree with each other without the guilty.
        """
        g, s = pair.target, pair.source
        mirror = self._pair(z, before, s, g)
        doubted = bool(found[s, g] < DOUBT) and bool(mirror.clients.any())
        if not doubted:
            mirror = self._leading(before, pair)
        fits = [self._fit([*before, one]) for one in (pair, mirror)]
        if not mirror.clients.any() or not all(self._majority(fit) for fit in fits):
            return pair
        both = fits[0] & fits[1]
        if both.sum() > _JURY * self.count:
            without = self._contrasts(both)
            remains = self._all_evidence(without, both | pair.clients)[g, s]
            others = self._evidence(without, both | mirror.clients)[s, g]
            sure = bool(others <= (GATE if doubted else _SURE) + self.strict)
            had = min(found[g, s], others) if sure else found[g, s]
            if remains > min(NOTHING, _LITTLE * had):
                if sure or mirror.clients.sum() < LEAST_CLIENTS:  # Too few to tell.
                    return mirror
                return replace(pair, clients=np.zeros_like(pair.clients))
        if not doubted:
            return pair
        left = []
        for fit, other in zip(fits, (mirror, pair), strict=True):
            seen = self._evidence(self._contrasts(fit), fit | other.clients)
            left.append(seen[other.target, other.source])
        return mirror if left[1] > left[0] + 1 else pair

    def _leading(self, before: list[Pair], pair: Pair) -> Pair:
        """The mirror of a pair by the word of a few, without evidence in the round as it is.

        Of those who hold the most of the source, and so say what it is, they are the ones who
        stand out where all others say it.
        """
        fit = self._fit(before)
        held = self.rows.claims
        share = held[:, pair.source] / np.maximum(held.sum(axis=1), _TINY)
        leaders = fit & (share > _LEAD * share[fit].max())
        without = fit & ~leaders
        clients = np.zeros_like(fit)
        if self._majority(without):
            z = self._contrasts(without).z
            height = self._height(z, before, pair.target, without)
            own = z[:, pair.source, pair.target]
            clients = leaders & (own > height)
            if clients.any():
                # Who holds a lot of it and calls it by its name may stand out by a little.
                clients &= own > WAY * np.median(own[clients])
        return Pair(pair.source, pair.target, clients)

    def _settled(self, before: list[Pair], pair: Pair) -> Pair:
        """Fit without the clients found, and look again who stands out."""
        for _ in range(_STEPS):
            fit = self._fit([*before, pair])
            if not self._majority(fit):
                break
            pair = self._pair(self._contrasts(fit).z, before, pair.target, pair.source)
        return pair
