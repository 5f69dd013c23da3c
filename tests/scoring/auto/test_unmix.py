"""Unmixing rows into classes: rows made by hand from known means and a known content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lomar_cli.files.updates import OutputLayer, Updates
from lomar_cli.scoring.auto.unmix import Rows, rows, unmix
from tests.scoring.auto import slow
from tests.scoring.rounds import as_updates

COUNT, LABELS, WIDTH = 60, 5, 30


def content(seed=0, flip=None, attackers=0):
    """Class means (R, d), shares (n, R), and the content A (n, R, R) of every client's rows.

    ``A[r, l] = c_l (1[y = r] - p_r)``: columns sum to zero. The last ``attackers`` call samples
    of ``flip[0]`` by the name of ``flip[1]``.
    """
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((LABELS, WIDTH)) + 1
    shares = rng.dirichlet(np.full(LABELS, 2.0), COUNT)
    a = np.zeros((COUNT, LABELS, LABELS))
    for i in range(COUNT):
        for label in range(LABELS):
            for row in range(LABELS):
                said = label
                if flip and i >= COUNT - attackers and label == flip[0]:
                    said = flip[1]
                a[i, row, label] = shares[i, label] * ((row == said) - 1 / LABELS)
    return means, shares, a


def made(means, a, noise=0.0, seed=0):
    """The round whose rows hold ``a``; the bias is what a feature of ones would get."""
    weight = a @ means
    weight = weight + noise * np.random.default_rng(seed).standard_normal(weight.shape)
    return as_updates(weight, a.sum(axis=2))


def everybody():
    return np.ones(COUNT, bool)


def per_column(found, a):
    """Correlation of each column's found and true entries, over all clients and rows."""
    return [
        np.corrcoef(found[:, :, label].ravel(), a[:, :, label].ravel())[0, 1]
        for label in range(LABELS)
    ]


def test_known_content_is_found_up_to_a_scale_by_column():
    means, shares, a = content()
    weight = a @ means
    # In all directions, with nothing left over, and with claims that are the shares themselves.
    seen = Rows(
        weight - weight.mean(axis=1, keepdims=True), np.full((COUNT, LABELS), 1e-6), shares, 0.1
    )
    found = unmix(seen, everybody())
    assert min(per_column(found, a)) > 0.999
    for label in range(LABELS):
        scale = (found[:, :, label] * a[:, :, label]).sum() / (a[:, :, label] ** 2).sum()
        assert 0.8 < scale <= 1.001
        np.testing.assert_allclose(found[:, :, label] / scale, a[:, :, label], atol=0.02)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_same_through_the_updates(noise):
    means, _, a = content(1)
    found = unmix(rows(made(means, a, noise)), everybody())
    assert min(per_column(found, a)) > 0.97
    own = np.einsum("nll->nl", found)
    assert (own[a.diagonal(axis1=1, axis2=2) > 0.1] > 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_flip_appears_where_it_was_made(seed):
    s, g = 1, 3
    means, shares, a = content(seed, (s, g), 9)
    found = unmix(rows(made(means, a, 0.01)), everybody())
    guilty = np.arange(COUNT) >= COUNT - 9
    holds = shares[:, s] > 0.1
    # Where it is positive it is far above what any honest client has there.
    assert (found[guilty & holds, g, s] > 0).all()
    assert (found[guilty & holds, s, s] < found[guilty & holds, g, s]).all()
    contrast = found[:, g, s] - found[:, s, s]
    assert contrast[guilty & holds].min() > contrast[~guilty].max()
    # Fitted without them it is cleaner yet.
    alone = unmix(rows(made(means, a, 0.01)), ~guilty)
    assert min(per_column(alone, a)) >= min(per_column(found, a)) - 1e-3


def test_what_all_rows_share_changes_nothing():
    means, _, a = content(2)
    updates = made(means, a, 0.02)
    rng = np.random.default_rng(9)
    common = rng.standard_normal((COUNT, 1, WIDTH))
    moved = as_updates(
        updates.tensors["fc.weight"] + common,
        updates.tensors["fc.bias"] + rng.standard_normal((COUNT, 1)),
    )
    np.testing.assert_allclose(
        unmix(rows(moved), everybody()), unmix(rows(updates), everybody()), atol=1e-8
    )


def test_labels_in_another_order_give_the_same_in_that_order():
    means, _, a = content(3)
    updates = made(means, a, 0.02)
    order = np.random.default_rng(0).permutation(LABELS)
    moved = as_updates(updates.tensors["fc.weight"][:, order], updates.tensors["fc.bias"][:, order])
    expected = unmix(rows(updates), everybody())[:, order][:, :, order]
    np.testing.assert_allclose(unmix(rows(moved), everybody()), expected, atol=1e-8)


def test_clients_in_another_order_give_the_same_in_that_order():
    means, _, a = content(3)
    updates = made(means, a, 0.02)
    order = np.random.default_rng(0).permutation(COUNT)
    expected = unmix(rows(updates), everybody())[order]
    np.testing.assert_allclose(unmix(rows(updates.rows(order)), everybody()), expected, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_regression_is_lstsq_with_weights(seed):
    rng = np.random.default_rng(seed)
    seen = Rows(
        rng.standard_normal((20, 4, 4)),
        rng.uniform(0.01, 2, (20, 4)),
        rng.uniform(0, 1, (20, 4)),
        0.1,
    )
    trusted = rng.uniform(size=20) > 0.3
    np.testing.assert_allclose(unmix(seen, trusted), slow.unmixed(seen, trusted), atol=1e-9)


def test_who_is_not_trusted_does_not_move_the_others():
    means, _, a = content(4)
    seen = rows(made(means, a, 0.02))
    trusted = np.arange(COUNT) >= 5
    wild = replace(seen, parts=np.where(trusted[:, None, None], seen.parts, 100.0))
    np.testing.assert_array_equal(unmix(wild, trusted)[5:], unmix(seen, trusted)[5:])


def test_parts_and_rest_add_up_to_a_row():
    means, _, a = content(5)
    updates = made(means, a, 0.1)
    seen = rows(updates)
    stacked = np.concatenate(
        [updates.tensors["fc.weight"], updates.tensors["fc.bias"][:, :, None]], axis=2
    )
    stacked = stacked - stacked.mean(axis=1, keepdims=True)
    # In units of the median client.
    stacked /= np.median(np.sqrt((stacked**2).sum(axis=(1, 2))))
    np.testing.assert_allclose(
        (seen.parts**2).sum(axis=2) + seen.rest, (stacked**2).sum(axis=2), rtol=1e-9
    )
    # The axes are the leading singular vectors: no others hold more.
    singular = np.linalg.svd(stacked.reshape(-1, WIDTH + 1), compute_uv=False)
    assert (seen.parts**2).sum() == pytest.approx((singular[:LABELS] ** 2).sum(), rel=1e-6)


def test_a_long_client_is_cut_and_its_direction_is_not_chosen_by_it():
    means, _, a = content(6)
    updates = made(means, a, 0.02)
    loud = updates.tensors["fc.weight"].copy()
    loud[0] *= 1e5
    seen = rows(as_updates(loud, updates.tensors["fc.bias"]))
    lengths = np.sqrt(((seen.parts**2).sum(axis=2) + seen.rest).sum(axis=1))
    assert lengths[0] <= 3.001 * np.median(lengths)


@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5), (30,)])
def test_the_shape_of_a_row_and_the_axis_of_labels_do_not_matter(shape):
    means, _, a = content(7)
    updates = made(means, a, 0.02)
    expected = unmix(rows(updates), everybody())
    folded = as_updates(
        updates.tensors["fc.weight"].reshape(COUNT, LABELS, *shape), updates.tensors["fc.bias"]
    )
    np.testing.assert_allclose(unmix(rows(folded), everybody()), expected, atol=1e-9)
    turned = Updates(
        updates.clients,
        updates.num_examples,
        {
            "k": np.moveaxis(folded.tensors["fc.weight"], 1, 2),
            "b": updates.tensors["fc.bias"],
        },
        OutputLayer("k", "b", 1),
    )
    np.testing.assert_allclose(unmix(rows(turned), everybody()), expected, atol=1e-9)


def test_without_a_bias_the_common_direction_tells_what_is_held():
    means, shares, a = content(8)
    updates = as_updates(a @ means)
    seen = rows(updates)
    told = [np.corrcoef(seen.claims[:, label], shares[:, label])[0, 1] for label in range(LABELS)]
    assert min(told) > 0.5
    assert (seen.claims >= 0).all()
