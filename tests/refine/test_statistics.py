"""BatchNorm's statistics after settling are those of the plain views."""

import numpy as np
import torch

from ruc.images.views import PAPER
from ruc.networks import ImageNetwork, NetworkSettings, ResNet, seeded_init
from ruc.refine.networks import Head
from ruc.refine.spaces import ImageSpace
from ruc.refine.statistics import settle_statistics
from ruc.runtime import Runtime

CPU = Runtime("cpu")


def test_means_and_variances_are_those_of_the_plain_views() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 1, 12, 12), dtype=np.uint8)
    with seeded_init(0):
        backbone = ResNet(NetworkSettings(channels=1, width=8, blocks=(1,), stem="half"))
        head = Head(4, 2, 8)
    space = ImageSpace(pixels, backbone, PAPER, CPU)
    network = ImageNetwork(backbone, 3).eval()
    momentum, head_before = backbone.bn1.momentum, {k: v.clone() for k, v in head.state_dict().items()}
    weights = [parameter.clone() for parameter in network.parameters()]
    settle_statistics([network, head], space, 20, CPU)
    with torch.no_grad():
        images = space.plain(torch.arange(60))
        seen = backbone.conv1((images - backbone.mean) / backbone.std)
    # Batches of one size: the mean of their means is the mean of all.
    torch.testing.assert_close(backbone.bn1.running_mean, seen.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(backbone.bn1.running_var, seen.var(dim=(0, 2, 3)), rtol=0.05, atol=1e-3)
    assert backbone.bn1.momentum == momentum
    assert not network.training
    assert all(torch.equal(a, b) for a, b in zip(weights, network.parameters(), strict=True))
    assert all(torch.equal(value, head_before[name]) for name, value in head.state_dict().items())
