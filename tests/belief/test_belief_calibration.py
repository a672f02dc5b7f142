"""Confidence: the map from logits to probabilities, and what it is fitted to."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional as F  # noqa: N812

from ruc.belief.calibration import Calibration, fit_level, fit_temperature, pinned
from ruc.cluster.kmeans import kmeans
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import repair
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=1)


@pytest.fixture
def logits():
    return 4 * torch.randn(300, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
def test_the_temperature_is_scipys(logits, scale):
    believed = torch.softmax(logits / scale + torch.randn(300, 5), dim=1)

    def loss(log_temperature):
        return float(F.cross_entropy(logits.double() / np.exp(log_temperature), believed.double()))

    expected = np.exp(minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded").x)
    assert fit_temperature(logits, believed) == pytest.approx(expected, rel=1e-3)


def test_a_planted_temperature_is_found(logits):
    assert fit_temperature(logits, torch.softmax(logits / 2.5, dim=1)) == pytest.approx(2.5, rel=1e-3)


def test_by_hand():
    probabilities = Calibration(temperature=2.0, certainty=0.5).apply(torch.tensor([[2 * math.log(9), 0.0]]))
    torch.testing.assert_close(probabilities, torch.tensor([[0.5 * 0.9 + 0.25, 0.5 * 0.1 + 0.25]]))


@pytest.mark.parametrize("calibration", [Calibration(), Calibration(0.3, 0.9), Calibration(3.0, 0.05)])
def test_probabilities_sum_to_one_and_keep_the_cluster(logits, calibration):
    probabilities = calibration.apply(logits)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(300))
    assert torch.equal(probabilities.argmax(dim=1), logits.argmax(dim=1))
    assert Calibration.from_config(calibration.to_config()) == calibration


def mean_confidence(probabilities):
    return float(probabilities.amax(dim=1).mean())


@pytest.mark.parametrize("level", [0.3, 0.6, 0.9, 0.99])
def test_the_mean_confidence_is_the_level(logits, level):
    confidence = fit_level(logits, level).apply(logits).amax(dim=1)
    assert float(confidence.mean()) == pytest.approx(level, abs=1e-3)
    order = logits.softmax(dim=1).amax(dim=1).argsort()
    assert confidence[order[-30:]].mean() > confidence[order[:30]].mean()


def test_the_networks_own_doubt_is_the_most(logits):
    assert mean_confidence(logits.softmax(dim=1)) > 0.6
    calibration = fit_level(logits, 0.4)
    assert calibration.temperature == 1.0 and calibration.certainty < 1


def test_a_level_at_chance_keeps_the_order_of_the_clusters(logits):
    calibration = fit_level(logits, 0.2)
    assert torch.equal(calibration.apply(logits).argmax(dim=1), logits.argmax(dim=1))
    assert float(calibration.apply(logits).amax(dim=1).max()) < 0.23


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_pinned_rows_are_as_sure_as_said_and_keep_their_order(logits, dtype):
    probabilities = logits.softmax(dim=1).numpy().astype(dtype)
    cluster = probabilities.argmax(axis=1)
    confidence = np.random.default_rng(0).uniform(0.21, 1, 300).astype(np.float32)
    pinned_rows = pinned(probabilities, cluster, confidence)
    np.testing.assert_allclose(pinned_rows.sum(axis=1), 1, atol=2e-3)
    np.testing.assert_allclose(pinned_rows[np.arange(300), cluster], confidence, atol=0.02)
    np.testing.assert_array_equal(pinned_rows.argmax(axis=1), cluster)
    others = np.where(np.arange(5) == cluster[:, None], -1, probabilities)
    others_now = np.where(np.arange(5) == cluster[:, None], -1, pinned_rows)
    clear = (np.sort(others, axis=1)[:, -1] > np.sort(others, axis=1)[:, -2] + 0.01) & (confidence < 0.99)
    np.testing.assert_array_equal(others_now.argmax(axis=1)[clear], others.argmax(axis=1)[clear])


def test_pinned_by_hand():
    rows = np.array([[0.6, 0.3, 0.1]] * 3, np.float32)
    expected = [[0.8, 0.15, 0.05], [1 / 3 + 0.2, 1 / 3 - 0.025, 1 / 3 - 0.175], [1, 0, 0]]
    said = pinned(rows, np.zeros(3, np.int64), np.array([0.8, 1 / 3 + 0.2, 1.0]))
    np.testing.assert_allclose(said, expected, atol=1e-6)
    low = pinned(rows[:1], np.zeros(1, np.int64), np.array([0.0]))
    assert low.argmax() == 0 and low.max() == pytest.approx(1 / 3, abs=0.01)


def make_blobs(noise):
    random = np.random.default_rng(0)
    centers = random.standard_normal((6, 24))
    truth = np.arange(600) % 6
    rows = centers[truth] + noise * random.standard_normal((600, 24))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), truth


def refined(features, base, **given):
    neighbors = replace(nearest_neighbors(features, 50, CPU), features=features)
    space = FeatureSpace(features, neighbors, CPU, width=32)
    return repair(space, base, neighbors, RefineSettings(n_epochs=4), CPU, **given)


def test_a_clustering_without_classes_is_not_believed():
    """Pieces of one cloud: networks and neighbours are sure of them, other features are not."""
    cloud = np.random.default_rng(1).standard_normal((600, 24)).astype(np.float32)
    cloud /= np.linalg.norm(cloud, axis=1, keepdims=True)
    result = refined(cloud, kmeans(cloud, 6, CPU))
    assert result.probabilities.max(axis=1).mean() < 0.4
    assert (result.labels == result.predictor.logits(torch.from_numpy(cloud)).argmax(1).numpy()).all()
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(result.probabilities.argmax(axis=1), result.labels)


def test_clear_clusters_are_believed():
    features, truth = make_blobs(noise=0.5)
    result = refined(features, Clustering(truth.astype(np.int64), None, 6, "kmeans", "features"))
    assert (result.labels == truth).mean() > 0.98
    assert result.probabilities.max(axis=1).mean() > 0.93


def test_given_labels_are_believed_as_far_as_they_are_reliable():
    """They may know more than the features: their confidence is fitted to the evidence, not to other clusterings."""
    features, truth = make_blobs(noise=0.5)
    labels = np.where(np.random.default_rng(2).random(600) < 0.2, (truth + 1) % 6, truth)
    given = Clustering(labels, None, 6, "given")
    result = refined(features, given)
    assert result.predictor.calibration.certainty == 1.0
    accuracy, confidence = (result.labels == truth).mean(), result.probabilities.max(axis=1).mean()
    assert confidence == pytest.approx(accuracy, abs=0.05)
