"""Picked rows against slow loops and every other choice."""

from itertools import combinations

import numpy as np
import pytest

from ruc import picking
from ruc.picking import diverse, representative, shares, uncertain


def unit_rows(n: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 4))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def coverage(features: np.ndarray, picked: tuple[int, ...]) -> float:
    return sum(max(float(row @ features[p]) for p in picked) for row in features)


@pytest.mark.parametrize("seed", range(5))
def test_representative_covers_nearly_as_well_as_the_best_choice(seed: int) -> None:
    features = unit_rows(12, seed)
    picked = representative(features, 3, seed=0)
    best = max(coverage(features, choice) for choice in combinations(range(12), 3))
    # Similarities are above -1: the bound of 1 - 1/e holds for the sum above that.
    assert coverage(features, tuple(picked)) + 12 >= (1 - 1 / np.e) * (best + 12)
    alone = [coverage(features, (row,)) for row in range(12)]
    assert picked[0] == int(np.argmax(alone))
    assert len(set(picked.tolist())) == 3


def test_representative_stands_for_every_part_of_a_cluster() -> None:
    parts = np.repeat(np.eye(4, dtype=np.float32), [30, 5, 5, 5], axis=0) + 0.01 * unit_rows(45, 0)
    picked = representative(parts / np.linalg.norm(parts, axis=1, keepdims=True), 4, seed=0)
    assert {int(np.searchsorted([30, 35, 40, 45], row, side="right")) for row in picked} == {0, 1, 2, 3}


def test_of_very_many_some_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picking, "MOST_COMPARED", 10)
    features = unit_rows(50, 0)
    picked = representative(features, 4, seed=3)
    np.testing.assert_array_equal(picked, representative(features, 4, seed=3))
    assert len(set(picked.tolist())) == 4
    assert len(representative(features, 20, seed=3)) == 20


@pytest.mark.parametrize("seed", range(5))
def test_diverse_is_never_twice_as_far_as_the_best_choice(seed: int) -> None:
    features = unit_rows(12, seed)
    distances = 1 - features @ features.T
    picked, radius = diverse(features, 3)
    assert radius == pytest.approx(distances[:, picked].min(axis=1).max(), abs=1e-5)
    best = min(distances[:, choice].min(axis=1).max() for choice in combinations(range(12), 3))
    assert np.sqrt(2 * radius) <= 2 * np.sqrt(2 * best) + 1e-5
    for number in range(1, 3):
        before = distances[:, picked[:number]].min(axis=1)
        assert before[picked[number]] == pytest.approx(before.max(), abs=1e-6)


def test_diverse_takes_copies_last() -> None:
    features = np.repeat(unit_rows(4, 0), 3, axis=0)
    assert len({row // 3 for row in diverse(features, 4)[0].tolist()}) == 4
    assert sorted(diverse(features, 99)[0].tolist()) == list(range(12))


def test_uncertain_ones_most_doubtful_first() -> None:
    assert uncertain(np.array([0.1, 0.9, 0.5, 0.9]), 3).tolist() == [1, 3, 2]


@pytest.mark.parametrize(
    ("sizes", "n", "equal", "expected"),
    [
        ([80, 15, 5], 20, False, [16, 3, 1]),
        ([80, 15, 5], 20, True, [8, 7, 5]),
        ([98, 1, 1], 3, False, [1, 1, 1]),
        ([3, 0, 2], 99, True, [3, 0, 2]),
        ([50, 30, 20], 2, False, [1, 1, 0]),
    ],
)
def test_shares(sizes, n, equal, expected) -> None:
    assert shares(np.asarray(sizes), n, equal).tolist() == expected
