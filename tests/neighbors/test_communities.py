from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import adjusted_rand_score

from ruc.neighbors import communities as module
from ruc.neighbors.communities import (
    agreement,
    connections,
    merge_groups,
    shared_clusters,
    shared_information,
)


def modularity(weights: np.ndarray, owners: np.ndarray, resolution: float) -> float:
    """From the definition, pair by pair."""
    volumes = weights.sum(axis=1)
    total = 0.0
    for one in range(len(owners)):
        for other in range(len(owners)):
            if owners[one] == owners[other]:
                total += weights[one, other] - resolution * volumes[one] * volumes[other]
    return total


def ring_of_cliques(n_cliques: int, size: int) -> np.ndarray:
    n = n_cliques * size
    weights = np.zeros((n, n))
    for clique in range(n_cliques):
        rows = slice(clique * size, (clique + 1) * size)
        weights[rows, rows] = 1.0 - np.eye(size)
        one, other = clique * size, ((clique + 1) % n_cliques) * size + 1
        weights[one, other] = weights[other, one] = 1.0
    return weights / weights.sum()


def test_connections_by_hand() -> None:
    affinity = sp.csr_array(
        np.array([[0, 1, 2, 0], [1, 0, 0, 0], [2, 0, 0, 3], [0, 0, 3, 0]], dtype=np.float32)
    )
    shares = connections(affinity, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(shares, np.array([[2, 2], [2, 6]]) / 12)


@pytest.mark.parametrize("n_communities", [None, 6])
def test_finds_the_cliques_of_a_ring(n_communities: int | None) -> None:
    merged = merge_groups(ring_of_cliques(6, 5), n_communities, 1.0)
    assert merged.natural_number == 6
    assert merged.owners.tolist() == np.repeat(np.arange(6), 5).tolist()


def test_the_resolution_sets_the_natural_number() -> None:
    ring = ring_of_cliques(6, 5)
    numbers = [merge_groups(ring, 6, resolution).natural_number for resolution in (0.01, 1.0, 30.0)]
    assert numbers[0] == 1
    assert numbers[1] == 6
    assert numbers[2] > 6


@pytest.mark.parametrize("n_communities", [1, 2, 4, 11, 30])
def test_ends_with_as_many_as_wanted(n_communities: int) -> None:
    generator = np.random.default_rng(n_communities)
    weights = generator.random((30, 30)) ** 4
    weights = (weights + weights.T) / (2 * weights.sum())
    owners = merge_groups(weights, n_communities, 1.0).owners
    assert np.unique(owners).tolist() == list(range(n_communities))


def test_no_single_move_is_better() -> None:
    generator = np.random.default_rng(0)
    weights = generator.random((16, 16)) ** 6
    weights = (weights + weights.T) / (2 * weights.sum())
    for resolution in (0.5, 1.0):
        owners = merge_groups(weights, 4, resolution).owners
        best = modularity(weights, owners, resolution)
        for group in range(16):
            if (owners == owners[group]).sum() > 1:
                for community in range(4):
                    moved = owners.copy()
                    moved[group] = community
                    assert modularity(weights, moved, resolution) <= best + 1e-9


def merged_plainly(weights: np.ndarray, n_communities: int, resolution: float) -> np.ndarray:
    """The best of all pairs is looked for anew after each merger; of equals the first."""
    volumes = weights.sum(axis=1)
    gains = weights - resolution * np.outer(volumes, volumes)
    np.fill_diagonal(gains, -np.inf)
    owners = np.arange(len(weights))
    for _ in range(len(weights) - n_communities):
        kept, gone = np.unravel_index(gains.argmax(), gains.shape)
        gains[kept] += gains[gone]
        gains[:, kept] = gains[kept]
        gains[kept, kept] = gains[gone] = gains[:, gone] = -np.inf
        owners[owners == gone] = kept
    return np.unique(owners, return_inverse=True)[1]


@pytest.mark.parametrize("n_communities", [1, 3, 9, 40])
@pytest.mark.parametrize("graph", ["weighted", "equal weights", "not quite symmetric"])
def test_merges_the_same_as_a_search_of_all_pairs(
    graph: str, n_communities: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_move", lambda weights, volumes, owners, resolution: owners)
    for seed in range(10):
        generator = np.random.default_rng(seed)
        weights = generator.random((40, 40)) ** 4
        if graph == "equal weights":
            weights = np.round(weights)  # zeros and ones
        if graph != "not quite symmetric":
            weights = weights + weights.T
        weights /= weights.sum()
        for resolution in (0.2, 1.0, 1.6):
            owners = merge_groups(weights, n_communities, resolution).owners
            assert owners.tolist() == merged_plainly(weights, n_communities, resolution).tolist()


def test_without_edges_between_them_parts_stay_apart() -> None:
    weights = np.kron(np.eye(3), np.ones((2, 2))) / 12
    assert merge_groups(weights, None, 0.01).owners.tolist() == [0, 0, 1, 1, 2, 2]


def test_agreement_equals_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    one = generator.integers(4, size=50)
    for other in (
        generator.integers(6, size=50),
        one,
        3 - one,
        np.where(one == 2, 0, one),
        np.zeros(50, int),
    ):
        assert agreement(one, other) == pytest.approx(adjusted_rand_score(one, other))


@pytest.mark.parametrize("measure", [agreement, shared_information, shared_clusters])
def test_weights_are_repeated_samples(measure: Callable[..., float]) -> None:
    generator = np.random.default_rng(0)
    one, other, weights = (generator.integers(0, 4, 60) for _ in range(3))
    weights += 1
    repeated = measure(np.repeat(one, weights), np.repeat(other, weights))
    assert measure(one, other, weights) == pytest.approx(repeated)
    assert measure(one, (one + 1) % 4, weights) == pytest.approx(1)


def test_shared_clusters_by_hand() -> None:
    one, other = np.array([0, 0, 0, 0, 1, 2]), np.array([0, 0, 0, 0, 1, 1])
    # Seen from the first 1, 1/2 and 1/2; from the other 1 and 1/2.
    assert shared_clusters(one, other) == pytest.approx(((1 + 1 / 2 + 1 / 2) / 3 + (1 + 1 / 2) / 2) / 2)
