"""New heads are fitted to clean samples, differ from each other, and leave the backbone alone."""

import copy

import numpy as np
import torch

from ruc.images.views import GENTLE
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.refine.select import select_clean
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import ImageSpace
from ruc.refine.trust import Trust
from ruc.refine.warmup import warm_up_heads
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=1)


def test_heads_learn_the_clean_labels_and_nothing_else_moves() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    pixels = random.integers(0, 60, (60, 1, 16, 16)).astype(np.uint8)
    pixels[labels == 1, :, 4:12] += 150
    with seeded_init(0):
        backbone = ResNet(NetworkSettings(channels=1, width=8, blocks=(1, 1), stem="half"))
    space = ImageSpace(pixels, backbone.eval(), GENTLE, CPU)
    networks = space.networks(2, CPU)
    before = copy.deepcopy(networks[0].backbone.state_dict())
    trust = Trust.at_start(torch.from_numpy(labels), torch.ones(60, dtype=torch.bool))
    warm_up_heads(networks, space, trust, CPU)
    for network in networks:
        predicted = network.eval()(space.plain(torch.arange(60))).argmax(dim=1)
        assert (predicted.numpy() == labels).mean() > 0.95
    for name, value in networks[0].backbone.state_dict().items():
        torch.testing.assert_close(value, before[name])
    assert not torch.equal(networks[0].head.weight, networks[1].head.weight)


def test_agreement_is_asked_for_and_lowered_where_a_cluster_would_lose_too_much() -> None:
    # Two neighbours vote (half the mean cluster size). Agreement in cluster 0: 1, 1, 1, 1, 0.5; in cluster 1: 0.5.
    labels = np.array([0] * 5 + [1] * 5)
    rows = [[0, 1]] * 4 + [[0, 5]] + [[5, 0]] * 5
    neighbors = Neighbors(np.array(rows), np.full((10, 2), 0.5, np.float32))
    base = Clustering(labels, None, 2, "by hand")

    def clean(**constants: float) -> list[bool]:
        settings = RefineSettings(selection="neighbors", n_neighbors=2, **constants)
        return select_clean(base, neighbors, settings).is_clean.tolist()

    assert clean(neighbor_agreement=0.0) == [True] * 10
    assert clean(neighbor_agreement=0.9, least_clean=0.5) == [True] * 4 + [False] + [True] * 5
