import numpy as np

from ruc.neighbors.graphs import fuzzy_graph, plain_graph
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def points(n: int = 60, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_fuzzy_weights_follow_the_definition() -> None:
    """Sample by sample: the scale solves sum(exp(-(d - d_1) / s)) = log2(k); then a + b - ab."""
    neighbors = nearest_neighbors(points(), 8, RUNTIME)
    directed = np.zeros((60, 60))
    for sample in range(60):
        distances = np.sqrt(2 - 2 * neighbors.similarities[sample].astype(float))
        low, high = 1e-6, 1e3
        for _ in range(100):
            middle = (low + high) / 2
            if np.exp(-(distances - distances[0]) / middle).sum() > 3.0:  # log2(8)
                high = middle
            else:
                low = middle
        directed[sample, neighbors.indices[sample]] = np.exp(-(distances - distances[0]) / middle)
    expected = directed + directed.T - directed * directed.T
    np.testing.assert_allclose(fuzzy_graph(neighbors).toarray(), expected, atol=1e-4)


def test_copies_do_not_break_the_weights() -> None:
    affinity = fuzzy_graph(nearest_neighbors(np.ones((20, 3), dtype=np.float32), 5, RUNTIME))
    assert np.isfinite(affinity.data).all()
    np.testing.assert_allclose((affinity - affinity.T).toarray(), 0.0)


def test_the_plain_graph_joins_whoever_is_a_neighbour_of_the_other() -> None:
    indices = np.array([[1, 2], [0, 2], [3, 1], [2, 0]])
    expected = np.zeros((4, 4))
    for sample, row in enumerate(indices):
        for other in row:
            expected[sample, other] = expected[other, sample] = 1
    np.testing.assert_array_equal(plain_graph(indices).toarray(), expected)
