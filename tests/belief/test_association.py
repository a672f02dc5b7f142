"""Labels that have nothing to do with the samples are told from those that do."""

import numpy as np
import pytest

from ruc import RobustClusterer
from ruc.belief.association import associate
from ruc.errors import ClusterWarning
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime


def samples(n_samples: int = 400, n_clusters: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, n_clusters, n_samples)
    return kind, np.eye(16, dtype=np.float32)[kind] + rng.normal(0, 0.08, (n_samples, 16)).astype(np.float32)


def noisy(kind: np.ndarray, share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = kind.copy()
    hit = rng.random(len(kind)) < share
    labels[hit] = rng.integers(0, kind.max() + 1, hit.sum())
    return labels


def test_random_labels_pass_as_seldom_as_they_may() -> None:
    kind, features = samples()
    neighbors = nearest_neighbors(features, 100, Runtime("cpu"))
    p_values = []
    for seed in range(60):
        labels = np.random.default_rng(seed).permutation(kind)
        found = associate(Clustering(labels, None, 3, "given"), neighbors, Runtime("cpu", seed))
        assert found is not None
        p_values.append(found.p_value)
    assert sum(p <= 0.01 for p in p_values) <= 3  # binomial: more in one of two thousand suites
    assert 0.35 < np.mean(p_values) < 0.65


@pytest.mark.parametrize("share", [0.0, 0.5, 0.7])
def test_labels_of_which_a_third_is_meant_are_no_chance(share: float) -> None:
    kind, features = samples()
    neighbors = nearest_neighbors(features, 100, Runtime("cpu"))
    for seed in range(10):
        labels = noisy(kind, share, seed)
        labels[::7] = -1
        found = associate(Clustering(labels, None, 3, "given"), neighbors, Runtime("cpu", seed))
        assert found is not None and found.is_beyond_chance
        assert found.agreement > found.by_chance


def test_too_few_labels_tell_nothing() -> None:
    kind, features = samples(11)
    neighbors = nearest_neighbors(features, 10, Runtime("cpu"))
    assert associate(Clustering(kind, None, 3, "given"), neighbors, Runtime("cpu")) is None


def test_of_shuffled_labels_none_is_trusted_or_changed() -> None:
    kind, features = samples()
    labels = np.random.default_rng(1).permutation(kind)
    labels[:5] = -1
    with pytest.warns(ClusterWarning, match="have nothing to do with these samples") as said:
        model = RobustClusterer(n_clusters=3, random_state=0).fit(features, initial_labels=labels)
    assert "is the table in another order?" in str(said[0].message)
    np.testing.assert_array_equal(model.labels_[5:], labels[5:])
    np.testing.assert_array_equal(model.predict(features), model.labels_)
    assert not model.was_clean_.any() and not model.is_clean_.any()
    assert model.probabilities_.max(axis=1).mean() < 0.45
    assert not any("seem right" in remark for remark in model.remarks_)


def test_labels_that_are_mostly_right_are_repaired_as_before() -> None:
    kind, features = samples()
    model = RobustClusterer(n_clusters=3, random_state=0).fit(features, initial_labels=noisy(kind, 0.5, 1))
    assert np.mean(model.labels_ == kind) > 0.98
    assert model.warnings_ == ()
