import numpy as np
import pytest

from ruc.neighbors import copies as module
from ruc.neighbors.copies import find_copies


def test_without_copies_there_is_nothing_to_find() -> None:
    assert find_copies(np.eye(3, dtype=np.float32)) is None
    assert find_copies(np.zeros((0, 3), np.float32)) is None


def test_groups_by_hand() -> None:
    copies = find_copies(np.array([[3.0], [1.0], [3.0], [2.0], [1.0], [3.0]]))
    assert copies is not None
    assert copies.groups.tolist() == [0, 1, 0, 2, 1, 0]
    assert copies.places.tolist() == [0, 0, 1, 0, 1, 2]
    assert copies.sizes.tolist() == [3, 2, 1]
    assert copies.members.tolist() == [0, 2, 5, 1, 4, 3]
    assert copies.firsts.tolist() == [0, 1, 3]


def test_copies_are_what_is_the_same_in_float32() -> None:
    copies = find_copies(np.array([[0.1], [np.float64(np.float32(0.1))], [0.1 + 1e-6]]))
    assert copies is not None
    assert copies.groups.tolist() == [0, 0, 1]
    copies = find_copies(np.array([[0.0, 1.0], [-0.0, 1.0]]))
    assert copies is not None and copies.groups.tolist() == [0, 0]


def test_neighbours_by_hand() -> None:
    copies = find_copies(np.array([[3.0], [1.0], [3.0], [2.0], [1.0], [3.0]]))
    assert copies is not None
    indices, similarities = (
        np.array([[1, 2], [0, 2], [0, 1]]),
        np.array([[0.9, 0.8], [0.9, 0.7], [0.8, 0.7]], np.float32),
    )
    found, similar = copies.spread(indices, similarities, np.ones(3, np.float32), 2)
    # The copy before it, and of the nearest other group a member that depends on the sample.
    assert found.tolist() == [[5, 4], [4, 0], [0, 4], [5, 1], [1, 0], [2, 1]]
    np.testing.assert_allclose(similar, [[1, 0.9], [1, 0.9], [1, 0.9], [0.8, 0.7], [1, 0.9], [1, 0.9]])


def test_with_too_few_groups_more_of_each_are_taken_evenly() -> None:
    copies = find_copies(np.array([[3.0], [3.0], [3.0], [3.0], [1.0], [1.0], [1.0], [1.0], [2.0]]))
    assert copies is not None
    indices, similarities = np.array([[1, 2], [0, 2], [0, 1]]), np.zeros((3, 2), np.float32)
    found, _ = copies.spread(indices, similarities, np.ones(3, np.float32), 6)
    assert copies.groups[found[0]].tolist() == [0, 0, 0, 1, 1, 2]
    assert copies.groups[found[8]].tolist() == [0, 0, 0, 1, 1, 1]
    everyone, _ = copies.spread(indices, similarities, np.ones(3, np.float32), 8)
    for sample, row in enumerate(everyone.tolist()):
        assert sorted([sample, *row]) == list(range(9))


def test_no_copy_is_named_by_all() -> None:
    copies = find_copies(np.array([[1.0]] * 30 + [[2.0]] * 30))
    assert copies is not None
    found, _ = copies.spread(np.array([[1], [0]]), np.zeros((2, 1), np.float32), np.ones(2, np.float32), 2)
    assert np.bincount(found.ravel(), minlength=60).tolist() == [2] * 60


def test_neighbours_do_not_depend_on_how_many_are_spread_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    copies = find_copies(generator.integers(12, size=(50, 1)).astype(float))
    assert copies is not None
    others = np.array([[b for b in range(len(copies.sizes)) if b != a] for a in range(len(copies.sizes))])
    values = np.sort(generator.random(others.shape).astype(np.float32))[:, ::-1]
    to_copies = np.ones(len(others), np.float32)
    at_once = copies.spread(others, values, to_copies, 20)
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    in_turns = copies.spread(others, values, to_copies, 20)
    for one, other in zip(at_once, in_turns, strict=True):
        np.testing.assert_array_equal(one, other)
