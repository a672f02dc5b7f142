"""Muon against its definition by singular values, and beside PyTorch's Adam and Muon."""

import pytest
import torch
from torch import nn

from ruc.networks import load_optimizer, optimizer_tensors
from ruc.networks.muon import COEFFICIENTS, N_ITERATIONS, Muon, orthogonal


def polynomial(values: torch.Tensor) -> torch.Tensor:
    linear, cubic, quintic = COEFFICIENTS
    for _ in range(N_ITERATIONS):
        values = linear * values + cubic * values**3 + quintic * values**5
    return values


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 5)])
def test_singular_vectors_stay_and_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    reached = orthogonal(matrix)
    expected = left @ torch.diag(polynomial(values / values.norm())) @ right
    torch.testing.assert_close(reached, expected, rtol=1e-8, atol=1e-10)
    near = torch.linalg.svdvals(reached)
    assert near.min() > 0.65
    assert near.max() < 1.25
    assert torch.equal(orthogonal(torch.zeros(shape)), torch.zeros(shape))


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 5, 3, bias=False), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(20, 6))


def steps(optimizers: list[torch.optim.Optimizer], model: nn.Module, n_steps: int, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(n_steps):
        images = torch.randn(8, 2, 4, 4, generator=generator)
        model.zero_grad(set_to_none=True)
        model(images).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_matrices_as_by_slow_loops_and_vectors_as_by_torch(memory_format: torch.memory_format) -> None:
    ours, theirs = (network(0).to(memory_format=memory_format) for _ in range(2))
    vectors = [parameter for parameter in theirs.parameters() if parameter.ndim == 1]
    matrices = [parameter for parameter in theirs.parameters() if parameter.ndim > 1]
    seen: list[list[torch.Tensor]] = [[] for _ in matrices]

    class Slow(torch.optim.Optimizer):
        """Momentum as a sum over all gradients so far, made orthogonal by its singular vectors."""

        def step(self, closure: None = None) -> None:
            for parameter, gradients in zip(matrices, seen, strict=True):
                gradients.append(parameter.grad.clone().flatten(1).double())
                total = sum(0.95**age * gradient for age, gradient in enumerate(reversed(gradients)))
                left, values, right = torch.linalg.svd(gradients[-1] + 0.95 * total, full_matrices=False)
                direction = left @ torch.diag(polynomial(values / values.norm())) @ right
                step = 0.03 * 0.2 * max(direction.shape) ** 0.5 * direction
                parameter.data -= step.reshape(parameter.shape).float()

    steps([Muon(ours.parameters(), 0.03)], ours, 5)
    steps([Slow(matrices, {}), torch.optim.Adam(vectors, lr=0.03)], theirs, 5)
    for reached, expected in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(reached, expected, rtol=1e-3, atol=1e-4)


def test_a_matrix_moves_as_far_as_with_pytorchs_own() -> None:
    start = torch.randn(12, 40, generator=torch.Generator().manual_seed(1))
    moved = []
    for make in (
        lambda each: Muon(each, 0.05),
        lambda each: torch.optim.Muon(each, lr=0.05, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
    ):
        parameter = nn.Parameter(start.clone())
        optimizer = make([parameter])
        for seed in range(3):
            parameter.grad = torch.randn(12, 40, generator=torch.Generator().manual_seed(seed))
            optimizer.step()
        moved.append(parameter.detach() - start)
    ours, theirs = moved
    # PyTorch's products are in bfloat16.
    assert float((ours - theirs).norm() / theirs.norm()) < 0.05


def test_goes_on_from_what_it_remembers() -> None:
    whole, pieces = network(2), network(2)
    uninterrupted, first = Muon(whole.parameters(), 0.01), Muon(pieces.parameters(), 0.01)
    steps([uninterrupted], whole, 3)
    steps([first], pieces, 3)
    second = Muon(pieces.parameters(), 0.01)
    load_optimizer(second, optimizer_tensors(first))
    steps([uninterrupted], whole, 2, seed=5)
    steps([second], pieces, 2, seed=5)
    for reached, expected in zip(pieces.parameters(), whole.parameters(), strict=True):
        assert torch.equal(reached, expected)
