import numpy as np
import pytest

from ruc.belief.opinion import _held_out_predictions, _vote_shares, weigh_opinions
from ruc.labels.clustering import Clustering
from ruc.neighbors.propagation import all_clusters
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=0)

N_CLUSTERS = 4


def given(labels):
    return Clustering(labels, None, N_CLUSTERS, "given")


def overlapping(n=1000, n_features=20, seed=0):
    """Classes that differ in a few directions among many, so that neighbours say little and a linear rule much."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % N_CLUSTERS
    features = generator.standard_normal((n, n_features)).astype(np.float32)
    features[:, N_CLUSTERS:] *= 2
    features[:, :N_CLUSTERS] += 2 * np.eye(N_CLUSTERS, dtype=np.float32)[truth]
    return features, truth, nearest_neighbors(features, 50, CPU)


def with_wrong(truth, share, seed=1):
    generator = np.random.default_rng(seed)
    labels = truth.copy()
    chosen = generator.random(len(truth)) < share
    labels[chosen] = (labels[chosen] + generator.integers(1, N_CLUSTERS, chosen.sum())) % N_CLUSTERS
    return labels


def test_votes_are_counted_as_a_slow_loop_counts_them():
    _, truth, neighbors = overlapping(200)
    labels = np.where(np.arange(200) % 7 == 0, -1, truth)
    known = labels[labels >= 0]
    prior = [(np.sum(known == c) + 1) / (len(known) + N_CLUSTERS) for c in range(N_CLUSTERS)]
    shares = _vote_shares(given(labels), neighbors, 10, all_clusters(200, N_CLUSTERS))
    for sample in range(200):
        votes = [labels[other] for other in neighbors.indices[sample, :10] if labels[other] >= 0]
        for c in range(N_CLUSTERS):
            expected = (votes.count(c) + prior[c]) / (len(votes) + 1)
            assert shares[sample, c] == pytest.approx(expected, rel=1e-5)


def test_the_classifier_judges_a_sample_without_its_own_label():
    features, truth, _ = overlapping(300)
    changed = truth.copy()
    changed[17] = (changed[17] + 1) % N_CLUSTERS
    before = _held_out_predictions(given(truth), features, CPU, all_clusters(len(features), N_CLUSTERS))
    after = _held_out_predictions(given(changed), features, CPU, all_clusters(len(features), N_CLUSTERS))
    np.testing.assert_array_equal(before[17], after[17])
    assert not np.array_equal(before, after)


def test_scale_and_offset_of_the_features_dont_matter_to_the_classifier():
    features, truth, _ = overlapping(300)
    one = _held_out_predictions(given(truth), features, CPU, all_clusters(len(features), N_CLUSTERS))
    other = _held_out_predictions(
        given(truth), 100 * features + 3, CPU, all_clusters(len(features), N_CLUSTERS)
    )
    np.testing.assert_allclose(one, other, atol=0.02)


def test_a_cluster_that_a_fold_never_sees_keeps_a_little_probability():
    features, truth, _ = overlapping(200)
    labels = np.where(truth == 3, -1, truth)
    labels[3] = 3
    shares = _held_out_predictions(given(labels), features, CPU, all_clusters(len(features), N_CLUSTERS))
    assert (shares > 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert shares[3, 3] < 1e-3  # of its own cluster nobody else was seen


def test_with_one_label_only_the_classifier_has_no_opinion():
    features, _, _ = overlapping(60)
    shares = _held_out_predictions(
        given(np.zeros(60, np.int64)), features, CPU, all_clusters(len(features), N_CLUSTERS)
    )
    np.testing.assert_allclose(shares, 1 / N_CLUSTERS)


def test_fewer_samples_than_folds_are_each_a_fold():
    features, truth, _ = overlapping(60)
    shares = _held_out_predictions(given(truth[:4] % 2), features[:4], CPU, all_clusters(4, N_CLUSTERS))
    assert (shares[:, :2].sum(axis=1) > 0.99).all()  # each was asked of, by a classifier of the three others


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_share_of_wrong_labels_is_found_and_the_classifier_repairs_more(share):
    features, truth, neighbors = overlapping(1200)
    labels = with_wrong(truth, share)
    right = {}
    for asked in (None, features):
        columns = all_clusters(1200, N_CLUSTERS)
        opinion = weigh_opinions(given(labels), neighbors, CPU, columns, asked)
        np.testing.assert_allclose(opinion.probabilities.sum(axis=1), 1, rtol=1e-4)
        np.testing.assert_allclose(opinion.reliability.sum(axis=1), 1, rtol=1e-4)
        judged = opinion.probabilities * opinion.reliability.T[labels]
        right[asked is None] = np.mean(judged.argmax(axis=1) == truth)
        assert 1 - opinion.reliability.diagonal().mean() == pytest.approx(share, abs=0.08)
    assert right[False] > right[True] + 0.01 > 1 - share + 0.01


def test_in_whatever_order_the_clusters_are_asked_about():
    features, truth, neighbors = overlapping(600)
    labels = np.where(np.arange(600) % 9 == 0, -1, with_wrong(truth, 0.2))
    columns = np.stack([(labels + shift) % N_CLUSTERS for shift in range(N_CLUSTERS)], axis=1)
    columns[labels == -1] = np.arange(N_CLUSTERS)
    plain = weigh_opinions(given(labels), neighbors, CPU, all_clusters(600, N_CLUSTERS), features)
    turned = weigh_opinions(given(labels), neighbors, CPU, columns, features)
    np.testing.assert_allclose(turned.reliability, plain.reliability, atol=1e-3)
    aligned = np.take_along_axis(plain.probabilities, columns, axis=1)
    np.testing.assert_allclose(turned.probabilities, aligned, atol=1e-3)


def test_what_candidates_lack_is_left_to_the_other_clusters():
    _, truth, neighbors = overlapping(600)
    columns = np.stack([truth, (truth + 1) % N_CLUSTERS, np.full(600, -1)], axis=1)
    opinion = weigh_opinions(given(truth), neighbors, CPU, columns).probabilities
    full = weigh_opinions(given(truth), neighbors, CPU, all_clusters(600, N_CLUSTERS)).probabilities
    np.testing.assert_allclose(opinion[:, 2], 0, atol=1e-6)
    lacking = 1 - opinion.sum(axis=1)
    others = 1 - full[np.arange(600), truth] - full[np.arange(600), (truth + 1) % N_CLUSTERS]
    assert np.corrcoef(lacking, others)[0, 1] > 0.9
