"""What can be expected of a clustering, without labels."""

import numpy as np
import pytest

from ruc.belief import replicate
from ruc.belief.replicate import confirmed, expect, principal_halves
from ruc.cluster.kmeans import kmeans
from ruc.cluster.spectral import spectral
from ruc.errors import InputError
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

pytestmark = pytest.mark.learns

CPU = Runtime("cpu", seed=0)


def make_blobs(n_clusters=6, n_samples=600, n_features=24, noise=0.5):
    random = np.random.default_rng(0)
    truth = np.arange(n_samples) % n_clusters
    rows = random.standard_normal((n_clusters, n_features))[truth]
    rows = rows + noise * random.standard_normal((n_samples, n_features))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), truth


def test_confirmed_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    others = np.array([2, 2, 0, 0, 0, 0, 0, 1])  # 0 and 2, and 1 and 0, are each other's best; 2 has none
    np.testing.assert_array_equal(confirmed(labels, others, 3), [1, 1, 0, 1, 1, 1, 0, 0])


@pytest.mark.parametrize("seed", range(3))
def test_confirmed_against_loops(seed):
    random = np.random.default_rng(seed)
    labels, others = random.integers(5, size=200), random.integers(5, size=200)
    others[:120] = (labels[:120] + 2) % 5
    overlap = {
        (a, b): sum((x, y) == (a, b) for x, y in zip(labels, others, strict=True))
        for a in range(5)
        for b in range(5)
    }
    mutual = {
        (a, b)
        for a, b in overlap
        if b == max(range(5), key=lambda y: overlap[a, y]) and a == max(range(5), key=lambda x: overlap[x, b])
    }
    expected = [(a, b) in mutual for a, b in zip(labels, others, strict=True)]
    assert 0 < sum(expected) < 200
    np.testing.assert_array_equal(confirmed(labels, others, 5), expected)


def test_the_halves_share_nothing_and_lose_nothing():
    features, _ = make_blobs(n_features=10)
    first, second, third, _ = principal_halves(features, 2, seed=0)
    assert first.shape == second.shape == (600, 5)
    both = np.hstack([first, second])
    covariance = both.T @ both / 600
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-6)
    centred = features - features.mean(axis=0)
    assert np.square(both).sum() == pytest.approx(np.square(centred).sum(), rel=1e-4)
    assert not np.allclose(first, third)


def test_too_few_features_to_be_halved():
    features, _ = make_blobs(n_features=3)
    assert principal_halves(features, 1, seed=0) == []
    copies = np.repeat(features[:, :1], 8, axis=1)  # of one dimension, whatever their number
    assert principal_halves(copies, 1, seed=0) == []


def test_clear_clusters_can_be_expected_to_be_right_and_pieces_of_a_cloud_cannot():
    features, truth = make_blobs()
    assert (
        expect(truth, features, 6, CPU).accuracy == 0.98
    )  # nothing speaks against it, and nobody is certain
    cloud = np.random.default_rng(1).standard_normal((600, 24)).astype(np.float32)
    pieces = kmeans(cloud, 6, CPU).labels
    assert expect(pieces, cloud, 6, CPU).accuracy == pytest.approx(6 ** (-2 / 3), abs=0.05)


def test_a_merged_and_a_split_class_are_doubted():
    features, truth = make_blobs()
    wrong = np.where(truth == 1, 0, truth)  # 1 goes into 0, …
    twos = np.flatnonzero(truth == 2)
    wrong[twos[::2]] = 1  # … and half of 2 is called 1: a quarter of the labels are wrong
    assert expect(wrong, features, 6, CPU).accuracy == pytest.approx(0.75, abs=0.12)


def test_two_features_and_copies_are_judged_too():
    features, truth = make_blobs(n_clusters=3, n_features=2, n_samples=90)
    assert 0 < expect(truth, features, 3, CPU).accuracy <= 1
    copies = np.eye(4, dtype=np.float32)[np.arange(80) % 4]
    assert 0 < expect(np.arange(80) % 4, copies, 4, CPU).accuracy <= 1


def test_three_samples_have_no_rival_for_their_graph_tells_none_apart():
    features, labels = np.eye(3, 8, dtype=np.float32), np.array([0, 1, 1])
    neighbors = nearest_neighbors(features, 2, CPU)
    with pytest.raises(
        InputError, match="the neighbour graph of 3 samples tells fewer than 2 clusters apart"
    ):
        spectral(features, 2, CPU, neighbors)
    assert replicate._unrivalled(labels, features, neighbors, 2, 1.0, np.random.default_rng(0), CPU) == 1


def test_of_so_few_samples_nothing_can_be_found_again():
    features, labels = np.eye(4, 8, dtype=np.float32), np.array([0, 0, 1, 1])
    features[[1, 3]] = 0.9 * features[[0, 2]] + 0.1 * features[[1, 3]]
    assert expect(labels, features, 2, CPU).accuracy == pytest.approx(2 ** (-2 / 3))


def test_the_seed_decides():
    features, truth = make_blobs(noise=1.6)
    values = [expect(truth, features, 6, Runtime("cpu", seed)).accuracy for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_what_lies_between_clusters_is_counted_by_hand():
    """Nine of ten samples lie at their cluster's centre; the tenth lies at the centre of another."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    at = labels.copy()
    at[::10] = (labels[::10] + 1) % 4
    features = (np.eye(4, 8)[at] + 0.05 * random.standard_normal((200, 8))).astype(np.float32)
    assert expect(labels, features, 4, CPU).shared == pytest.approx(0.9)


def test_what_fits_the_graph_less_well_is_a_rival_only_where_nothing_is_real(monkeypatch):
    features, truth = make_blobs()
    neighbors = nearest_neighbors(features, 15, CPU)

    def by_chance(rows, n_clusters, runtime, neighbors=None, n_restarts=1):
        labels = np.random.default_rng(len(rows)).integers(n_clusters, size=len(rows))
        return Clustering(labels, None, n_clusters, "spectral", "graph")

    monkeypatch.setattr(replicate, "spectral", by_chance)
    for real, lowest, highest in ((1.0, 1.0, 1.0), (0.0, 0.0, 0.3), (0.5, 0.5, 0.65)):
        share = replicate._unrivalled(truth, features, neighbors, 6, real, np.random.default_rng(0), CPU)
        assert lowest <= share <= highest
