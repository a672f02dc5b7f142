"""Gradient descent by hand against PyTorch's."""

import copy

import pytest
import torch
from torch import nn

from ruc.networks import Sgd, seeded_init, set_learning_rate


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_steps_as_torch_does(momentum: float) -> None:
    with seeded_init(0):
        network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    network[0].bias.requires_grad_(False)  # it has no gradient
    twin = copy.deepcopy(network)
    own = Sgd(network.parameters(), 0.1, momentum, 0.01)
    theirs = torch.optim.SGD(
        twin.parameters(), lr=0.1, momentum=momentum, nesterov=momentum > 0, weight_decay=0.01
    )
    generator = torch.Generator().manual_seed(0)
    for step in range(5):
        inputs = torch.randn(6, 3, generator=generator)
        for each, optimizer in ((network, own), (twin, theirs)):
            set_learning_rate(optimizer, 0.1 / (step + 1))
            optimizer.zero_grad()
            each(inputs).square().sum().backward()
            optimizer.step()
    for parameter, other in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-5, atol=1e-6)
