"""What all embedders promise: `embed` says what `transform` says, and lets gradients through."""

import numpy as np
import pytest
import torch

from ruc.embed.checkpoint import CheckpointEmbedder
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.embedder import Embedder
from ruc.embed.pixels import fit_pixels
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.images.views import GENTLE, to_float
from ruc.networks import NetworkSettings, ResNet, relu_layers, seeded_init
from ruc.runtime import Runtime

CPU = Runtime("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (9, 3, 20, 20), dtype=np.uint8)


def embedder(kind: str) -> Embedder:
    with seeded_init(0):
        network = ResNet(NetworkSettings(channels=3, width=8, blocks=(1, 1))).eval()
        head = relu_layers([network.settings.n_features, 6]).eval()
    pixels = fit_pixels(PIXELS, n_features=5, side=8)
    contrastive = SelfSupervisedEmbedder(network, GENTLE, "contrastive")
    return {
        "pixels": pixels,
        "contrastive": contrastive,
        "checkpoint": CheckpointEmbedder(network, head, 16),
        "combined": CombinedEmbedder((contrastive, pixels), (1.0, 0.5)),
    }[kind]


@pytest.mark.parametrize("kind", ["pixels", "contrastive", "checkpoint", "combined"])
def test_embed_is_transform_with_gradients(kind) -> None:
    fitted = embedder(kind)
    images = to_float(torch.from_numpy(PIXELS)).requires_grad_()
    features = fitted.embed(images)
    np.testing.assert_allclose(features.detach().numpy(), fitted.transform(PIXELS, CPU), atol=1e-5)
    np.testing.assert_allclose(features.detach().norm(dim=1).numpy(), 1, atol=1e-5)
    (gradient,) = torch.autograd.grad(features[:, 0].sum(), images)
    assert bool((gradient.flatten(1).abs().sum(dim=1) > 0).all())
    assert fitted.n_channels == 3
    assert len(fitted.modules) == {"pixels": 0, "contrastive": 1, "checkpoint": 2, "combined": 1}[kind]
