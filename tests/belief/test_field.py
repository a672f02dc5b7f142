import numpy as np
import pytest

from ruc.belief.field import COUPLING, N_ROUNDS, N_STEPS, _fit_mean_field, fit_field
from ruc.labels.clustering import Clustering
from ruc.neighbors.graphs import averaging_graph
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=0)


def blobs(n_each=60, n_clusters=3, spread=0.25, seed=0):
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_clusters), n_each)
    features = np.eye(8)[truth] + spread * generator.standard_normal((len(truth), 8))
    return features.astype(np.float32), truth


def neighbors_of(features, n=30):
    return nearest_neighbors(features, n, CPU)


def test_the_graph_averages_over_neighbours_in_both_directions():
    neighbors = Neighbors(np.array([[1], [2], [1], [0]]), np.ones((4, 1), np.float32))
    # 0→1, 1→2, 2→1, 3→0: 1 and 2 have each other twice.
    expected = [[0, 1 / 2, 0, 1 / 2], [1 / 3, 0, 2 / 3, 0], [0, 1, 0, 0], [1, 0, 0, 0]]
    np.testing.assert_allclose(averaging_graph(neighbors, 9).toarray(), expected, rtol=1e-6)


def test_the_mean_field_equals_slow_loops():
    features, truth = blobs(6, 2)
    labels = truth.copy()
    labels[[1, 8]] = 1 - labels[[1, 8]]
    graph = averaging_graph(neighbors_of(features, 4), 9)
    seen = np.array([0, 1, 3, 4, 6, 8, 9, 11])
    field, reliability = _fit_mean_field(graph, Clustering(labels, None, 2, "given"), seen)

    dense = graph.toarray().astype(float)
    believed = np.full((12, 2), 0.5)
    confused = np.array([[0.85, 0.15], [0.15, 0.85]])
    for _ in range(N_ROUNDS):
        for _ in range(N_STEPS):
            after = np.empty_like(believed)
            for i in range(12):
                pull = [COUPLING * sum(dense[i, j] * believed[j, y] for j in range(12)) for y in range(2)]
                own = [np.log(confused[y, labels[i]]) if i in seen else 0.0 for y in range(2)]
                raised = [np.exp(pull[y] + own[y]) for y in range(2)]
                after[i] = [each / sum(raised) for each in raised]
            believed = after
        counts = np.array([[5.01, 0.01], [0.01, 5.01]])
        for i in seen:
            counts[:, labels[i]] += believed[i]
        confused = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(reliability, confused, rtol=1e-4)
    np.testing.assert_allclose(field, COUPLING * dense @ believed, rtol=1e-4, atol=1e-4)


def test_a_samples_own_label_has_no_part_in_its_opinion():
    features, truth = blobs()
    neighbors = neighbors_of(features)
    changed = truth.copy()
    changed[7] = 2
    before = fit_field(Clustering(truth, None, 3, "given"), neighbors, CPU)
    after = fit_field(Clustering(changed, None, 3, "given"), neighbors, CPU)
    np.testing.assert_array_equal(before.probabilities[7], after.probabilities[7])
    assert not np.array_equal(before.probabilities, after.probabilities)


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_confusion_of_two_classes_both_ways_is_told_from_likeness(share):
    features, truth = blobs(200)
    generator = np.random.default_rng(1)
    labels = truth.copy()
    for cluster in (0, 1):
        members = np.flatnonzero(truth == cluster)
        labels[generator.choice(members, int(share * 200), replace=False)] = 1 - cluster
    field = fit_field(Clustering(labels, None, 3, "given"), neighbors_of(features), CPU)
    expected = [[1 - share, share, 0], [share, 1 - share, 0], [0, 0, 1]]
    np.testing.assert_allclose(field.reliability, expected, atol=0.05)
    assert (field.probabilities.argmax(axis=1) == truth).mean() > 0.98


def test_samples_without_a_label_get_an_opinion():
    features, truth = blobs()
    labels = np.where(np.arange(len(truth)) % 3 == 0, -1, truth)
    field = fit_field(Clustering(labels, None, 3, "given"), neighbors_of(features), CPU)
    np.testing.assert_allclose(field.probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (field.probabilities.argmax(axis=1) == truth).mean() > 0.98


def test_a_sample_without_a_label_hears_of_all_labels():
    """With one label of each cluster, a cluster would have none for the fold in which that is hidden."""
    features, truth = blobs(50, 4)
    labels = np.full(len(truth), -1)
    labels[[3, 60, 110, 190]] = truth[[3, 60, 110, 190]]
    opinion = fit_field(Clustering(labels, None, 4, "given"), neighbors_of(features), CPU).probabilities
    assert (opinion.argmax(axis=1) == truth)[labels < 0].all()
