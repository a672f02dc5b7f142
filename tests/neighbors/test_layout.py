import numpy as np
import pytest
import scipy.sparse as sp

from ruc.neighbors import layout
from ruc.neighbors.layout import fuzzy_graph, graph_layout, neighbor_graph, spectral_embedding
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


def test_clusters_far_apart_can_be_laid_out() -> None:
    """Ten clusters of 40 with not one edge between them, where an iteration for equal eigenvalues gets stuck."""
    generator = np.random.default_rng(1)
    centres = generator.normal(size=(10, 64))
    rows = np.repeat(centres, 40, axis=0) + 0.3 * generator.normal(size=(400, 64))
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    positions = graph_layout(neighbor_graph(unit, RUNTIME), 4, RUNTIME)
    means = positions.reshape(10, 40, 4).mean(axis=1)
    nearest = np.square(positions[:, None] - means).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, np.repeat(np.arange(10), 40))


def test_the_push_is_the_gradient_of_the_repulsion() -> None:
    """``-log(1 - 1/(1+d²))`` differentiated by autograd, away from the softening and the clipping."""
    import torch

    positions = (3.0 * torch.randn(7, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    others = torch.tensor([1, 4])
    squares = (positions[:, None] - positions[others].detach()).square().sum(dim=2)
    squares = squares.clamp_min(1e-9)
    own = torch.zeros(7, 2, dtype=torch.bool)
    own[others, torch.arange(2)] = True
    energy = -torch.log(squares / (1 + squares)).masked_fill(own, 0.0).sum()
    (gradient,) = torch.autograd.grad(energy, positions)
    push = layout._mean_push(positions.detach(), others)
    torch.testing.assert_close(push, -gradient / 2, rtol=0.02, atol=1e-4)


def test_layout_separates_what_is_not_connected_and_repeats() -> None:
    block = np.ones((15, 15)) - np.eye(15)
    affinity = sp.csr_array(sp.block_diag([block, block, block]).astype(np.float32))
    positions = graph_layout(affinity, 2, RUNTIME)
    centres = positions.reshape(3, 15, 2).mean(axis=1)
    spread = np.abs(positions.reshape(3, 15, 2) - centres[:, None]).max()
    apart = min(np.linalg.norm(centres[i] - centres[j]) for i in range(3) for j in range(i))
    assert apart > 3 * spread
    np.testing.assert_array_equal(positions, graph_layout(affinity, 2, RUNTIME))
    assert not np.array_equal(positions, graph_layout(affinity, 2, RUNTIME, "another"))
    assert positions.dtype == np.float32


def test_eigenvalues_that_come_several_times_are_all_found() -> None:
    block = np.ones((15, 15)) - np.eye(15)
    affinity = sp.csr_array(sp.block_diag([block] * 12).astype(np.float32))
    values, _ = spectral_embedding(affinity, 13, RUNTIME)
    np.testing.assert_allclose(values, [1.0] * 12 + [-1 / 14], atol=1e-6)
