"""New samples among those that are known."""

import numpy as np

from ruc.belief.known import Known


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def samples(n: int, seed: int, shift: float = 0.0):
    random = np.random.default_rng(seed)
    cluster = np.arange(n) % 3
    rows = np.eye(3, 16)[cluster] + 0.2 * random.standard_normal((n, 16))
    rows[:, 5] += shift
    return unit(rows), cluster


def test_a_known_sample_is_as_sure_as_it_was() -> None:
    features, cluster = samples(300, 0)
    confidence = np.random.default_rng(1).random(300).astype(np.float32)
    around = Known(features, cluster, confidence).look_around(features, cluster)
    np.testing.assert_allclose(around.confidence, confidence, atol=1e-6)


def test_a_new_one_is_as_sure_as_those_around_it_in_its_cluster() -> None:
    features, cluster = samples(300, 0)
    confidence = np.choose(cluster, [0.9, 0.5, 0.2]).astype(np.float32)
    new, there = samples(30, 2)
    known = Known(features, cluster, confidence)
    np.testing.assert_allclose(
        known.look_around(new, there).confidence, np.choose(there, [0.9, 0.5, 0.2]), atol=1e-6
    )
    nowhere = known.look_around(new, np.full(30, 3))
    assert (nowhere.confidence == np.float32(0.2)).all()


def test_novelty_is_even_over_samples_of_the_same_kind() -> None:
    """Averaged over draws: of held-out known samples a share a is above 1 - a."""
    above = {0.5: [], 0.1: []}
    for seed in range(20):
        features, cluster = samples(400, seed)
        new, there = samples(200, 1000 + seed)
        novelty = Known(features, cluster, np.ones(400)).look_around(new, there).novelty
        for share, found in above.items():
            found.append((novelty > 1 - share).mean())
    for share, found in above.items():
        assert abs(np.mean(found) - share) < 0.03


def test_another_kind_is_new() -> None:
    features, cluster = samples(400, 0)
    known = Known(features, cluster, np.ones(400))
    other, there = samples(100, 1, shift=2.0)
    assert (known.look_around(other, there).novelty > 0.99).mean() > 0.95
    assert known.look_around(features[:50], cluster[:50]).novelty.max() <= 1


def test_a_few_known_samples_are_enough() -> None:
    for n in (1, 2, 6):
        features, cluster = samples(n, 0)
        around = Known(features, cluster, np.full(n, 0.7)).look_around(features, cluster)
        assert np.isfinite(around.novelty).all() and np.allclose(around.confidence, 0.7)
