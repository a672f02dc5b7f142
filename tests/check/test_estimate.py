"""The share that is right and its interval: cases worked by hand, and how often the truth is inside."""

import math

import numpy as np
import pytest

from ruc.check.design import draw, strata
from ruc.check.estimate import Share, estimate_share, share_with_known


def test_each_stratum_counts_as_its_size() -> None:
    # 100 images of which 3 of 4 are right, 300 of which 1 of 2 are.
    share = estimate_share(
        np.array([1, 1, 1, 0, 1, 0], bool), np.array([0, 0, 0, 0, 1, 1]), np.array([100, 300])
    )
    assert share.value == pytest.approx(0.25 * 0.75 + 0.75 * 0.5)
    assert share.low < 0.25 and share.high > 0.8
    assert (share.n_answers, share.n_images) == (6, 400)


def test_one_stratum_of_very_many_images_is_wilsons_interval() -> None:
    share = estimate_share(np.arange(50) < 41, np.zeros(50, np.int64), np.array([10_000_000]))
    # n = 50, 41 right: 0.692 to 0.902 (statsmodels 0.14, proportion_confint(41, 50, method="wilson")).
    assert (share.value, round(share.low, 3), round(share.high, 3)) == (0.82, 0.692, 0.902)


def test_all_right_doesnt_mean_that_all_are() -> None:
    share = estimate_share(np.ones(50, bool), np.arange(50) % 5, np.full(5, 300))
    assert share.value == pytest.approx(1) and share.high == pytest.approx(1)
    assert share.value <= share.high <= 1
    assert 0.9 < share.low < 0.95


def test_whoever_looks_at_all_knows() -> None:
    share = estimate_share(np.arange(20) < 15, np.zeros(20, np.int64), np.array([20]))
    assert share.low == share.value == share.high == 0.75
    assert share.further_to_halve == 0
    nothing = estimate_share(np.zeros(0, bool), np.zeros(0, np.int64), np.array([20]))
    assert math.isnan(nothing.value) and (nothing.low, nothing.high) == (0, 1)


def test_a_stratum_without_an_answer_is_taken_to_be_as_the_others() -> None:
    share = estimate_share(np.array([True, False]), np.array([0, 1]), np.array([10, 30, 60]))
    assert share.value == pytest.approx(0.25)


def test_what_is_known_of_some_and_judged_of_others() -> None:
    # 20 images of 100 are right for certain, 3 of 4 judgements say that the other 80 are.
    stratum = np.zeros(4, np.int64)
    share = share_with_known(
        np.array([1, 1, 1, 0], bool), stratum, np.ones(4), np.array([100]), np.array([20]), 20
    )
    assert share.value == pytest.approx(0.2 + 0.8 * 0.75)
    assert share.low > 0.2


def test_answers_worth_half_say_as_much_as_half_of_them() -> None:
    sizes, none = np.array([10_000_000]), np.array([0])
    half = share_with_known(np.arange(100) < 82, np.zeros(100, np.int64), np.full(100, 0.5), sizes, none, 0)
    whole = share_with_known(np.arange(50) < 41, np.zeros(50, np.int64), np.ones(50), sizes, none, 0)
    assert (half.value, half.low, half.high) == pytest.approx((whole.value, whole.low, whole.high))
    mixed = share_with_known(
        np.array([True, False]), np.zeros(2, np.int64), np.array([0.5, 1.0]), sizes, none, 0
    )
    assert mixed.value == pytest.approx(1 / 3)


def test_four_times_the_answers_make_half_the_interval() -> None:
    assert Share(0.5, 0.4, 0.6, 50, 10**9).further_to_halve == 150
    assert Share(0.5, 0.4, 0.6, 50, 100).further_to_halve == 30  # of 50 that weren't looked at


@pytest.mark.parametrize(
    ("accuracy", "told_apart"), [(0.3, 1.0), (0.5, 0.0), (0.7, 1.0), (0.85, 1.5), (0.95, 0.0), (0.97, 1.5)]
)
def test_the_interval_holds_the_truth_95_times_in_100(accuracy: float, told_apart: float) -> None:
    """2,000 draws of 50 among 1,200 images whose confidence tells right from wrong well, badly or not at all."""
    random = np.random.default_rng(0)
    score = random.standard_normal(1200)
    latent = told_apart * score + random.logistic(size=1200)
    is_right = latent > np.quantile(latent, 1 - accuracy)
    cluster, stratum = random.integers(0, 8, 1200), strata(score, 50)
    sizes, everyone = np.bincount(stratum), np.ones(1200, bool)
    inside, values = 0, []
    for seed in range(2000):
        rows = draw(stratum, cluster, everyone, 50, seed)
        share = estimate_share(is_right[rows], stratum[rows], sizes)
        inside += share.low <= is_right.mean() <= share.high
        values.append(share.value)
    assert 0.93 <= inside / 2000 <= 0.975
    assert abs(np.mean(values) - is_right.mean()) < 0.005
