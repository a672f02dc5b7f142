import numpy as np
import pytest
import scipy.sparse as sp

from ruc.neighbors.eigenvectors import spectral_embedding
from ruc.neighbors.graphs import neighbor_graph
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def points(n: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("n_dimensions", [4, 29, 30])
def test_eigenvectors_equal_a_dense_solver(n_dimensions: int) -> None:
    affinity = neighbor_graph(points(30), RUNTIME, n_neighbors=5)
    values, vectors = spectral_embedding(affinity, n_dimensions, RUNTIME)
    dense = affinity.toarray().astype(float)
    root = 1 / np.sqrt(dense.sum(axis=1))
    normalised = root[:, None] * dense * root
    expected = np.sort(np.linalg.eigvalsh(normalised))[::-1]
    np.testing.assert_allclose(values, expected[:n_dimensions], atol=1e-3)
    np.testing.assert_allclose(normalised @ vectors, vectors * values, atol=2e-2)
    assert values[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("n_dimensions", [2, 3, 6])
def test_eigenvectors_of_a_graph_in_pieces(n_dimensions: int) -> None:
    """Three pieces of different size: orthonormal, eigenvectors, the first that of the degrees."""
    pieces = [neighbor_graph(points(n, seed=n), RUNTIME, n_neighbors=5) for n in (30, 20, 12)]
    order = np.random.default_rng(0).permutation(62)
    affinity = sp.csr_array(sp.csr_array(sp.block_diag(pieces))[order][:, order])
    values, vectors = spectral_embedding(affinity, n_dimensions, RUNTIME)
    dense = affinity.toarray().astype(float)
    root = 1 / np.sqrt(dense.sum(axis=1))
    normalised = root[:, None] * dense * root
    expected = np.sort(np.linalg.eigvalsh(normalised))[::-1]
    np.testing.assert_allclose(values, expected[:n_dimensions], atol=1e-6)
    np.testing.assert_allclose(normalised @ vectors, vectors * values, atol=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(n_dimensions), atol=1e-6)
    np.testing.assert_allclose(vectors[:, 0], 1 / root / np.linalg.norm(1 / root), atol=1e-6)


def test_eigenvalues_that_come_several_times_are_all_found() -> None:
    block = np.ones((15, 15)) - np.eye(15)
    affinity = sp.csr_array(sp.block_diag([block] * 12).astype(np.float32))
    values, _ = spectral_embedding(affinity, 13, RUNTIME)
    np.testing.assert_allclose(values, [1.0] * 12 + [-1 / 14], atol=1e-6)


def test_eigenvectors_of_copies_are_found() -> None:
    """Where each is as near to every other, an iteration gets stuck on equal eigenvalues."""
    one = np.random.default_rng(0).normal(size=(1, 8))
    copies = np.repeat(one / np.linalg.norm(one), 30, axis=0).astype(np.float32)
    values, vectors = spectral_embedding(neighbor_graph(copies, RUNTIME), 8, RUNTIME)
    assert values[0] == pytest.approx(1, abs=1e-6) and (np.diff(values) <= 1e-9).all()
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(8), atol=1e-6)
