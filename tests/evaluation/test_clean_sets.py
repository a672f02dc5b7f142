import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ruc.errors import InputError
from ruc.evaluation.clean_sets import clean_by_epoch, clean_set_scores
from ruc.evaluation.metrics import contingency, match_clusters
from ruc.evaluation.truth import encode_truth


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_sklearn(seed):
    random = np.random.default_rng(seed)
    truth = random.integers(5, size=300)
    clusters = np.where(random.random(300) < 0.6, (truth + 3) % 5, random.integers(5, size=300))
    is_clean = random.random(300) < 0.4
    right = match_clusters(contingency(clusters, truth))[clusters] == truth
    scores = clean_set_scores(is_clean, clusters, truth)
    expected = sklearn_metrics.precision_recall_fscore_support(right, is_clean, average="binary")[:3]
    assert (scores.precision, scores.recall, scores.f1) == pytest.approx(expected)


def test_an_empty_clean_set_has_no_precision():
    scores = clean_set_scores([False, False], [0, 1], [0, 1])
    assert np.isnan(scores.precision)
    assert scores.recall == 0.0


def test_missing_truth_is_left_out():
    assert clean_set_scores([True] * 6, [0, 0, 1, 0, 0, 1], ["a", "a", "b", "", "b", ""]).precision == 3 / 4


def test_a_cluster_of_images_without_truth_stands_for_nothing():
    scores = clean_set_scores([True, True, True], [0, 0, 2], ["a", "a", ""])
    assert (scores.precision, scores.recall) == (1.0, 1.0)


def test_epochs_by_hand():
    truth = encode_truth([0, 0, 0, 1, 1, 1])
    initial, final = np.array([0, 0, 1, 1, 1, 0]), np.array([0, 0, 0, 1, 1, 0])
    since = np.array([0, 0, 2, 0, 1, -1])
    for n_epochs, expected in ((None, [3 / 5, 4 / 5, 1.0]), (4, [3 / 5, 4 / 5, 1.0, 1.0, 1.0])):
        scores = clean_by_epoch(since, n_epochs, initial, final, truth)
        assert [one.recall for one in scores] == expected
    with pytest.raises(InputError, match="trusted after epoch 2, but n_epochs=1 was given"):
        clean_by_epoch(since, 1, initial, final, truth)
