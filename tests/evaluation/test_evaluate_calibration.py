from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss

from ruc.errors import InputError
from ruc.evaluation.calibration import (
    brier_score,
    expected_calibration_error,
    match_probabilities,
    negative_log_likelihood,
    reliability_curve,
)


def random_predictions(n_samples=400, n_classes=5, seed=0):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(n_classes, 0.4), size=n_samples)
    truth = np.array([random.choice(n_classes, p=0.7 * row + 0.3 / n_classes) for row in probabilities])
    return probabilities, truth


def slow_ece(confidence, is_right, edges):
    total = 0.0
    for low, high in pairwise(edges):
        inside = [i for i, c in enumerate(confidence) if low < c <= high or (c == low == edges[0])]
        if inside:
            gap = np.mean([confidence[i] for i in inside]) - np.mean([float(is_right[i]) for i in inside])
            total += len(inside) / len(confidence) * abs(gap)
    return total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_bins", [1, 10, 15])
def test_ece_agrees_with_torchmetrics_and_a_slow_loop(seed, n_bins):
    from torchmetrics.functional.classification import multiclass_calibration_error

    probabilities, truth = random_predictions(seed=seed)
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    ours = expected_calibration_error(confidence, is_right, n_bins)
    theirs = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(truth), num_classes=5, n_bins=n_bins, norm="l1"
    )
    assert ours == pytest.approx(float(theirs), abs=1e-6)
    assert ours == pytest.approx(slow_ece(confidence, is_right, np.linspace(0, 1, n_bins + 1)))


def test_ece_by_hand():
    # bin (0.4, 0.6]: mean confidence 0.55, half right; bin (0.8, 1]: mean 0.95, all right
    confidence, is_right = [0.5, 0.6, 0.9, 1.0], [True, False, True, True]
    assert expected_calibration_error(confidence, is_right, n_bins=5) == pytest.approx(
        (2 * 0.05 + 2 * 0.05) / 4
    )
    curve = reliability_curve(confidence, is_right, n_bins=5)
    assert curve.count.tolist() == [0, 0, 2, 0, 2]
    assert np.isnan(curve.accuracy[0])


@pytest.mark.parametrize("n_bins", [3, 15])
def test_equal_mass_bins_hold_equally_many(n_bins):
    probabilities, truth = random_predictions()
    confidence, is_right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    curve = reliability_curve(confidence, is_right, n_bins, equal_mass=True)
    assert curve.count.max() - curve.count.min() <= 1
    order = np.argsort(confidence)
    parts = [order[np.arange(len(order)) * n_bins // len(order) == i] for i in range(n_bins)]
    expected = sum(abs(confidence[part].mean() - is_right[part].mean()) * len(part) for part in parts)
    assert curve.expected_calibration_error == pytest.approx(expected / len(order))
    assert (curve.lower[1:] >= curve.upper[:-1]).all()


def test_fewer_images_than_equal_mass_bins():
    curve = reliability_curve([0.2, 0.9], [False, True], n_bins=15, equal_mass=True)
    assert curve.count.sum() == 2
    assert curve.expected_calibration_error == pytest.approx((0.2 + 0.1) / 2)


def test_equal_mass_does_not_depend_on_the_order_of_ties():
    is_right = np.repeat([True, False], [80, 20])
    assert expected_calibration_error(np.full(100, 0.8), is_right, equal_mass=True) == pytest.approx(
        0.0, abs=1e-12
    )


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_borders_fall_into_a_bin(value):
    assert expected_calibration_error([value], [value == 1.0]) == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_brier_and_nll_agree_with_sklearn(seed):
    probabilities, truth = random_predictions(seed=seed)
    probabilities = 0.99 * probabilities + 0.01 / 5  # none so small that clipping shows
    classes = match_probabilities(probabilities, np.arange(5), 5)
    one_hot = np.eye(5)[truth]
    assert brier_score(classes, truth) == pytest.approx(np.square(probabilities - one_hot).sum(axis=1).mean())
    assert brier_score(classes, truth) == pytest.approx(
        sum(brier_score_loss(truth == c, probabilities[:, c]) for c in range(5))
    )
    assert negative_log_likelihood(classes, truth) == pytest.approx(
        log_loss(truth, probabilities, labels=range(5))
    )


def test_matched_probabilities_follow_the_matching():
    probabilities = np.array([[0.5, 0.3, 0.1, 0.1]])
    assert match_probabilities(probabilities, np.array([2, -1, 0, -1]), 3)[0] == pytest.approx(
        [0.1, 0, 0.5, 0.4]
    )
    # fewer clusters than classes: nothing lies on the class that no cluster stands for
    assert match_probabilities(probabilities[:, :2], np.array([1, 0]), 3)[0] == pytest.approx(
        [0.3, 0.5, 0, 0]
    )


def test_a_certain_error_costs_much_but_not_infinity():
    classes = match_probabilities([[1.0, 0.0]], np.array([0, 1]), 2)
    assert negative_log_likelihood(classes, np.array([1])) == pytest.approx(15.94, abs=0.01)
    assert brier_score(classes, np.array([1])) == 2.0
    assert brier_score(classes, np.array([0])) == 0.0


@pytest.mark.parametrize(
    ("confidence", "is_right", "message"),
    [([], [], "at least one image"), ([0.5], [True, False], "one of each"), ([1.5], [True], r"\[0, 1\]"),
     ([float("nan")], [True], r"\[0, 1\]")],
)  # fmt: skip
def test_wrong_input_says_so(confidence, is_right, message):
    with pytest.raises(InputError, match=message):
        expected_calibration_error(confidence, is_right)


def test_more_clusters_than_columns_says_so():
    with pytest.raises(InputError, match=r"shape \(1, 2\) for 3 clusters"):
        match_probabilities([[0.5, 0.5]], np.array([0, 1, 2]), 3)
