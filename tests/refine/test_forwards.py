"""What passes through a network, and in which precision."""

import torch

from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.refine.forwards import forward, predict
from ruc.refine.settings import RefineSettings


def test_mixed_precision_is_near_and_leaves_weights_and_statistics_in_single() -> None:
    with seeded_init(0):
        network = ResNet(NetworkSettings(channels=1, width=8, blocks=(1,), stem="half"))
    views = torch.rand(16, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    exact = forward(network, views, RefineSettings(precision="float32"))
    mixed = forward(network, views, RefineSettings(precision="bfloat16"))
    assert mixed.dtype == torch.float32
    assert not torch.equal(exact, mixed)
    torch.testing.assert_close(exact, mixed, rtol=0.05, atol=0.05)
    mixed.square().sum().backward()
    assert {value.dtype for value in network.state_dict().values()} == {torch.float32, torch.int64}
    assert {parameter.grad.dtype for parameter in network.parameters()} == {torch.float32}


def test_one_forward_answers_all_that_is_asked_and_leaves_the_statistics_alone() -> None:
    with seeded_init(0):
        network = ResNet(NetworkSettings(channels=1, width=8, blocks=(1,), stem="half")).train()
    views = torch.rand(2, 10, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    wanted = [torch.tensor([3, 1]), torch.tensor([0, 9, 9])]
    before = network.bn1.running_mean.clone()
    with torch.no_grad():
        seen = predict(network, list(zip(views, wanted, strict=True)), RefineSettings())
        assert network.training
        assert torch.equal(network.bn1.running_mean, before)
        network.eval()
        for logits, view, rows in zip(seen, views, wanted, strict=True):
            torch.testing.assert_close(logits, network(view)[rows], rtol=1e-4, atol=1e-5)
