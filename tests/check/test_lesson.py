"""What placed images say of others: a case worked by hand, an independent fit, and that it helps."""

import numpy as np
import pytest
from scipy.special import softmax

from ruc.check.checked import HELD_OUT_WORTH
from ruc.check.coverage import least_probability
from ruc.check.estimate import share_with_known
from ruc.check.lesson import SPREAD, held_out, learn


def two_groups(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three true groups in five dimensions, probabilities that mistake half of the third for the first, the truth."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, n)
    features = np.eye(5)[truth] + 0.2 * random.standard_normal((n, 5))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    seen_as = np.where((truth == 2) & (random.random(n) < 0.5), 0, truth)
    probabilities = np.full((n, 3), 0.15)
    probabilities[np.arange(n), seen_as] = 0.7
    return features, probabilities, truth


def test_weights_are_where_the_slope_vanishes() -> None:
    features, probabilities, truth = two_groups(0)
    lesson = learn(probabilities[:40], features[:40], truth[:40])
    seen = features[:40] - features[:40].mean(axis=0)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    weights = lesson.weights.astype(np.float64)
    off = softmax(np.log(probabilities[:40]) + seen @ weights, axis=1) - np.eye(3)[truth[:40]]
    slope = seen.T @ off + weights / SPREAD**2
    assert np.abs(slope).max() < 2e-3
    assert np.abs(weights).max() > 1


@pytest.mark.parametrize("seed", range(5))
def test_what_looks_alike_follows(seed: int) -> None:
    features, probabilities, truth = two_groups(seed)
    lesson = learn(probabilities[:40], features[:40], truth[:40])
    before = (probabilities[40:].argmax(axis=1) == truth[40:]).mean()
    after = (lesson(probabilities[40:], features[40:]).argmax(axis=1) == truth[40:]).mean()
    assert before < 0.9 and after > 0.95
    held = (held_out(probabilities[:40], features[:40], truth[:40]).argmax(axis=1) == truth[:40]).mean()
    assert abs(held - after) < 0.15


def test_what_was_right_for_certain_teaches_next_to_nothing() -> None:
    features, _, truth = two_groups(0)
    sure = np.full((len(truth), 3), 1e-6)
    sure[np.arange(len(truth)), truth] = 1
    lesson = learn(sure[:40], features[:40], truth[:40])
    assert np.abs(lesson(sure, features) - sure).max() < 1e-2
    assert (lesson(sure, features).argmax(axis=1) == truth).all()


def test_what_cannot_be_stays_so() -> None:
    features, probabilities, truth = two_groups(1)
    lesson = learn(probabilities[:40], features[:40], truth[:40])
    probabilities[50:, 2] = 0
    taught = lesson(probabilities, features)
    assert (taught[50:, 2] == 0).all()
    np.testing.assert_allclose(taught.sum(axis=1), 1, atol=1e-5)


def test_the_promise_of_possible_clusters_outlasts_a_lesson() -> None:
    """Over 15 draws of 50 answers each: the threshold of what was held out keeps it for what was learned."""
    features, probabilities, truth = two_groups(0, 800)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    holds = []
    for seed in range(15):
        asked = np.random.default_rng(seed).permutation(800)[:50]
        rest = np.setdiff1d(np.arange(800), asked)
        held = held_out(probabilities[asked], features[asked], truth[asked])
        least = least_probability(held[np.arange(50), truth[asked]], 0.9)
        taught = learn(probabilities[asked], features[asked], truth[asked])(
            probabilities[rest], features[rest]
        )
        holds.append((taught[np.arange(len(rest)), truth[rest]] >= least).mean())
    assert 0.87 < np.mean(holds) < 0.98


def test_answers_that_are_learned_from_judge_what_is_learned() -> None:
    """Over 24 draws of 40 answers: right in the mean, and about as often inside the interval as it says."""
    random = np.random.default_rng(3)
    truth = random.integers(0, 4, 400)
    features = np.eye(12)[truth] + 0.6 * random.standard_normal((400, 12))
    said = np.where(random.random(400) < 0.55, truth, random.integers(0, 4, 400))
    probabilities = np.full((400, 4), 0.15)
    probabilities[np.arange(400), said] = 0.55
    inside, errors = 0, []
    for _ in range(24):
        asked = random.permutation(400)[:40]
        given = probabilities[asked], features[asked], truth[asked]
        found = learn(*given)(probabilities, features).argmax(axis=1)
        found[asked] = truth[asked]
        held = held_out(*given).argmax(axis=1) == truth[asked]
        worth, stratum = np.full(40, HELD_OUT_WORTH), np.zeros(40, np.int64)
        share = share_with_known(held, stratum, worth, np.array([400]), np.array([40]), 40)
        accuracy = (found == truth).mean()
        inside += share.low <= accuracy <= share.high
        errors.append(share.value - accuracy)
    assert abs(np.mean(errors)) < 0.04  # 0.05 and more if images for certain right counted as the others
    assert inside / 24 > 0.8


def test_what_was_learned_before_is_judged_without_the_judge() -> None:
    """Of labels that nothing explains two lessons know all by heart; who judges hasn't seen them."""
    random = np.random.default_rng(0)
    features, right = random.standard_normal((40, 100)), random.integers(0, 3, 40)
    even = np.full((40, 3), 1 / 3)
    first = learn(even[:20], features[:20], right[:20])
    said = first(even, features)
    unseen = np.concatenate([held_out(even[:20], features[:20], right[:20]), said[20:]])
    seen = learn(said, features, right)(said, features)
    assert (seen.argmax(axis=1) == right).mean() > 0.9
    assert (held_out(said, features, right)[:20].argmax(axis=1) == right[:20]).mean() > 0.9
    assert (held_out(said, features, right, unseen).argmax(axis=1) == right).mean() < 0.6


def test_a_single_image_is_told_nothing_by_others() -> None:
    features, probabilities, truth = two_groups(0)
    np.testing.assert_array_equal(
        held_out(probabilities[:1], features[:1], truth[:1]), probabilities[:1].astype(np.float32)
    )
    assert len(held_out(probabilities[:2], features[:2], truth[:2])) == 2
