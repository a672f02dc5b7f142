"""Every training step, and all around it, on a device that isn't the CPU: nothing is left behind there by mistake."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from device_check import ELSEWHERE, pretended_device

from ruc.cluster.scan import scan
from ruc.cluster.scan_images import ScanSettings, fit_on_neighbors, predict_images, self_label_images
from ruc.embed.contrastive import ContrastiveSettings, fit_contrastive
from ruc.embed.momentum import MomentumSettings, fit_momentum
from ruc.images.views import GENTLE, PHOTO, random_view, strong_view, to_float
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.networks import NetworkSettings, ResNet, seeded_init
from ruc.refine.members import make_members, passes
from ruc.refine.ruc import train_pass
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace, ImageSpace
from ruc.refine.trust import Trust
from ruc.repair import repair
from ruc.runtime import Runtime

TINY = NetworkSettings(width=8, blocks=(1, 1), stem="half")
FAR = Runtime(ELSEWHERE.type)


@pytest.fixture
def elsewhere(monkeypatch):
    monkeypatch.setattr("ruc.cluster.scan.SELF_LABEL_EPOCHS", 2)
    with pretended_device(monkeypatch) as pretend:
        yield pretend


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (24, 3, 16, 16), dtype=np.uint8)


@pytest.fixture
def neighbors(pixels) -> Neighbors:
    return nearest_neighbors(pixels.reshape(len(pixels), -1).astype(np.float32), 5, Runtime("cpu"))


def test_the_pretended_device_tells_what_is_elsewhere(elsewhere) -> None:
    there = torch.ones(3).to(ELSEWHERE)
    assert there.device == ELSEWHERE and (2 * there).cpu().tolist() == [2, 2, 2]
    assert float(there.sum()) == 3
    with pytest.raises(RuntimeError, match="mixes devices"):
        there + torch.ones(3)
    with pytest.raises(RuntimeError, match="mixes devices"):
        torch.cat([there, torch.ones(3)])
    assert elsewhere.waits == ["aten::_to_copy", "aten::_local_scalar_dense"]
    assert elsewhere.sent == ["aten::_to_copy"]
    there[there > 2], there[torch.tensor([0])], there.tolist()
    assert elsewhere.waits[2:] == ["aten::index", "aten::_to_copy"]


@pytest.mark.parametrize("policy", [GENTLE, PHOTO])
def test_views(elsewhere, pixels, policy) -> None:
    images = to_float(torch.from_numpy(pixels).to(ELSEWHERE))
    generator = torch.Generator().manual_seed(0)
    assert random_view(images, policy, generator, 12).shape == (24, 3, 12, 12)
    assert strong_view(images, policy, generator).device == ELSEWHERE


def test_contrastive(elsewhere, pixels) -> None:
    settings = ContrastiveSettings(network=TINY, epochs=2, batch_size=12)
    assert fit_contrastive(pixels, FAR, settings).transform(pixels, FAR).shape == (24, 16)


def test_momentum(elsewhere, pixels) -> None:
    settings = MomentumSettings(network=TINY, n_epochs=2, batch_size=12, neighbor_epochs=0.5, n_hidden=8)
    states = []
    fit_momentum(pixels, FAR, settings, lambda epoch, loss, state: states.append(state()))
    assert states[0].weights["network.memory"].device.type == "cpu"
    embedder = fit_momentum(pixels, FAR, settings, resume=states[0])
    assert embedder.transform(pixels, FAR).shape == (24, 16)


def test_scan_on_features(elsewhere, pixels) -> None:
    features = pixels.reshape(24, -1)[:, :20].astype(np.float32)
    assert scan(features - features.mean(axis=0), 2, FAR).probabilities.shape == (24, 2)


def test_scan_on_images(elsewhere, pixels, neighbors) -> None:
    settings = ScanSettings(n_epochs=2, n_label_epochs=2, batch_size=12, threshold=0.0, entropy_weight=50)
    with seeded_init(0):
        backbone = ResNet(TINY)
    states = []
    keep = lambda epoch, loss, state: states.append(state())  # noqa: E731
    problem = (pixels, backbone, neighbors, 2, PHOTO, FAR, settings)
    fit_on_neighbors(*problem, on_epoch=keep)
    network = fit_on_neighbors(*problem, resume=states[0])
    states.clear()
    self_label_images(pixels, network, PHOTO, FAR, settings, on_epoch=keep)
    network = self_label_images(pixels, network, PHOTO, FAR, settings, resume=states[0])
    assert network.head.weight.device == ELSEWHERE
    assert predict_images(pixels, network, FAR).labels.shape == (24,)


@pytest.mark.parametrize(("where", "most_sent"), [("image", 17), ("feature", 13)])
def test_no_step_of_refining_waits_for_the_device(elsewhere, pixels, neighbors, where, most_sent) -> None:
    with seeded_init(0):
        backbone = ResNet(TINY)
    space = (
        ImageSpace(pixels, backbone, replace(PHOTO, elastic=0.03, blur_chance=0.5), FAR)
        if where == "image"
        else FeatureSpace(pixels.reshape(24, -1)[:, :20].astype(np.float32), neighbors, FAR)
    )
    base = Clustering(np.arange(24) % 2, None, 2, "kmeans", "features")
    is_clean = torch.arange(24) % 3 > 0
    trust = Trust.at_start(torch.from_numpy(base.labels).to(ELSEWHERE), is_clean.to(ELSEWHERE))
    noted = []
    for n_batches in (1, 4):
        settings = RefineSettings(n_epochs=2, batch_size=24 // n_batches).filled(space.defaults)
        (turns,) = passes(*make_members(space, base.n_clusters, settings, FAR), settings)
        elsewhere.waits.clear(), elsewhere.sent.clear()
        train_pass(turns, trust, space, settings, 0, FAR, FAR.generator("test"))
        noted.append((len(elsewhere.waits), len(elsewhere.sent)))
    (waits, sent), (waits_of_four, sent_of_four) = noted
    assert waits_of_four == waits
    assert (sent_of_four - sent) / 3 <= most_sent


@pytest.mark.parametrize(
    ("where", "settings"),
    [
        ("image", RefineSettings(n_epochs=2)),
        ("image", RefineSettings.paper(n_epochs=2)),
        ("feature", RefineSettings(n_epochs=2)),
    ],
)
def test_refine(elsewhere, pixels, neighbors, where, settings) -> None:
    features = pixels.reshape(24, -1)[:, :20].astype(np.float32)
    probabilities = np.full((24, 2), 0.005, np.float32)
    probabilities[np.arange(24), np.arange(24) % 2] = 0.995
    base = Clustering(np.arange(24) % 2, probabilities, 2, "scan", "network")
    with seeded_init(0):
        backbone = ResNet(TINY)
    space = (
        ImageSpace(pixels, backbone, PHOTO, FAR)
        if where == "image"
        else FeatureSpace(features, neighbors, FAR)
    )
    states = []
    repair(space, base, neighbors, settings, FAR, on_epoch=lambda record, state: states.append(state()))
    result = repair(space, base, neighbors, settings, FAR, resume=states[0])
    assert result.labels.shape == (24,)
    assert next(result.predictor.pair.first.parameters()).device == ELSEWHERE
