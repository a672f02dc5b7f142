"""Doubt, outliers and copies, on cases small enough to see."""

import numpy as np

from ruc.marks import find_marks, for_review, review_rows
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.runtime import Runtime


def marks_of(
    features: np.ndarray, labels: list[int], confidence: list[float], hashes: list[str] | None = None
):
    neighbors = nearest_neighbors(features.astype(np.float32), min(10, len(features) - 1), Runtime("cpu"))
    names = tuple(f"{row}.png" for row in range(len(features)))
    return find_marks(np.asarray(labels), np.asarray(confidence, np.float32), neighbors, names, hashes)


def test_doubt_by_hand() -> None:
    neighbors = Neighbors(np.array([[1, 2], [0, 2], [0, 1]]), np.full((3, 2), 0.5, np.float32))
    marks = find_marks(
        np.array([0, 0, 1]), np.array([1, 0.8, 0.6], np.float32), neighbors, ("a", "b", "c"), None
    )
    # agreement of the neighbours: 1/2, 1/2, 0
    np.testing.assert_allclose(marks.doubt, [1 - 0.75, 1 - 0.8 * 0.75, 1 - 0.6 * 0.5], rtol=1e-6)


def test_review_is_most_doubtful_first() -> None:
    doubt = np.array([0.1, 0.9, 0.5, 0.7], np.float32)
    assert for_review(doubt, 0.5).tolist() == [1, 3]
    assert for_review(doubt, 0.0).tolist() == []
    assert len(for_review(doubt, 0.01)) == 1


def test_review_has_the_number_of_the_cluster_that_comes_second() -> None:
    doubt = np.array([0.1, 0.9, 0.5], np.float32)
    probabilities = np.array([[1, 0, 0], [0.3, 0.5, 0.2], [0.5, 0, 0.5]], np.float32)
    rows = review_rows(0.6, doubt, ("a", "b", "c"), np.array([0, 0, 2]), probabilities)
    assert [(row[0], row[1], row[4]) for row in rows] == [("b", 0, 1), ("c", 2, 0)]
    np.testing.assert_allclose([row[2:4] for row in rows], [[0.3, 0.9], [0.5, 0.5]], rtol=1e-6)


def test_copies_name_the_first_of_their_kind() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 8))
    features[17] = features[4] * (1 + 1e-6)
    hashes = [str(row) for row in range(30)]
    hashes[9] = hashes[25] = "same"
    marks = marks_of(features, [0] * 30, [1.0] * 30, hashes)
    assert {row: name for row, name in enumerate(marks.copy_of) if name} == {25: "9.png"}
    assert {row: name for row, name in enumerate(marks.near_copy_of) if name} == {17: "4.png"}


def test_near_copies_are_nearer_than_a_twentieth_of_what_is_usual() -> None:
    distance = np.array([1, 1, 1, 0.049, 0.051])
    neighbors = Neighbors(
        np.array([[1], [2], [0], [1], [0]]), (1 - distance**2 / 2)[:, None].astype(np.float32)
    )
    marks = find_marks(np.zeros(5, np.int64), np.ones(5, np.float32), neighbors, tuple("abcde"), None)
    assert marks.near_copy_of.tolist() == ["", "", "", "b", ""]


def test_many_copies_each_name_an_earlier_one() -> None:
    features = np.random.default_rng(0).normal(size=(30, 8))
    features[10:] = features[4]
    marks = marks_of(features, [0] * 30, [1.0] * 30)
    assert {row: name for row, name in enumerate(marks.near_copy_of) if name} == {
        10: "4.png",
        **{row: f"{row - 1}.png" for row in range(11, 30)},
    }
    assert not marks.is_outlier.any()


def test_the_odd_one_is_an_outlier() -> None:
    rng = np.random.default_rng(0)
    features = np.array([1.0, 0, 0]) + rng.uniform(-0.3, 0.3, size=(200, 3))
    features[7] = [-1, 0, 0]
    assert np.flatnonzero(marks_of(features, [0] * 200, [1.0] * 200).is_outlier).tolist() == [7]
