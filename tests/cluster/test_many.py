"""Base clusterings of so many samples that not all can be looked at in the same way."""

import logging

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from ruc.cluster import auto, graph, kmeans
from ruc.cluster.auto import cluster
from ruc.neighbors import layout
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu", 0)


def blobs(n_samples: int = 900, n_clusters: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = np.sort(generator.integers(n_clusters, size=n_samples))
    features = generator.normal(size=(n_clusters, 16))[truth] + 0.3 * generator.normal(size=(n_samples, 16))
    return features.astype(np.float32), truth


def test_the_graph_of_a_part_clusters_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    features, truth = blobs()
    monkeypatch.setattr(graph, "MOST_SAMPLES", 300)
    for neighbors in (None, nearest_neighbors(features, 20, RUNTIME)):
        with caplog.at_level(logging.INFO):
            found = graph.graph(features, 6, RUNTIME, neighbors)
        assert "300 of 900 samples" in caplog.text
        assert found.probabilities is not None
        assert adjusted_rand_score(truth, found.labels) > 0.98
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(found.labels, found.probabilities.argmax(axis=1))


def test_what_the_part_cannot_reach_gets_the_shares_of_the_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    features, _ = blobs()
    monkeypatch.setattr(graph, "MOST_SAMPLES", 300)
    monkeypatch.setattr(graph, "N_SPREADING", 0)
    found = graph.graph(features, 6, RUNTIME)
    assert found.probabilities is not None
    unheard = found.probabilities.max(axis=1) < 0.5
    assert unheard.sum() == 600
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, atol=1e-5)


def test_auto_takes_kmeans_where_the_graph_would_see_too_little_of_each_cluster(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    features, truth = blobs()
    assert cluster(features, 6, "auto", RUNTIME).name == "scan"
    for module in (auto, graph):
        monkeypatch.setattr(module, "MOST_SAMPLES", 300)
    assert cluster(features, 3, "auto", RUNTIME).name == "graph"
    with caplog.at_level(logging.INFO):
        found = cluster(features, 6, "auto", RUNTIME)
    assert found.name == "kmeans" and "too few for 6 clusters" in caplog.text
    assert adjusted_rand_score(truth, found.labels) > 0.7


def test_kmeans_of_many_is_as_good_as_with_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    features, truth = blobs()
    few = kmeans.kmeans(features, 6, RUNTIME)
    monkeypatch.setattr(kmeans, "MOST_WITH_RESTARTS", 10)
    many = kmeans.kmeans(features, 6, RUNTIME)
    assert many.name == few.name == "kmeans" and many.labels.dtype == np.int64
    assert adjusted_rand_score(truth, many.labels) > adjusted_rand_score(truth, few.labels) - 0.3


def test_blocks_do_not_change_a_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    affinity = neighbor_graph(blobs(300)[0], RUNTIME)
    start = layout.layout_start(affinity, 2, RUNTIME)
    whole = layout.graph_layout(affinity, 2, RUNTIME)
    np.testing.assert_array_equal(layout.graph_layout(affinity, 2, RUNTIME, start=start), whole)
    monkeypatch.setattr(layout, "N_STEPS", 3)  # rounding differs, and grows from step to step
    whole = layout.graph_layout(affinity, 2, RUNTIME)
    monkeypatch.setattr(layout, "BLOCK_SAMPLES", 64)
    np.testing.assert_allclose(layout.graph_layout(affinity, 2, RUNTIME), whole, atol=1e-3)


def test_layouts_side_by_side_are_those_made_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    affinity = neighbor_graph(blobs(300)[0], RUNTIME)
    starts = {n: layout.layout_start(affinity, n, RUNTIME) for n in set(graph.LAYOUT_DIMENSIONS)}
    monkeypatch.setattr(graph, "layout_start", lambda affinity, n, runtime: starts[n])
    n_threads, found = torch.get_num_threads(), []
    try:
        for used in (1, 2):
            torch.set_num_threads(used)
            found.append(graph.group_layouts(affinity, 6, RUNTIME))
            assert torch.get_num_threads() == used
    finally:
        torch.set_num_threads(n_threads)
    assert len(found[0]) == len(graph.LAYOUT_DIMENSIONS)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_auto_makes_the_same_on_two_threads_as_on_one() -> None:
    features, _ = blobs(400)
    n_threads, found = torch.get_num_threads(), []
    try:
        for used in (1, 2):
            torch.set_num_threads(used)
            found.append(cluster(features, 6, "auto", RUNTIME))
    finally:
        torch.set_num_threads(n_threads)
    np.testing.assert_array_equal(found[0].probabilities, found[1].probabilities)
