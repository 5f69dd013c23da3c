"""From which z on a client is guilty of a pair of labels."""

from __future__ import annotations

import numpy as np
import pytest

from lomar_cli.scoring.auto.contrast import Contrasts
from lomar_cli.scoring.auto.mix import _Round
from lomar_cli.scoring.auto.pairs import Pair
from lomar_cli.scoring.auto.unmix import rows_seen
from tests.scoring.auto.rounds import digits, seen


def a_round(count=100):
    """What ``mix`` works on; the numbers of this round do not matter."""
    view = seen(digits("0", 1)[0])
    made = _Round(rows_seen(view, view.trusted), view)
    made.count, made.trusted = count, np.ones(count, dtype=bool)
    return made


def held_by_none(z):
    return Contrasts(z, np.zeros_like(z))


def test_who_comes_less_than_halfway_to_the_clearly_guilty_is_kept():
    """Of like classes honest clients have some z too, ten of them up to 3."""
    honest = np.concatenate([np.linspace(-10, 0, 80), np.linspace(1, 3, 10)])
    guilty = np.linspace(8, 30, 10)
    z = np.zeros((100, 3, 3))
    z[:, 2, 1] = np.concatenate([honest, guilty])
    pair = Pair(2, 1, z[:, 2, 1] > 0.7)
    one = a_round()
    # The classes are unlike, so that some are merely louder than others.
    assert one._threshold(held_by_none(z), [pair], pair) < 1
    z[:2, 1, 2] = 1.7
    assert one._threshold(held_by_none(z), [pair], pair) == 3.4
    z[:2, 1, 2] = 3.5
    height = one._threshold(held_by_none(z), [pair], pair)
    assert 3.5 < height < 7
    # Nobody stands out clearly: what honest clients have in other pairs, and in this one, decides.
    z[90:, 2, 1] = 3.0
    assert one._threshold(held_by_none(z), [pair], pair) < 3


def test_nobody_is_guilty_of_less_than_where_the_labels_are_exchanged():
    honest, guilty = np.linspace(-3, 2, 90), np.linspace(8, 12, 10)
    z = np.zeros((100, 3, 3))
    z[:, 2, 1] = np.concatenate([honest, guilty])
    pair, one = Pair(2, 1, z[:, 2, 1] > 7), a_round()
    before = one._threshold(held_by_none(z), [pair], pair)
    z[4:6, 1, 2] = 4.9
    assert before < one._threshold(held_by_none(z), [pair], pair) == 4.9
    # But no further than half of the way, and not for what the guilty have there.
    z[6:8, 1, 2], z[95, 1, 2] = 7.0, 30.0
    middle, outstanding = np.median(honest), np.quantile(guilty, 0.6)
    assert one._threshold(held_by_none(z), [pair], pair) == pytest.approx(
        (middle + outstanding) / 2
    )


@pytest.mark.parametrize(
    ("count", "holders", "low", "high"),
    [(100, 75, 0.3, 0.5), (100, 82, 3, 5), (400, 375, 0.29, 0.31)],
)
def test_who_holds_the_label_is_no_measure_of_the_others(count, holders, low, high):
    """But where few do not, or a small share, these are no bulk."""
    z, below = np.zeros((2, count, 3, 3))
    holding = np.linspace(-12, -2, count - 25)
    z[:, 2, 1] = np.concatenate([holding, np.linspace(-0.3, 0.3, 15), np.linspace(4, 8, 10)])
    below[:holders, 2, 1] = 1.0
    pair = Pair(2, 1, z[:, 2, 1] > 1)
    assert low < a_round(count)._threshold(Contrasts(z, below), [pair], pair) < high
