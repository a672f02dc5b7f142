"""Smoothing over the neighbour graph, against loops written from its description."""

import numpy as np
import pytest

from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.propagation import N_NEIGHBORS, N_STEPS, find_candidates, propagate
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.runtime import Runtime


@pytest.fixture
def neighbors():
    return nearest_neighbors(np.random.default_rng(0).normal(size=(40, 3)), 12, Runtime("cpu"))


def slowly(labels, n_clusters, neighbors: Neighbors, share):
    n = len(labels)
    weights = np.zeros((n, n))
    for i in range(n):
        similar = neighbors.similarities[i, :N_NEIGHBORS]
        lengths = [max(2 - 2 * float(s), 0) ** 0.5 for s in similar]
        for j, length in zip(neighbors.indices[i, :N_NEIGHBORS], lengths, strict=True):
            weight = np.exp(-((length / np.mean(lengths)) ** 2))
            weights[i, j] = max(weights[i, j], weight)
            weights[j, i] = max(weights[j, i], weight)
    degrees = weights.sum(axis=1)
    start = np.zeros((n, n_clusters))
    for i, label in enumerate(labels):
        if label != UNKNOWN:
            start[i, label] = 1
    arrived = start
    for _ in range(N_STEPS):
        passed_on = np.zeros_like(arrived)
        for i in range(n):
            for j in range(n):
                passed_on[i] += weights[i, j] / np.sqrt(degrees[i] * degrees[j]) * arrived[j]
        arrived = share * passed_on + (1 - share) * start
    return arrived / arrived.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_shares_equal_slow_loops(neighbors, share):
    labels = np.random.default_rng(1).integers(0, 3, 40)
    smooth = propagate(Clustering(labels, None, 3, "kmeans", "features"), neighbors, share)
    expected = slowly(labels, 3, neighbors, share)
    np.testing.assert_allclose(smooth, expected, atol=1e-5)
    everything = np.tile(np.arange(3), (40, 1))
    columns = np.stack([np.roll(row, -own) for row, own in zip(everything, labels, strict=True)])
    among = propagate(Clustering(labels, None, 3, "kmeans", "features"), neighbors, share, columns)
    np.testing.assert_allclose(among, np.take_along_axis(expected, columns, axis=1), atol=1e-5)


def test_unknown_labels_are_filled_in_and_an_outvoted_one_changes(neighbors):
    labels = np.zeros(40, np.int64)
    labels[3], labels[5] = UNKNOWN, 1
    smooth = propagate(Clustering(labels, None, 2, "density", "layouts"), neighbors, 0.9)
    assert smooth.argmax(axis=1).tolist() == [0] * 40


def test_where_no_label_arrives_nothing_is_said():
    two_islands = np.repeat(np.eye(2), 20, axis=0) + 0.01 * np.random.default_rng(0).normal(size=(40, 2))
    neighbors = nearest_neighbors(two_islands, 12, Runtime("cpu"))
    labels = np.where(np.arange(40) < 20, 1, UNKNOWN)
    smooth = propagate(Clustering(labels, None, 2, "given"), neighbors, 0.9)
    np.testing.assert_allclose(smooth, np.repeat([[0, 1], [0.5, 0.5]], 20, axis=0), atol=1e-6)
    base = Clustering(labels, None, 2, "given")
    among = propagate(base, neighbors, 0.9, find_candidates(labels, neighbors))
    np.testing.assert_allclose(among.sum(axis=1), np.repeat([1, 0], 20), atol=1e-6)
