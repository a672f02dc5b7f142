"""Confidence from answers: the prior where there are few, the answers where there are many."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit

from ruc.check import calibrate
from ruc.check.calibrate import fit_answers


def answers(n: int, level: float, slope: float, shift: float, seed: int = 0):
    """n answers about three clusters, the last of which is off the curve."""
    random = np.random.default_rng(seed)
    confidence, cluster = random.uniform(0.05, 0.99, n), random.integers(0, 3, n)
    chance = expit(level + slope * logit(confidence) + shift * (cluster == 2))
    return confidence, cluster, random.random(n) < chance


def test_many_answers_alone_count() -> None:
    confidence, cluster, is_right = answers(40_000, -1.0, 0.6, -1.5)
    found = fit_answers(confidence, cluster, is_right, np.ones(40_000), 3)
    assert found.slope == pytest.approx(0.6, abs=0.05)
    assert found.shifts[2] - found.shifts[0] == pytest.approx(-1.5, abs=0.1)
    said = found(confidence, cluster)
    for one in range(3):
        assert said[cluster == one].mean() == pytest.approx(is_right[cluster == one].mean(), abs=0.01)


def test_it_is_the_likeliest_under_the_prior() -> None:
    """Against a general optimiser on the same posterior, written out."""
    confidence, cluster, is_right = answers(60, -0.5, 1.3, 1.0, seed=3)
    weights = np.random.default_rng(4).uniform(0.5, 2, 60)
    weights /= weights.mean()

    def cost(values: np.ndarray) -> float:
        chance = expit(values[0] + values[1] * logit(confidence) + values[2:][cluster])
        likelihood = np.where(is_right, np.log(chance), np.log1p(-chance))
        prior = values[0] ** 2 / calibrate.LEVEL_SPREAD**2 + (values[1] - 1) ** 2 / calibrate.SLOPE_SPREAD**2
        prior += (values[2:] ** 2).sum() / calibrate.CLUSTER_SPREAD**2
        return float(-(weights * likelihood).sum() + prior / 2)

    expected = minimize(cost, np.array([0, 1, 0, 0, 0.0]), tol=1e-10).x
    found = fit_answers(confidence, cluster, is_right, 3 * weights, 3)
    np.testing.assert_allclose([found.level, found.slope, *found.shifts], expected, atol=1e-4)


@pytest.mark.parametrize("right", [True, False])
def test_a_single_answer_moves_little_and_all_alike_stay_finite(right: bool) -> None:
    before = np.linspace(0.01, 0.999, 50)
    cluster = np.zeros(50, np.int64)
    one = fit_answers(np.array([0.8]), np.array([0]), np.array([right]), np.ones(1), 1)
    assert np.abs(one(before, cluster) - before).max() < 0.5
    alike = fit_answers(before, cluster, np.full(50, right), np.ones(50), 1)
    assert np.isfinite(alike(before, cluster)).all()
    assert (np.diff(alike(before, cluster)) > 0).all()
    assert (alike(before, cluster).mean() > 0.9) == right
