"""The view on labels: clients whose samples of one class are called another.

Pairs of labels are judged first (``evidence``), one after another, and the clients found leave
the fit, so that their flips no longer bend what the others are measured by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lomar_cli.files.updates import Updates
from lomar_cli.scoring.auto.base import Seen, Sight, cannot
from lomar_cli.scoring.auto.contrast import (
    Contrasts,
    contrasts,
    follows,
    left_over,
    otherwise,
    told_apart,
)
from lomar_cli.scoring.auto.evidence import LEAST_CLIENTS, evidence, level
from lomar_cli.scoring.auto.gaps import told
from lomar_cli.scoring.auto.tails import tail_evidence
from lomar_cli.scoring.auto.unmix import Rows, rows_seen, unfit, unmix

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# log10 of the chance at which a pair is found guilty, at a false alarm of 0.01.
_GATE = -6.0
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
# Below this a contrast is no evidence in any pair.
_LEAST = 0.3
# A pair whose mirror image has evidence of its own is a question of who is right.
_DOUBT = -2.0
# An accusation may rest on the word of a few: those who hold at least so much of the label, of the
# most that anybody does. So much evidence is none, and so is this share of what there was.
_LEAD, _NOTHING, _LITTLE = 0.5, -1.0, 0.15
# Neither side is asked then, if so many others are there to be asked.
_JURY = 0.3
# From this on it ranks clients as they come on the way to being removed, below by a part of that.
_RANKED = -3.0
# More pairs than can be guilty have evidence of their own where clients lie about what they hold.
# Where such lies would show, so do flips of several pairs, which bend what others are measured by
# (35 of 90 pairs at most; with ten labels or fewer there are no more than 90), and 50 labels of two
# clients each (340 of 2,450).
_UNSURE, _MANY_PAIRS = -1.0, 100
# The z that is too high for a single client, whatever the others do; and in multiples of what one
# client in a hundred exceeds in innocent pairs, where that is more.
_ALONE, _ALONE_HERE = 8.0, 4.0
# With no evidence of others than those, others must come so much of the way to them, or so far.
_NEAR_FAR = 0.3
_PAIRS, _STEPS = 4, 2
# Spreads of a pair's own z above their median, with the clients found left out: of those who do not
# clearly hold the source, if they are so many.
_BULK, _LEAST_BULK = 1.65, 10
# Of like classes honest clients, too, have some in common. How much shows where the two labels are
# exchanged: nobody is guilty of less, if that is not more than so much of the way to this share of
# those who stand out.
_MOST_WAY, _OUTSTANDING = 0.5, 0.6
# Who stands out by so many spreads does so clearly; the others must come so much of the way from
# the median to these, if that is not more than so many times what shows there: the loudest, whose
# major label it is, are no measure of the others.
_CLEAR, _WAY, _TIMES = 3.0, 0.4, 2.0
_LEAST_HOLDERS, _LEAST_COMPARED = 8, 4
# A share of the clients that clearly hold a label, from which on its tails are asked.
_COMMON = 0.25
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


@dataclass(frozen=True)
class _Pair:
    """Samples of class ``source`` are called ``target`` by ``clients`` (n,)."""

    target: int
    source: int
    clients: Mask


def _at(pairs: Array, place: np.intp) -> tuple[int, int]:
    """Target and source at a flat place of (R, R) numbers."""
    g, s = np.unravel_index(place, pairs.shape)
    return int(g), int(s)


def _words(updates: Updates, target: int, source: int) -> str:
    called, others = updates.label_name(target), updates.label_name(source)
    return f"what it calls {called} holds what others call {others}"


class _Round:
    def __init__(self, seen: Rows, view: Seen) -> None:
        self.rows = seen
        self.count, self.labels = seen.claims.shape
        self.trusted = view.trusted
        self.false_alarm = view.false_alarm
        # What others than the trusted claim to hold is no class to judge anybody by.
        claims = seen.claims[self.trusted]
        holders = (claims > seen.faint * claims.max(axis=1, keepdims=True)).sum(axis=0)
        self.judged: Mask = holders >= max(_LEAST_HOLDERS, self.count / 20)
        # Fewer do for what is only compared with: innocent pairs, which tell the guilty ones.
        self.compared: Mask = holders >= max(_LEAST_COMPARED, self.count / 40)
        self.strict = math.log10(self.false_alarm / 0.01)
        self.believed = True

    def sight(self, updates: Updates) -> Sight:
        judged = int(self.judged.sum())
        if judged < 2:
            return cannot(
                self.count,
                f"fewer than two labels are held by {_LEAST_HOLDERS} clients or more: label "
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
            words.setdefault(int(i), _words(updates, *_at(z[i], accused[i].argmax())))
        named = ", ".join(
            f"{updates.label_name(p.source)}:{updates.label_name(p.target)}" for p in pairs
        )
        flipped = f"labels are flipped in this round: {named}"
        return Sight(suspicion, True, words, [flipped, *self.rows.notes])

    def _told(self) -> bool:
        return told(self.content[self.trusted], self.rows.claims[self.trusted], self._both())

    def _both(self) -> Mask:
        return self.judged[:, None] & self.judged[None, :] & ~np.eye(self.labels, dtype=bool)

    def _ranking(self, contrast: Contrasts, suspicion: Array) -> Array:
        """Nobody is flagged; the pair with the most evidence still ranks the clients."""
        ranks = np.minimum(suspicion, 0.99)
        found = self._all_evidence(contrast, self.trusted)
        g, s = _at(found, found.argmin())
        if found[g, s] >= _DOUBT:
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

    def _contrasts(self, fit: Mask) -> Contrasts:
        return contrasts(unmix(self.rows, fit), self.rows.rest, fit, self.compared)

    def _evidence(self, contrast: Contrasts, rows: Mask) -> Array:
        """Evidence by pair; what clients seem to hold counts only where they are believed."""
        if not self.believed:
            contrast = contrast._replace(below=np.zeros_like(contrast.below))
        return np.where(self._both(), evidence(contrast, rows), 0.0)

    def _all_evidence(self, contrast: Contrasts, rows: Mask) -> Array:
        """The same, or by the tails of what is common, where that is more."""
        usual = self._evidence(contrast, rows)
        if not self.believed:
            return usual
        # Of what few hold there may be kinds of their own, which look like another label's.
        held = np.fmax.reduce(contrast.below[rows], axis=1, initial=0.0) > 0
        common = held.mean(axis=0) >= _COMMON
        asked = self._both() & common[:, None] & common[None, :]
        return np.where(asked, np.minimum(usual, tail_evidence(contrast, rows)), usual)

    def _fit(self, pairs: list[_Pair]) -> Mask:
        fit = self.trusted.copy()
        for pair in pairs:
            fit &= ~pair.clients
        return fit

    def _majority(self, fit: Mask) -> bool:
        return bool(fit.sum() > 0.5 * self.count)

    def _search(self) -> tuple[Contrasts, list[_Pair]]:
        """Find guilty pairs, the clearest first; the contrasts are those of the last fit."""
        pairs: list[_Pair] = []
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
            g, s = _at(found, found.argmin())
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

    def _is_guilty(self, found: Array, before: list[_Pair], g: int, s: int) -> bool:
        innocent = self._innocent(found, len(before))
        if found[g, s] - innocent <= _GATE + self.strict:
            return True
        if innocent < _GATE - _BEYOND:
            return False  # a round with more noise than is allowed for
        apart = self._both()
        apart[g, :] = apart[s, g] = False
        apart[:, [s, *(pair.source for pair in before)]] = False
        beyond = found[g, s] - found[apart].min(initial=0.0)
        return bool(apart.sum() >= _ENOUGH and beyond <= _BEYOND + self.strict)

    def _is_enough(self, contrast: Contrasts, before: list[_Pair], g: int, s: int) -> bool:
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
    def content(self) -> Array:
        """The contents (n, R, R) by the fit on all who are trusted."""
        return unmix(self.rows, self.trusted)

    @cached_property
    def left_over(self) -> Array | None:
        """What labels leave of the contents; None where they are told apart too well to ask it."""
        claims, faint = self.rows.claims, self.rows.faint
        if told_apart(self.content, claims, self.trusted, faint) > _TOLD_APART:
            return None
        return left_over(self.content, self.rows.rest, self.trusted)

    def _is_sure(self, without: Contrasts, rows: Mask, pair: _Pair) -> bool:
        """Whether ``rows`` bear out a suspicion where the suspects are not among the fitted."""
        found = self._evidence(without, rows)[pair.target, pair.source]
        return bool(found <= _SURE + self.strict)

    def _innocent(self, found: Array, before: int) -> float:
        """The most that innocent pairs show in this round.

        All pairs that can be guilty, and what shares a label with these, are left out.
        """
        left = found.copy()
        for _ in range(_PAIRS - before):
            g, s = _at(left, left.argmin())
            left[[g, s]] = 0.0
            left[:, [g, s]] = 0.0
        return float(left.min())

    def _pair(self, z: Array, before: list[_Pair], g: int, s: int) -> _Pair:
        height = self._height(z, before, s, self._fit(before))
        return _Pair(g, s, (z[:, g, s] > height) & self.trusted)

    def _usual(self, z: Array, pairs: list[_Pair]) -> float:
        """The z that one client in a hundred exceeds in a pair that is not guilty."""
        return level(z, self._fit(pairs), [pair.source for pair in pairs], 0.01, _LEAST)

    def _height(self, z: Array, before: list[_Pair], s: int, fit: Mask) -> float:
        """The z that honest clients seldom exceed in other pairs."""
        sources = [p.source for p in before] + [s]
        return level(z, fit, sources, self.false_alarm / len(sources), _LEAST)

    def _threshold(self, contrast: Contrasts, pairs: list[_Pair], pair: _Pair) -> float:
        """The z from which a client is guilty of a pair, of all those that were found."""
        z, fit = contrast.z, self._fit(pairs)
        height = self._height(z, [p for p in pairs if p is not pair], pair.source, fit)
        own = z[:, pair.target, pair.source]
        # Who clearly holds the source lies far below 0, and is no measure of the others.
        bulk = fit & (contrast.below[:, pair.target, pair.source] <= 0)
        if bulk.sum() < _LEAST_BULK:
            bulk = fit
        middle, high = np.quantile(own[bulk], [0.5, 0.8413])
        spread = high - middle
        height = max(height, float(middle + _BULK * spread))
        mirror = z[fit, pair.source, pair.target]
        alike = float(np.quantile(mirror, 1 - self.false_alarm))
        clear = own[pair.clients & (own > middle + _CLEAR * spread)]
        if len(clear):
            way = float(middle + _WAY * (np.median(clear) - middle))
            height = max(height, min(way, _TIMES * alike))
        out = own[pair.clients & (own > height)]
        if len(out):
            most = float(middle + _MOST_WAY * (np.quantile(out, _OUTSTANDING) - middle))
            height = max(height, min(alike, most))
        return height

    def _are_more(self, contrast: Contrasts, pairs: list[_Pair], pair: _Pair, far: Mask) -> bool:
        """Whether there is evidence of more in a pair than those who are ``far`` out."""
        rows = self._fit(pairs) | pair.clients
        many = self._evidence(contrast, rows)[pair.target, pair.source]
        others = self._all_evidence(contrast, rows & ~far)[pair.target, pair.source]
        return bool(many <= _GATE + self.strict or others <= _NOTHING)

    def _who_is_right(self, z: Array, found: Array, before: list[_Pair], pair: _Pair) -> _Pair:
        """One side relabels s as g, or the other g as s: take out each and see what remains.

        With both sides out of the fit the guilty still stand out from the others; an accusation
        that rests on the word of a few on what s is does not, and then it is they who are wrong,
        if they stand out themselves or are too few to tell; else nobody is. Where both sides have
        evidence, the others agree with each other without the guilty.
        """
        g, s = pair.target, pair.source
        mirror = self._pair(z, before, s, g)
        doubted = bool(found[s, g] < _DOUBT) and bool(mirror.clients.any())
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
            sure = bool(others <= (_GATE if doubted else _SURE) + self.strict)
            had = min(found[g, s], others) if sure else found[g, s]
            if remains > min(_NOTHING, _LITTLE * had):
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

    def _leading(self, before: list[_Pair], pair: _Pair) -> _Pair:
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
                clients &= own > _WAY * np.median(own[clients])
        return _Pair(pair.source, pair.target, clients)

    def _settled(self, before: list[_Pair], pair: _Pair) -> _Pair:
        """Fit without the clients found, and look again who stands out."""
        for _ in range(_STEPS):
            fit = self._fit([*before, pair])
            if not self._majority(fit):
                break
            pair = self._pair(self._contrasts(fit).z, before, pair.target, pair.source)
        return pair
