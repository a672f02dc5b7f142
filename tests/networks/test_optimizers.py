"""An optimiser that was written down and put back goes on as if nothing had happened."""

import pytest
import torch
from torch import nn

from ruc.networks import Sgd, load_optimizer, optimizer_tensors, seeded_init, warmup_cosine

MAKERS = {
    "sgd of heads": lambda parameters: Sgd(parameters, 0.1, momentum=0.9, weight_decay=1e-3),
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.1),
    "fused": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, fused=True),
}


def train(network, optimizer, steps):
    for step in range(steps):
        loss = network(torch.full((4, 3), float(step))).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("name", MAKERS)
def test_a_restored_optimizer_takes_the_same_steps(name) -> None:
    with seeded_init(0):
        network, copy = nn.Linear(3, 2), nn.Linear(3, 2)
    optimizer = MAKERS[name](network.parameters())
    train(network, optimizer, 5)
    tensors = {key: value.clone() for key, value in optimizer_tensors(optimizer).items()}
    copy.load_state_dict(network.state_dict())
    restored, fresh = MAKERS[name](copy.parameters()), nn.Linear(3, 2)
    load_optimizer(restored, tensors)
    fresh.load_state_dict(network.state_dict())
    train(network, optimizer, 3)
    train(copy, restored, 3)
    train(fresh, MAKERS[name](fresh.parameters()), 3)
    assert torch.equal(network.weight, copy.weight)
    assert not torch.equal(network.weight, fresh.weight)


@pytest.mark.parametrize("name", MAKERS)
def test_a_restored_optimizer_does_not_mind_that_files_forget_the_layout(name) -> None:
    def steps(network, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            network(torch.linspace(0, 1, 128).view(1, 8, 4, 4)).square().sum().backward()
            optimizer.step()

    def make():
        with seeded_init(0):
            return nn.Conv2d(8, 8, 3).to(memory_format=torch.channels_last)

    network, copy = make(), make()
    optimizer, restored = MAKERS[name](network.parameters()), MAKERS[name](copy.parameters())
    steps(network, optimizer, 2)
    copy.load_state_dict(network.state_dict())
    as_in_a_file = {key: value.contiguous() for key, value in optimizer_tensors(optimizer).items()}
    load_optimizer(restored, as_in_a_file)
    steps(network, optimizer, 2)
    steps(copy, restored, 2)
    assert torch.equal(network.weight, copy.weight)


def test_nothing_to_remember_before_the_first_step() -> None:
    optimizer = MAKERS["adamw"](nn.Linear(3, 2).parameters())
    assert optimizer_tensors(optimizer) == {}
    load_optimizer(optimizer, {})


def test_rate_rises_then_falls_to_nothing() -> None:
    rates = [warmup_cosine(step, 100) for step in range(100)]
    assert max(rates) == rates[9] == 1.0
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.001
    assert warmup_cosine(0, 1) == 1.0
