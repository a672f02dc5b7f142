"""States: tensors by the first part of their names."""

import torch

from ruc.networks import State


def test_tensors_under_a_name() -> None:
    one, two = torch.zeros(1), torch.ones(2)
    state = State({}, {"network.0.weight": one, "network.bias": two, "networks.x": two, "network": one})
    assert {name: len(value) for name, value in state.under("network").items()} == {"0.weight": 1, "bias": 2}
    assert state.under("optimizer") == {}
