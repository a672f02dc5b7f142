"""The draw: every image of a stratum has the same chance, and all strata and large clusters are asked about."""

import numpy as np
import pytest

from ruc.check.design import draw, strata


def test_strata_are_groups_of_like_size_in_order_of_confidence() -> None:
    confidence = np.array([0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6, 0.0])
    assert strata(confidence, 50).tolist() == [4, 0, 2, 1, 3, 1, 4, 2, 3, 0]
    assert strata(confidence, 4).tolist() == [0] * 10
    assert strata(np.zeros(3), 50).tolist() == [0, 1, 3]  # more strata than some have images for
    assert len(strata(np.zeros(0), 50)) == 0


@pytest.mark.parametrize("n_drawn", [1, 7, 50, 61, 80, 100])
def test_as_many_as_asked_for_and_none_twice(n_drawn: int) -> None:
    random = np.random.default_rng(0)
    stratum, cluster = strata(random.random(80), 50), random.integers(0, 6, 80)
    is_open = np.arange(80) % 5 > 0
    rows = draw(stratum, cluster, is_open, n_drawn, seed=3)
    assert len(rows) == len(set(rows.tolist())) == min(n_drawn, 64)
    assert is_open[rows].all()
    assert (np.diff(cluster[rows]) >= 0).all()
    assert np.ptp(np.bincount(stratum[rows], minlength=5)) <= (1 if n_drawn <= 50 else 16)
    np.testing.assert_array_equal(rows, draw(stratum, cluster, is_open, n_drawn, seed=3))
    if n_drawn == 7:
        assert rows.tolist() != draw(stratum, cluster, is_open, n_drawn, seed=4).tolist()


def test_every_image_has_the_same_chance() -> None:
    random = np.random.default_rng(1)
    stratum, cluster = strata(random.random(60), 20), random.integers(0, 4, 60)
    counts = np.zeros(60)
    for seed in range(3000):
        counts[draw(stratum, cluster, np.ones(60, bool), 20, seed)] += 1
    # Four strata of 15, five of each: a third; the standard deviation of a share is 0.0086.
    assert np.abs(counts / 3000 - 1 / 3).max() < 0.04


def test_clusters_are_asked_about_by_their_size() -> None:
    cluster = np.repeat([0, 1, 2], [600, 300, 100])
    stratum = strata(np.random.default_rng(2).random(1000), 50)
    for seed in range(20):
        asked = np.bincount(cluster[draw(stratum, cluster, np.ones(1000, bool), 50, seed)], minlength=3)
        assert np.abs(asked - [30, 15, 5]).max() <= 5
