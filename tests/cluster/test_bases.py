import logging
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ruc.cluster.auto import METHODS, cluster
from ruc.cluster.density import density
from ruc.cluster.graph import graph
from ruc.cluster.kmeans import kmeans
from ruc.cluster.scan import scan
from ruc.errors import InputError
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

pytestmark = pytest.mark.learns

RUNTIME = Runtime("cpu")


def blobs(sizes: list[int], spread: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    features = generator.normal(size=(len(sizes), 16))[truth] + spread * generator.normal(
        size=(len(truth), 16)
    )
    return features.astype(np.float32), truth


@pytest.mark.parametrize("method", METHODS)
def test_finds_blobs_and_repeats(method: str) -> None:
    features, truth = blobs([60] * 5)
    neighbors = nearest_neighbors(features, 30, RUNTIME)
    found = cluster(features, 5, method, RUNTIME, neighbors)
    again = cluster(features, 5, method, Runtime("cpu"), neighbors)
    known = found.labels >= 0
    assert known.mean() > 0.9
    assert adjusted_rand_score(truth[known], found.labels[known]) > 0.95
    np.testing.assert_array_equal(found.labels, again.labels)
    assert found.labels.dtype == np.int64
    assert found.n_clusters == 5
    assert np.unique(found.labels[known]).tolist() == [0, 1, 2, 3, 4]
    assert (np.diff(np.bincount(found.labels[known])) <= 0).all()
    assert found.name == ("scan" if method == "auto" else method)
    assert (found.probabilities is not None) == (method in ("auto", "graph", "mixture", "scan"))
    if found.probabilities is not None:
        assert found.probabilities.shape == (300, 5)
        assert found.probabilities.dtype == np.float32
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, rtol=1e-5)
        np.testing.assert_array_equal(found.probabilities.argmax(axis=1), found.labels)


@pytest.mark.parametrize(
    ("sizes", "expected"), [([60] * 5, "scan"), ([300, 100, 40, 20, 15], "graph"), ([400, 20], "graph")]
)
def test_auto_leaves_scan_where_it_tears_the_graph_apart(
    sizes: list[int], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    features, truth = blobs(sizes, spread=0.5)
    with caplog.at_level(logging.INFO):
        found = cluster(features, len(sizes), "auto", RUNTIME)
    assert found.name == expected and f"base clustering: {expected}, as " in caplog.text
    assert adjusted_rand_score(truth, found.labels) > 0.95


@pytest.mark.parametrize("method", ["graph", "spectral", "scan", "density"])
def test_finds_neighbours_itself(method: str) -> None:
    features, truth = blobs([25] * 3)
    assert adjusted_rand_score(truth, cluster(features, 3, method, RUNTIME).labels) > 0.9


def test_graph_keeps_unequal_clusters_whole() -> None:
    features, truth = blobs([300, 100, 40, 20, 15], spread=0.5)
    found = graph(features, 5, RUNTIME)
    assert adjusted_rand_score(truth, found.labels) > 0.98
    assert np.bincount(found.labels, minlength=5).min() >= 10


@pytest.mark.parametrize(("n_samples", "n_clusters"), [(3, 2), (12, 5), (40, 20), (7, 7)])
def test_graph_with_few_samples_has_every_cluster(n_samples: int, n_clusters: int) -> None:
    features = np.random.default_rng(0).normal(size=(n_samples, 4)).astype(np.float32)
    found = graph(features, n_clusters, RUNTIME)
    assert len(np.unique(found.labels)) == n_clusters


def test_graph_with_copies() -> None:
    features, truth = blobs([4, 4, 4])
    copies = np.repeat(features, 10, axis=0)
    assert adjusted_rand_score(np.repeat(truth, 10), graph(copies, 3, RUNTIME).labels) > 0.9


@pytest.mark.parametrize("method", [graph, scan])
def test_many_copies_of_a_few(method: Callable[..., Clustering]) -> None:
    features, truth = blobs([50] * 4, spread=0.5, seed=1)
    rows = np.concatenate([np.arange(200), np.repeat([0, 60, 190], [200, 90, 40])])
    found = method(features[rows], 4, RUNTIME)
    assert adjusted_rand_score(truth[rows[:200]], found.labels[:200]) > 0.95
    assert (found.labels[200:] == found.labels[rows[200:]]).all()
    assert found.probabilities is not None
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), found.labels)
    with pytest.raises(InputError, match="only 2 different samples for 3 clusters"):
        method(features[np.repeat([0, 1], 40)], 3, RUNTIME)


def test_another_seed_is_another_draw() -> None:
    features = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    first, second = (kmeans(features, 6, Runtime("cpu", seed), n_restarts=1).labels for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_kmeans_ignores_lengths() -> None:
    directions = np.array([[1, 0.1], [1, -0.1], [0.1, 1], [-0.1, 1]], dtype=np.float32)
    lengths = np.array([[1], [50], [1], [50]], dtype=np.float32)
    labels = kmeans(directions * lengths, 2, RUNTIME).labels
    assert labels[0] == labels[1] != labels[2] == labels[3]


def test_density_finds_the_number_and_leaves_noise() -> None:
    features, truth = blobs([80] * 4, spread=0.1)
    found = density(features, None, RUNTIME)
    assert found.n_clusters == 4
    assert adjusted_rand_score(truth, found.labels) > 0.95


def test_density_says_when_it_finds_another_number(caplog: pytest.LogCaptureFixture) -> None:
    features, _ = blobs([100] * 3, spread=0.05)
    with caplog.at_level(logging.WARNING):
        found = density(features, 40, RUNTIME)
    assert found.n_clusters != 40
    assert f"finds {found.n_clusters} clusters where 40 were asked for" in caplog.text
    assert found.labels.max() + 1 == found.n_clusters


@pytest.mark.parametrize(
    ("features", "n_clusters", "method", "message"),
    [
        (np.eye(4), 2, "dbscan", "'dbscan' is unknown; expected one of auto, graph"),
        (np.eye(4), None, "graph", "needs the number of clusters"),
        (np.eye(4), 1, "kmeans", "n_clusters is 1; expected 2 or more"),
        (np.eye(4), 5, "graph", "4 samples for 5 clusters"),
        (np.outer(2.0 ** np.arange(5), [1, 1]), 3, "kmeans", "only 1 different samples for 3 clusters"),
        (np.array([[1.0], [np.nan], [2.0]]), 2, "mixture", "row 1 holds NaN"),
        (np.ones(4), 2, "spectral", r"shape \(4,\)"),
    ],
)
def test_errors(features: np.ndarray, n_clusters: int | None, method: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        cluster(features, n_clusters, method, RUNTIME)


def test_auto_trains_no_heads_for_very_many_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    features, truth = blobs([40] * 5)
    monkeypatch.setattr("ruc.cluster.auto.MOST_HEADS", 4)
    found = cluster(features, 5, "auto", RUNTIME)
    assert found.name == "graph" and adjusted_rand_score(truth, found.labels) > 0.95
