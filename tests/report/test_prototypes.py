"""Typical images cover the cluster: each of its parts shows its medoid before any shows a second image."""

import numpy as np

from ruc.report.prototypes import typical_ranks


def test_a_second_object_is_among_the_first_images() -> None:
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1], [200, 25])  # nearest to the mean of all are two hundred images of the first
    features = np.eye(5)[kind] + rng.normal(0, 0.1, (225, 5))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    ranks = typical_ranks(np.zeros(225, int), features)
    first = np.argsort(ranks)[:8]
    assert 1 in kind[first]
    to_centre = features @ features.mean(axis=0)
    assert 1 not in kind[np.argsort(-to_centre)[:100]]


def test_the_first_of_a_single_part_is_its_medoid() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    ranks = typical_ranks(np.zeros(12, int), features)
    assert ranks.argmin() == (features @ features.T).sum(axis=1).argmax()
    assert sorted(ranks.tolist()) == [np.float32(row / 12) for row in range(12)]


def test_without_features_and_without_a_cluster() -> None:
    assert typical_ranks(np.array([0, 0, 1]), None).tolist() == [0, 0, 0]
    assert typical_ranks(np.array([-1, 0]), np.eye(2))[0] == 0
