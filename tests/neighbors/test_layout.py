import numpy as np
import scipy.sparse as sp

from ruc.neighbors import layout
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.layout import graph_layout
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def points(n: int = 60, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


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


def test_the_pull_is_the_sum_along_all_edges() -> None:
    """A slow loop over the edges, of a graph with an isolated vertex and a loop, which pulls nowhere."""
    import torch

    affinity = sp.random_array((12, 12), density=0.3, rng=np.random.default_rng(0), dtype=np.float32).tolil()
    affinity[5], affinity[:, 5] = 0, 0
    affinity = sp.csr_array(affinity + affinity.T)
    assert affinity.diagonal().any()
    positions = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
    expected = np.zeros((12, 3))
    for tail, head, weight in zip(*sp.find(affinity), strict=True):
        difference = positions[head].numpy() - positions[tail].numpy()
        expected[tail] += weight / (1 + difference @ difference) * difference
    np.testing.assert_allclose(layout._Pull(affinity)(positions), expected, atol=1e-5)


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
