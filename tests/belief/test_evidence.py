import re

import numpy as np
import pytest

from ruc.belief.evidence import WELL_EXPLAINED, gather_evidence, weigh_evidence
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.runtime import Runtime

N_CLUSTERS = 4
CPU = Runtime("cpu", seed=0)


def sample(spread, n=800, seed=0):
    """Classes far apart or, with a large spread, hardly told apart by the features."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % N_CLUSTERS
    features = np.eye(8)[truth] + spread * generator.standard_normal((n, 8))
    return nearest_neighbors(features.astype(np.float32), 100, Runtime("cpu")), truth


def with_wrong(truth, share, seed=1):
    generator = np.random.default_rng(seed)
    labels = truth.copy()
    chosen = generator.choice(len(truth), round(share * len(truth)), replace=False)
    labels[chosen] = (labels[chosen] + generator.integers(1, N_CLUSTERS, len(chosen))) % N_CLUSTERS
    return labels


def given(labels):
    return Clustering(labels, None, N_CLUSTERS, "given")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.4])
def test_wrong_labels_are_repaired_where_the_features_are_good(share):
    neighbors, truth = sample(0.2)
    labels = with_wrong(truth, share)
    evidence = weigh_evidence(given(labels), neighbors, CPU)
    repaired = evidence.posterior.argmax(axis=1)
    assert evidence.explained > WELL_EXPLAINED
    assert (repaired != truth).sum() <= 0.1 * (labels != truth).sum()
    assert evidence.share_right == pytest.approx(1 - share, abs=0.03)


def test_labels_are_kept_where_the_features_know_less():
    neighbors, truth = sample(1.5)
    labels = with_wrong(truth, 0.01)
    evidence = weigh_evidence(given(labels), neighbors, CPU)
    assert evidence.explained < WELL_EXPLAINED
    assert (evidence.posterior.argmax(axis=1) == labels).mean() > 0.99


def test_rows_of_the_posterior_sum_to_one_with_labels_missing():
    neighbors, truth = sample(0.2)
    labels = np.where(np.arange(len(truth)) % 3 == 0, -1, truth)
    posterior = weigh_evidence(given(labels), neighbors, CPU).posterior
    np.testing.assert_allclose(posterior.sum(axis=1), 1, rtol=1e-5)
    assert (posterior.argmax(axis=1) == truth).mean() > 0.98


def test_without_neighbours_or_with_one_label_nothing_is_gathered():
    neighbors, truth = sample(0.2)
    assert gather_evidence(given(truth), None, RefineSettings(propagation=0.9), CPU) is None
    assert (
        gather_evidence(given(np.zeros_like(truth)), neighbors, RefineSettings(propagation=0.9), CPU) is None
    )


@pytest.mark.parametrize("made_of", ["features", "graph", "layouts"])
def test_clusters_of_the_graph_are_smooth_on_it_already(made_of):
    neighbors, truth = sample(0.2)
    labels = with_wrong(truth, 0.05)
    base = Clustering(labels, None, N_CLUSTERS, "some", made_of)
    evidence = gather_evidence(base, neighbors, RefineSettings(propagation=0.9), CPU)
    assert (evidence.labels == labels).all() == (made_of != "features")


@pytest.mark.parametrize(
    ("made_of", "weighed"), [("elsewhere", True), ("network", True), ("features", False)]
)
def test_a_clustering_of_the_features_cant_know_more_than_they_do(made_of, weighed):
    neighbors, truth = sample(2.0)
    base = Clustering(truth, None, N_CLUSTERS, "some", made_of)
    evidence = gather_evidence(base, neighbors, RefineSettings(propagation=0.9), CPU)
    assert evidence is not None and (evidence.share_right is not None) is weighed


@pytest.mark.parametrize("made_of", ["features", "graph", "layouts", "elsewhere", "network"])
def test_what_was_made_of_the_features_is_seen_by_other_eyes(made_of):
    neighbors, truth = sample(0.2)
    features = np.eye(N_CLUSTERS, dtype=np.float32)[truth]
    base = Clustering(with_wrong(truth, 0.1), None, N_CLUSTERS, "some", made_of)
    settings = RefineSettings(propagation=0.9)
    with_eyes = gather_evidence(base, neighbors, settings, CPU, features)
    without = gather_evidence(
        base, neighbors, RefineSettings(propagation=0.9, different_eyes=False), CPU, features
    )
    assert (with_eyes.settled and not without.settled) == (made_of == "features")
    if made_of == "features":
        assert (with_eyes.labels == truth).mean() > 0.99


@pytest.mark.parametrize(("n_each", "weighed"), [(1, False), (2, False), (3, True)])
def test_labels_too_few_to_judge_each_other_are_spread_over_the_graph(n_each, weighed):
    neighbors, truth = sample(0.2, n=200)
    labels = np.where(np.arange(200) < n_each * N_CLUSTERS, truth, -1)
    evidence = gather_evidence(given(labels), neighbors, RefineSettings(propagation=0.9), CPU)
    assert (evidence.share_right is not None) == weighed
    assert (evidence.labels == truth).mean() > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_right_labels_of_classes_that_overlap_a_little_are_left_alone(seed):
    """Two classes that look alike look like confused labels, too, but one chance for all explains as much."""
    neighbors, truth = sample(0.5, seed=seed)
    labels = with_wrong(truth, 0.01)
    evidence = weigh_evidence(given(labels), neighbors, CPU)
    assert (evidence.labels == labels).mean() > 0.95


@pytest.mark.parametrize("seed", range(3))
def test_three_answers_about_given_labels(seed: int) -> None:
    """Supported ones are right, contradicted ones wrong; the three counts are of all that have a label."""
    neighbors, truth = sample(0.35, seed=seed)
    labels = with_wrong(truth, 0.2, seed + 10)
    labels[:40] = -1
    base = given(labels)
    evidence = weigh_evidence(base, neighbors, CPU)
    assert evidence.support is not None
    contradicted = evidence.belief_in(labels) <= 0.5
    supported = ~contradicted & (evidence.support > 0.5)
    assert (labels == truth)[40:][supported[40:]].mean() > 0.95
    assert (labels != truth)[40:][contradicted[40:]].mean() > 0.7
    (told,) = evidence.remarks(base, 5)
    counts = [int(number) for number in re.findall(r"\d+", told)]
    n_for, n_against = supported[40:].sum(), contradicted[40:].sum()
    assert counts == [760, n_for, n_against, 760 - n_for - n_against, 5]
    assert told.startswith("of 760 given labels the features support ")


def test_of_labels_that_the_features_know_nothing_of_they_cant_tell() -> None:
    truth = np.arange(400) % 4
    features = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    base = given(truth)
    evidence = weigh_evidence(base, nearest_neighbors(features, 50, CPU), CPU, features)
    told, reservation = evidence.remarks(base, 400)
    n_for, n_against, n_open = (int(number) for number in re.findall(r"\d+", told)[1:4])
    assert n_open > 380 and n_for + n_against < 20
    assert reservation.startswith("where the features can't tell, the label is kept")
