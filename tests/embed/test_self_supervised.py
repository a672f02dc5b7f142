"""A backbone trained without labels, as embedder: written, read, and applied to images of any side."""

import json

import numpy as np
import pytest

from ruc.embed import embedder_from_state
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.images.views import ViewPolicy
from ruc.networks import NetworkSettings, ResNet, State, seeded_init
from ruc.runtime import Runtime

CPU = Runtime("cpu")


@pytest.mark.parametrize("method", ["contrastive", "momentum"])
def test_state_survives_json_and_makes_the_same_embedder(method: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 1, 12, 12), dtype=np.uint8)
    with seeded_init(0):
        network = ResNet(NetworkSettings(channels=1, width=8, blocks=(1, 1), stem="full"))
    policy = ViewPolicy(area=(0.6, 1.0), shift=0.05, brightness=0.3)
    embedder = SelfSupervisedEmbedder(network, policy, method)
    state = embedder.state()
    again = embedder_from_state(State(json.loads(json.dumps(state.config)), state.weights))
    assert isinstance(again, SelfSupervisedEmbedder)
    assert (again.name, again.policy) == (method, policy)
    assert again.network.settings == network.settings
    features = embedder.transform(pixels, CPU)
    np.testing.assert_array_equal(again.transform(pixels, CPU), features)
    singly = np.concatenate([again.transform(pixels[i : i + 1], CPU) for i in range(30)])
    np.testing.assert_allclose(features, singly, atol=1e-5)
