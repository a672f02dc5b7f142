"""SCAN on images: heads carried over exactly, clusters found, and an interrupted training that ends the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ruc.cluster.scan import Heads
from ruc.cluster.scan_images import (
    Branches,
    ScanSettings,
    _surest,
    fit_on_neighbors,
    predict_images,
    scan_images,
    self_label_images,
)
from ruc.errors import InputError
from ruc.images.views import ViewPolicy
from ruc.neighbors.search import nearest_neighbors
from ruc.networks import ImageNetwork, NetworkSettings, ResNet, State, seeded_init
from ruc.runtime import Runtime

pytestmark = pytest.mark.learns

CPU = Runtime("cpu")
POLICY = ViewPolicy(area=(0.7, 1.0), brightness=0.1, operations=1, magnitude=2, cutout=0.2)
QUICK = ScanSettings(n_epochs=8, n_label_epochs=3, batch_size=30, learning_rate=0.01, threshold=0.8)

UNSURE = replace(QUICK, n_epochs=1, learning_rate=0.001)


@pytest.fixture(scope="module")
def problem():
    """Dark images with a bright bar at the left, at the right or below; neighbours by pixels."""
    random = np.random.default_rng(0)
    truth = np.arange(90) % 3
    pixels = random.integers(0, 60, (90, 1, 12, 12)).astype(np.uint8)
    pixels[truth == 0, :, :, :4] += 150
    pixels[truth == 1, :, :, 8:] += 150
    pixels[truth == 2, :, 8:, :] += 150
    with seeded_init(0):
        backbone = ResNet(NetworkSettings(channels=1, width=8, blocks=(1, 1), stem="full"))
    flat = pixels.reshape(90, -1).astype(np.float32)
    return pixels, truth, backbone.eval(), nearest_neighbors(flat - flat.mean(axis=0), 8, CPU)


def purity(labels, truth) -> float:
    return sum(np.bincount(truth[labels == cluster]).max() for cluster in np.unique(labels)) / len(truth)


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_clusters(problem, seed: int) -> None:
    pixels, truth, backbone, neighbors = problem
    clustering, _ = scan_images(pixels, backbone, neighbors, 3, POLICY, Runtime("cpu", seed), QUICK)
    assert purity(clustering.labels, truth) > 0.9


def test_predictions_are_those_of_the_plain_images_and_the_backbone_is_left_alone(problem) -> None:
    pixels, _, backbone, neighbors = problem
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    clustering, network = scan_images(pixels, backbone, neighbors, 3, POLICY, CPU, QUICK)
    assert clustering.name == "scan"
    np.testing.assert_allclose(clustering.probabilities.sum(axis=1), 1, atol=1e-5)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    moved = [torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items()]
    assert not all(moved)
    means = [layer.running_mean for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        first = network.backbone.conv1(torch.from_numpy(pixels) / 255 - network.backbone.mean)
    torch.testing.assert_close(means[0], first.mean(dim=(0, 2, 3)), rtol=0.02, atol=0.01)
    again, _ = scan_images(pixels, backbone, neighbors, 3, POLICY, CPU, QUICK)
    np.testing.assert_array_equal(again.probabilities, clustering.probabilities)


def test_a_branch_sees_what_all_see(problem) -> None:
    pixels, _, backbone, _ = problem
    generator = torch.Generator().manual_seed(0)
    heads = Heads(torch.randn(4, 16, 3, generator=generator), torch.randn(4, 1, 3, generator=generator))
    branches = Branches(backbone, heads).eval()
    images = torch.from_numpy(pixels[:5]) / 255
    torch.testing.assert_close(branches.with_head(2).eval()(images), branches(images)[2])


def test_an_interrupted_training_ends_the_same(problem) -> None:
    pixels, _, backbone, neighbors = problem
    arguments = (pixels, backbone, neighbors, 3, POLICY, CPU, QUICK)
    states: list[State] = []
    whole = fit_on_neighbors(*arguments, on_epoch=lambda epoch, loss, state: states.append(state()))
    resumed = fit_on_neighbors(*arguments, resume=states[0])
    assert_same(whole, resumed)
    states.clear()
    labelled = self_label_images(
        pixels, whole, POLICY, CPU, QUICK, on_epoch=lambda epoch, loss, state: states.append(state())
    )
    assert_same(labelled, self_label_images(pixels, whole, POLICY, CPU, QUICK, resume=states[1]))
    with pytest.raises(InputError, match="expected 'SCAN: neighbours'"):
        fit_on_neighbors(*arguments, resume=states[1])


def assert_same(first: ImageNetwork, second: ImageNetwork) -> None:
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_self_labelling_makes_predictions_surer(problem) -> None:
    pixels, _, backbone, neighbors = problem
    network = fit_on_neighbors(pixels, backbone, neighbors, 3, POLICY, CPU, UNSURE)
    labelled = self_label_images(pixels, network, POLICY, CPU, QUICK)
    before, after = (predict_images(pixels, each, CPU).probabilities for each in (network, labelled))
    assert after.max(axis=1).mean() > before.max(axis=1).mean()


def test_clusters_without_a_sure_image_are_kept_by_their_surest() -> None:
    confidence = torch.tensor([0.99, 0.5, 0.995, 0.7, 0.6] + [0.2] * 20)
    targets = torch.tensor([0, 0, 0, 2, 2] + [3] * 20)
    confidence[-2:] = torch.tensor([0.3, 0.4])
    assert _surest(confidence, targets, 0.99).tolist() == [0, 2, 3, 23, 24]
