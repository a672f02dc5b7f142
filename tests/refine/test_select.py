from dataclasses import replace

import numpy as np
import pytest

from ruc.errors import InputError
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors
from ruc.refine.select import neighbor_votes, select_clean
from ruc.refine.settings import RefineSettings


def neighbors_of(indices):
    indices = np.asarray(indices, np.int64)
    return Neighbors(indices, np.ones(indices.shape, np.float32))


def clustering(labels, probabilities=None, n_clusters=2):
    probabilities = None if probabilities is None else np.asarray(probabilities, np.float32)
    return Clustering(np.asarray(labels, np.int64), probabilities, n_clusters, "test")


LINE = neighbors_of([[1, 2], [0, 2], [1, 0], [4, 5], [5, 3], [4, 3], [0, 1], [3, 4]])
LABELS = [0, 0, 0, 1, 1, 1, 1, -1]  # the seventh lies among cluster 0; the last is unknown


def test_neighbors_by_hand():
    selected = select_clean(clustering(LABELS), LINE, RefineSettings(selection="neighbors"))
    assert selected.is_clean.tolist() == [True, True, True, True, True, True, False, False]
    assert selected.remarks == selected.warnings == ()


SURE = [(p, 1 - p) if label == 0 else (1 - p, p) for p, label in zip(
    [0.99, 0.9, 0.991, 0.5, 1, 0.98, 0.999, 1], LABELS, strict=True
)]  # fmt: skip


def test_confidence_by_hand():
    settings = RefineSettings(selection="confidence", confidence_threshold=0.99)
    selected = select_clean(clustering(LABELS, SURE), None, settings)
    # the last is sure, but its label is unknown
    assert selected.is_clean.tolist() == [True, False, True, False, True, False, True, False]


def test_hybrid_is_both():
    base = clustering(LABELS, SURE)
    each = [
        select_clean(base, LINE, RefineSettings(selection=s)).is_clean for s in ("confidence", "neighbors")
    ]
    both = select_clean(base, LINE, RefineSettings(selection="hybrid")).is_clean
    assert both.tolist() == (each[0] & each[1]).tolist()


@pytest.mark.parametrize("selection", ["confidence", "hybrid"])
def test_without_probabilities_neighbors_decide_and_it_is_said(selection):
    selected = select_clean(clustering(LABELS), LINE, RefineSettings(selection=selection))
    assert selected.selection == "neighbors"
    assert len(selected.remarks) == 1 and "gives no probabilities" in selected.remarks[0]


def test_a_cluster_without_clean_samples_trusts_its_most_typical():
    probabilities = [(0.999, 0.001)] * 10 + [(0.3, 0.7)] * 10
    probabilities[15] = (0.1, 0.9)
    base = clustering([0] * 10 + [1] * 10, probabilities)
    selected = select_clean(base, None, RefineSettings(selection="confidence"))
    (said,) = selected.warnings
    assert said.startswith("cluster 1 has no clean sample among 10")
    named = replace(base, cluster_names=("ant", "bee"))
    (said,) = select_clean(named, None, RefineSettings(selection="confidence")).warnings
    assert said.startswith("cluster bee has no clean sample among 10")
    assert np.flatnonzero(selected.is_clean).tolist() == [*range(10), 15]


def test_many_clusters_without_clean_samples_are_one_warning():
    labels = np.repeat(np.arange(13), 2)
    unsure = np.full((26, 13), 1 / 13)
    unsure[0] = np.eye(13)[0]
    base = clustering(labels, unsure, n_clusters=13)
    (said,) = select_clean(base, None, RefineSettings(selection="confidence")).warnings
    assert said.startswith("clusters 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more have no clean sample among 24")
    assert "the 12 most typical are trusted" in said


def test_an_empty_cluster_has_nothing_to_trust():
    settings = RefineSettings(selection="neighbors")
    selected = select_clean(clustering(LABELS, n_clusters=3), LINE, settings)
    assert selected.warnings == ()  # what became of it is said at the end
    np.testing.assert_array_equal(
        selected.is_clean, select_clean(clustering(LABELS), LINE, settings).is_clean
    )


def test_votes_against_loops():
    generator = np.random.default_rng(0)
    labels = generator.integers(-1, 3, 60)
    indices = np.array([generator.permutation(60)[:20] for _ in range(60)])
    votes = neighbor_votes(clustering(labels, n_clusters=3), neighbors_of(indices), 100)
    used = 60 // (2 * 3)  # half the mean cluster size
    for row in range(60):
        expected = [sum(labels[j] == k for j in indices[row][:used]) / used for k in range(3)]
        assert votes[row].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("n_alike", "trusted"), [(89, False), (90, True)])
def test_nine_tenths_of_a_hundred_votes_are_ninety(n_alike, trusted):
    labels = np.zeros(400, np.int64)
    labels[n_alike + 1 : 101] = 1
    indices = np.where(labels == 1, 100, 200)[:, None].repeat(100, axis=1)
    indices[0] = np.arange(1, 101)  # the others have neighbours of their own label alone
    settings = RefineSettings(neighbor_agreement=0.9, least_clean=0.0, n_neighbors=100)
    selected = select_clean(clustering(labels), neighbors_of(indices), settings)
    assert selected.is_clean[0] == trusted


def test_nothing_known_is_refused():
    with pytest.raises(InputError, match="all 3 initial labels are unknown"):
        select_clean(clustering([-1, -1, -1]), LINE, RefineSettings())


def test_neighbors_are_needed():
    with pytest.raises(InputError, match="none were given"):
        select_clean(clustering(LABELS), None, RefineSettings(selection="neighbors"))
    with pytest.raises(InputError, match="neighbours of 8 samples were given for 3 labels"):
        select_clean(clustering([0, 1, 1]), LINE, RefineSettings(selection="neighbors"))
