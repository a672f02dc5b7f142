"""Stages of the pipeline that no other test reaches."""

import numpy as np
import pytest
import torch

from ruc.cluster import scan_images as module
from ruc.embed.contrastive import ContrastiveEmbedder
from ruc.embed.neighbors import nearest_neighbors
from ruc.embedding import Embedding
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.images.views import GENTLE
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.pipeline import choose_space, initial_clustering
from ruc.refine.spaces import FeatureSpace, ImageSpace
from ruc.run_folder import Checkpoints
from ruc.runtime import Runtime
from ruc.settings import make_settings

CPU = Runtime("cpu")


@pytest.fixture
def embedded(shapes, monkeypatch) -> Embedding:
    """Shapes under an untrained network, and SCAN in two short steps."""
    monkeypatch.setattr(module, "ScanSettings", lambda: quick)
    images = load_pixels(find_images(shapes[0]), 16, CPU)
    with seeded_init(0):
        network = ResNet(NetworkSettings(channels=1, width=8, blocks=(1, 1), stem="half")).eval()
    embedder = ContrastiveEmbedder(network, 16, GENTLE)
    features = embedder.transform(images.pixels, CPU)
    return Embedding("contrastive", images.file_names, features, images.indices, embedder, images)


quick = module.ScanSettings(n_epochs=1, n_label_epochs=1, batch_size=30)


@pytest.mark.parametrize(("space", "expected"), [("image", ImageSpace), ("feature", FeatureSpace)])
def test_scan_trains_the_network_that_is_retrained(embedded, tmp_path, space, expected) -> None:
    settings = make_settings({"source": "shapes", "n_clusters": 3, "base": "scan", "space": space})
    neighbors = nearest_neighbors(embedded.features, 20, CPU)
    kept = Checkpoints(tmp_path / "kept")
    base = initial_clustering(settings, embedded, neighbors, CPU, kept)
    assert base.clustering.probabilities.shape == (60, 3)
    sizes = np.bincount(base.clustering.labels, minlength=3)
    assert list(sizes) == sorted(sizes, reverse=True)
    chosen = choose_space(settings, embedded, base, neighbors, CPU)
    assert isinstance(chosen, expected)
    again = initial_clustering(settings, embedded, neighbors, CPU, kept)
    np.testing.assert_array_equal(again.clustering.labels, base.clustering.labels)
    if space == "feature":
        assert base.backbone is None and again.backbone is None
        return
    assert chosen.backbone is base.backbone
    assert not torch.equal(base.backbone.conv1.weight, embedded.backbone.conv1.weight)
    assert torch.equal(again.backbone.conv1.weight, base.backbone.conv1.weight)
    assert again.backbone.settings == base.backbone.settings
