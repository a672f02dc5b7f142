"""What refining does where samples times clusters are many, against what it does where they are few."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ruc.belief import confidence, evidence, last_word
from ruc.belief.memory import SAME, Memory
from ruc.labels.clustering import Clustering
from ruc.neighbors import propagation
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.refine import select
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.refine.trained import Pair
from ruc.repair import repair
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=2)
SETTINGS = RefineSettings(n_epochs=2, weigh_given=False)


@pytest.fixture(scope="module")
def problem() -> tuple[np.ndarray, Neighbors, Clustering]:
    generator = np.random.default_rng(0)
    truth = np.arange(360) % 12
    rows = generator.normal(size=(12, 10))[truth] + 0.6 * generator.normal(size=(360, 10))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    labels = np.where(generator.random(360) < 0.2, generator.integers(12, size=360), truth)
    return rows, nearest_neighbors(rows, 20, CPU), Clustering(labels, None, 12, "kmeans", "features")


def test_candidates_are_the_own_label_and_the_most_frequent_around() -> None:
    labels = np.array([3, 1, 1, 2, 0, -1])
    neighbors = Neighbors(np.array([[1, 2, 3, 5]] * 5 + [[0, 1, 2, 3]]), np.ones((6, 4), np.float32))
    found = propagation.find_candidates(labels, neighbors)
    assert found[0].tolist() == [3, 1, 2, -1, -1, -1, -1, -1][: found.shape[1]]
    assert found[3].tolist()[:3] == [2, 1, -1]
    assert found[5].tolist()[:4] == [-1, 1, 2, 3]


def test_with_room_for_all_clusters_candidates_change_nothing(
    problem: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, neighbors, base = problem
    monkeypatch.setattr(propagation, "BLOCK_ROWS", 100)
    few = Clustering(base.labels % 4, None, 4, "kmeans", "features")
    everyone = Neighbors(
        np.column_stack([neighbors.indices, np.tile(np.arange(12), (360, 1))]),
        np.column_stack([neighbors.similarities, np.zeros((360, 12), np.float32)]),
    )  # the last columns bring every label, too far to be part of the graph
    full = evidence.smooth_evidence(few, everyone, 0.9)
    monkeypatch.setattr(propagation, "MOST_DENSE", 1)
    part = evidence.smooth_evidence(few, everyone, 0.9)
    rows = torch.arange(360)
    torch.testing.assert_close(part.of(rows), full.of(rows), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(part.labels, full.labels)


def test_few_candidates_choose_as_all_do(problem: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    _, neighbors, base = problem
    full = evidence.smooth_evidence(base, neighbors, 0.9)
    monkeypatch.setattr(propagation, "MOST_DENSE", 1)
    part = evidence.smooth_evidence(base, neighbors, 0.9)
    assert part.posterior.shape == (360, propagation.N_CANDIDATES)
    assert (part.labels == full.labels).mean() > 0.98
    torch.testing.assert_close(part.of(torch.arange(5)).sum(dim=1), torch.ones(5))


def test_votes_are_counted_alike_in_blocks(problem: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    _, neighbors, base = problem
    settings = SETTINGS.filled({"n_neighbors": 15, "neighbor_agreement": 0.0})
    whole = select.select_clean(base, neighbors, settings)
    monkeypatch.setattr(select, "VOTES_AT_ONCE", 12 * 7)
    np.testing.assert_array_equal(select.select_clean(base, neighbors, settings).is_clean, whole.is_clean)


def test_a_large_refinement_ends_as_a_small_one(problem: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    features, neighbors, base = problem
    space = FeatureSpace(features, neighbors, CPU, width=32)
    small = repair(space, base, neighbors, SETTINGS, CPU)
    monkeypatch.setattr(propagation, "MOST_DENSE", 1)
    monkeypatch.setattr(last_word, "MOST_SINGLE", 1)
    monkeypatch.setattr(last_word, "MOST_CALIBRATED", 300)
    large = repair(space, base, neighbors, SETTINGS, CPU)
    assert (small.probabilities.dtype, large.probabilities.dtype) == (np.float32, np.float16)
    assert (small.labels == large.labels).mean() > 0.97
    np.testing.assert_allclose(large.probabilities.astype(np.float32).sum(axis=1), 1, atol=5e-3)
    again = large.predictor.logits(torch.from_numpy(features)).argmax(dim=1).numpy()
    np.testing.assert_array_equal(again, large.labels)
    assert large.predictor.memory is not None and large.predictor.memory.logits.dtype == torch.float16


def test_more_clusters_than_a_classifier_can_judge_have_a_confidence_too(
    problem: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, neighbors, base = problem
    monkeypatch.setattr(confidence, "MOST_JUDGED", 11)
    neighbors = replace(neighbors, features=features)
    found = repair(FeatureSpace(features, neighbors, CPU, width=32), base, neighbors, SETTINGS, CPU)
    np.testing.assert_array_equal(found.probabilities.argmax(axis=1), found.labels)
    assert found.stability is not None and 0 < found.probabilities.max(axis=1).mean() < 1
    assert found.predictor.memory is not None
    remembered = (
        found.predictor.memory.answer(torch.from_numpy(features), torch.zeros(360, 12)).abs().sum(dim=1) > 0
    )
    networks = found.predictor.pair.logits(torch.from_numpy(features)).argmax(dim=1)
    assert (networks.numpy()[remembered] != found.labels[remembered]).all()


@pytest.mark.parametrize("judged", [True, False])
def test_the_trained_networks_are_asked_once_about_each_sample(
    problem: tuple, judged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, neighbors, base = problem
    asked: list[int] = []
    ask = Pair.logits
    monkeypatch.setattr(Pair, "logits", lambda pair, inputs: asked.append(len(inputs)) or ask(pair, inputs))
    space = FeatureSpace(features, neighbors, CPU, width=32)
    neighbors = replace(neighbors, features=features if judged else None)
    found = repair(space, base, neighbors, SETTINGS, CPU)
    assert found.predictor.memory is not None and len(found.predictor.memory.keys) > 0
    assert sum(asked) == len(features)


def test_memory_answers_what_it_holds_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, logits = torch.randn(200, 20, generator=generator), torch.zeros(200, 3)
    kept = torch.arange(0, 200, 7)
    memory = Memory(inputs[kept], torch.randn(len(kept), 3, generator=generator))
    shaken = inputs * (1 + 1e-5)
    answered = memory.answer(shaken, logits)
    torch.testing.assert_close(answered[kept], memory.logits)
    others = torch.ones(200, dtype=torch.bool)
    others[kept] = False
    assert torch.equal(answered[others], logits[others])
    assert torch.equal(memory.answer(shaken[7:8], logits[7:8])[0], answered[7])  # alone as in company
    far = inputs[kept] * (1 + 3 * SAME)
    assert torch.equal(memory.answer(far, logits[kept]), logits[kept])


def test_of_copies_memory_takes_the_first() -> None:
    keys = torch.ones(3, 5)
    memory = Memory(keys, torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]))
    assert memory.answer(torch.ones(1, 5), torch.zeros(1, 2)).tolist() == [[1.0, 0.0]]


def test_heads_on_many_features_take_fewer_epochs(problem: tuple) -> None:
    features, neighbors, _ = problem
    assert FeatureSpace(features, neighbors, CPU).defaults["n_epochs"] == 20
    many = np.broadcast_to(features[:1], (50_000, 10))
    nearest = replace(neighbors, indices=np.zeros((50_000, 1), np.int64))
    assert FeatureSpace(np.array(many), nearest, CPU).defaults["n_epochs"] == 8


def test_given_labels_are_weighed_among_candidates_as_among_all(
    problem: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, neighbors, base = problem
    labels = np.where(np.arange(360) % 10 == 0, -1, base.labels)
    given = Clustering(labels, None, 12, "given")
    settings = RefineSettings(propagation=0.9)
    full = evidence.gather_evidence(given, neighbors, settings, CPU)
    monkeypatch.setattr(evidence, "MOST_WEIGHED", 1)
    part = evidence.gather_evidence(given, neighbors, settings, CPU)
    assert full is not None and part is not None and part.columns.shape[1] < full.columns.shape[1]
    assert (part.labels == full.labels).mean() > 0.95
    believed = part.belief_in(labels)
    assert (believed[labels == -1] == 0).all()
    rows = torch.arange(360)
    dense = part.of(rows).numpy()
    np.testing.assert_allclose(believed[labels != -1], dense[labels != -1, labels[labels != -1]], rtol=1e-5)
    np.testing.assert_allclose(dense.sum(axis=1), 1, rtol=1e-4)


def test_unknown_labels_bring_nothing_to_any_candidate(
    problem: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, neighbors, base = problem
    labels = np.where(np.arange(360) % 7 == 0, -1, base.labels)
    dense = Clustering(labels, None, 12, "density", "layouts")
    full = evidence.smooth_evidence(dense, neighbors, 0.9)
    monkeypatch.setattr(propagation, "MOST_DENSE", 1)
    among = evidence.smooth_evidence(dense, neighbors, 0.9)
    assert (among.labels == full.labels).mean() > 0.98
    np.testing.assert_allclose(among.posterior.sum(axis=1), 1, rtol=1e-4)
