"""Confidence before answers: it ranks right before wrong, and claims little."""

import numpy as np
import pytest

from ruc.belief.confidence import find_confidence, held_out_probability, neighbor_share
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=0)


def made(noise: float = 1.2, wrong: float = 0.2):
    """Unit features of six blobs, their labels, of which a fifth is wrong, and which are right."""
    random = np.random.default_rng(0)
    truth = np.arange(600) % 6
    rows = random.standard_normal((6, 24))[truth] + noise * random.standard_normal((600, 24))
    labels = np.where(random.random(600) < wrong, random.integers(6, size=600), truth)
    features = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return features, labels, labels == truth


def auroc(score: np.ndarray, is_right: np.ndarray) -> float:
    right, wrong = score[is_right][:, None], score[~is_right][None]
    return float((right > wrong).mean() + (right == wrong).mean() / 2)


@pytest.mark.parametrize("with_probabilities", [True, False])
def test_right_ranks_before_wrong(with_probabilities: bool) -> None:
    features, labels, is_right = made()
    even = np.full((600, 6), 1 / 6, np.float32) if with_probabilities else None
    base = Clustering(labels, even, 6, "kmeans", "features")
    sure = find_confidence(labels, base, features, nearest_neighbors(features, 60, CPU), 6, CPU)
    assert auroc(sure.confidence, is_right) > 0.95
    assert sure.confidence.mean() < is_right.mean()
    assert (sure.confidence > 0).all() and (sure.confidence < 1).all()


def test_pieces_of_a_cloud_are_not_believed_and_clear_clusters_are() -> None:
    cloud = np.random.default_rng(1).standard_normal((600, 24)).astype(np.float32)
    cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)
    pieces = np.argsort(np.argsort(cloud[:, 0])) * 6 // 600
    base = Clustering(pieces, None, 6, "kmeans", "features")
    sure = find_confidence(pieces, base, cloud, nearest_neighbors(cloud, 60, CPU), 6, CPU)
    assert sure.confidence.mean() < 0.4
    features, truth, _ = made(noise=0.2, wrong=0)
    base = Clustering(truth, None, 6, "kmeans", "features")
    sure = find_confidence(truth, base, features, nearest_neighbors(features, 60, CPU), 6, CPU)
    assert sure.confidence.mean() > 0.9


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_of_a_sample_that_is_alone_the_others_say_nothing() -> None:
    rows = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    np.testing.assert_allclose(held_out_probability(np.arange(30), rows, 30, CPU), 1e-3)


def test_the_share_of_neighbours_by_hand() -> None:
    features = np.repeat(np.eye(2, 4, dtype=np.float32), 4, axis=0)
    features += 0.01 * np.random.default_rng(0).standard_normal(features.shape).astype(np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    share = neighbor_share(labels, nearest_neighbors(features, 3, CPU), 1)
    np.testing.assert_allclose(share, [2 / 3, 2 / 3, 2 / 3, 0, 1, 1, 1, 1])


def test_a_classifier_never_sees_the_label_it_judges() -> None:
    """Labels by chance: whoever had seen one would be surer of it."""
    random = np.random.default_rng(0)
    labels, components = random.integers(3, size=400), random.standard_normal((400, 50)).astype(np.float32)
    said = held_out_probability(labels, components, 3, CPU)
    assert said.mean() == pytest.approx(1 / 3, abs=0.04)


def test_a_cluster_of_one_is_never_seen_by_the_classifier() -> None:
    labels = np.array([0] * 30 + [1] * 29 + [2])
    components = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
    said = held_out_probability(labels, components, 3, CPU)
    assert np.isfinite(said).all() and said[-1] < 0.01
