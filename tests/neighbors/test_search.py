import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from ruc.errors import InputError
from ruc.neighbors import search as module
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def test_case_by_hand() -> None:
    features = np.array([[1, 0], [2, 0.2], [0, 1], [-1, 0.3]], dtype=np.float32)
    found = nearest_neighbors(features, 3, RUNTIME)
    assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [3, 1, 0], [2, 1, 0]]
    np.testing.assert_allclose(
        found.similarities[0], [2 / np.hypot(2, 0.2), 0.0, -1 / np.hypot(1, 0.3)], rtol=1e-6
    )
    assert (found.indices.dtype, found.similarities.dtype) == (np.int64, np.float32)


def test_equals_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(203, 12)).astype(np.float32)
    oracle = NearestNeighbors(n_neighbors=7, metric="cosine", algorithm="brute").fit(
        features.astype(np.float64)
    )
    distances, indices = oracle.kneighbors()
    for block_values in (module.BLOCK_VALUES, 203 * 10, 1):
        monkeypatch.setattr(module, "BLOCK_VALUES", block_values)
        found = nearest_neighbors(features, 7, RUNTIME)
        np.testing.assert_array_equal(found.indices, indices)
        np.testing.assert_allclose(found.similarities, 1 - distances, atol=1e-6)


def test_of_equals_the_lower_index_comes_first() -> None:
    features = np.eye(4, dtype=np.float32)[[0, 1, 0, 1, 0, 0, 2]]
    features *= np.arange(1, 8)[:, None]  # equally similar, but no copies
    found = nearest_neighbors(features, 3, RUNTIME)
    assert found.indices.tolist() == [
        [2, 4, 5],
        [3, 0, 2],
        [0, 4, 5],
        [1, 0, 2],
        [0, 2, 5],
        [0, 2, 4],
        [0, 1, 2],
    ]


def test_a_sample_is_never_its_own_neighbour() -> None:
    found = nearest_neighbors(np.ones((6, 3), dtype=np.float32), 5, RUNTIME)
    for sample, row in enumerate(found.indices):
        assert sorted(row) == [other for other in range(6) if other != sample]
    assert found.similarities.max() <= 1.0


def test_length_of_rows_does_not_count() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(30, 5))
    scaled = features * generator.uniform(0.1, 9.0, size=(30, 1))
    np.testing.assert_array_equal(
        nearest_neighbors(features, 4, RUNTIME).indices, nearest_neighbors(scaled, 4, RUNTIME).indices
    )


def test_zero_rows_have_neighbours_of_similarity_zero() -> None:
    features = np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert nearest_neighbors(features, 2, RUNTIME).similarities[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("features", "n_neighbors", "message"),
    [
        (np.zeros((3, 2)), 3, "n_neighbors is 3 for 3 samples; expected 1 to 2"),
        (np.zeros((3, 2)), 0, "n_neighbors is 0"),
        (np.zeros(3), 1, r"shape \(3,\)"),
        (np.array([[0.0], [np.nan], [np.inf]]), 1, r"row 1 holds NaN or infinity \(2 such rows\)"),
    ],
)
def test_errors(features: np.ndarray, n_neighbors: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        nearest_neighbors(features, n_neighbors, RUNTIME)


def test_one_of_each_group_of_copies_is_searched_for() -> None:
    generator = np.random.default_rng(0)
    different = generator.normal(size=(60, 5)).astype(np.float32)
    groups = np.concatenate([np.arange(60), generator.integers(20, size=200)])[generator.permutation(260)]
    found = nearest_neighbors(different[groups], 9, RUNTIME)
    among_different = nearest_neighbors(different, 9, RUNTIME)
    has_copy = np.bincount(groups)[groups] > 1
    for sample, group in enumerate(groups):
        others = among_different.indices[group].tolist()
        expected = [group, *others[:-1]] if has_copy[sample] else others
        assert groups[found.indices[sample]].tolist() == expected
        assert sample not in found.indices[sample]
        similar = different[expected] @ different[group]
        similar /= np.linalg.norm(different[expected], axis=1) * np.linalg.norm(different[group])
        np.testing.assert_allclose(found.similarities[sample], similar, atol=1e-6)


def test_copies_of_very_many_samples_are_searched_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    features[100:] = features[0]
    monkeypatch.setattr(module, "MOST_EXACT", 50)
    in_cells: list[int] = []
    search = module.neighbors_in_cells
    monkeypatch.setattr(
        module,
        "neighbors_in_cells",
        lambda rows, *others: (in_cells.append(len(rows)), search(rows, *others))[1],
    )
    found = nearest_neighbors(features, 4, RUNTIME)
    assert in_cells == [100]
    assert found.indices[300:, 0].tolist() == list(range(299, 399))
    assert (found.indices[300:, 1:] < 100).all()


def test_a_few_copies_of_very_many_samples_are_not_worth_another_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    features[396:] = features[0]
    monkeypatch.setattr(module, "MOST_EXACT", 50)
    monkeypatch.setattr(module, "_among_copies", None)
    found = nearest_neighbors(features, 5, RUNTIME)
    assert sorted(found.indices[0, :4].tolist()) == [396, 397, 398, 399]


def test_the_nearest_among_a_part_are_those_found_in_it_alone() -> None:
    features = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
    rows = np.sort(np.random.default_rng(1).choice(120, 80, replace=False))
    part = nearest_neighbors(features, 60, RUNTIME).among(rows, 7)
    alone = nearest_neighbors(features[rows], 7, RUNTIME)
    assert part is not None
    np.testing.assert_array_equal(part.indices, alone.indices)
    np.testing.assert_array_equal(part.similarities, alone.similarities)


def test_of_too_few_neighbours_none_are_said_to_be_nearest_among_a_part() -> None:
    features = np.random.default_rng(0).normal(size=(120, 6)).astype(np.float32)
    found = nearest_neighbors(features, 10, RUNTIME)
    assert found.among(np.arange(0, 120, 4), 7) is None
    assert found.among(np.arange(120), 7) is not None
