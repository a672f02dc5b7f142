"""Different eyes: each step against a slow loop or an independent library, and that together they see more than one."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from ruc.belief.eyes import (
    EVENNESS,
    N_FOLDS,
    PENALTY,
    _Heads,
    _nearest_along,
    _principal,
    balance,
    can_open_eyes,
    cotrain,
    eyes_that_see,
    open_eyes,
    typical_half,
    vote,
)
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

CPU = Runtime("cpu", seed=0)


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def make_two_views(seed, n_samples=400, n_clusters=4):
    """Two embeddings with noise of their own: what is wrong in one is mostly right in the other."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, n_clusters, n_samples)
    views = []
    for _ in range(2):
        centers = random.standard_normal((n_clusters, 20))
        views.append(unit(centers[truth] + 1.6 * random.standard_normal((n_samples, 20))))
    return views, truth


def eyes_of(views):
    return open_eyes(views, [nearest_neighbors(view, 30, CPU) for view in views], CPU)


def base_of(labels, n_clusters=4):
    return Clustering(np.asarray(labels, np.int64), None, n_clusters, "kmeans", "features")


def test_votes_are_the_shares_of_the_voters_labels():
    random = np.random.default_rng(0)
    labels = random.integers(-1, 3, 60)
    voters = random.integers(0, 60, (60, 7))
    expected = np.array([[np.mean(labels[row] == label) for label in range(3)] for row in voters])
    votes = vote(torch.from_numpy(labels), torch.from_numpy(voters), 3)
    np.testing.assert_allclose(votes, expected, atol=1e-6)


def test_what_the_neighbours_say_counts_beside_the_heads(monkeypatch):
    monkeypatch.setattr("ruc.belief.eyes.NEIGHBORS_VOTE", 1e4)
    monkeypatch.setattr("ruc.belief.eyes.N_ROUNDS", 1)
    views, truth = make_two_views(3)
    labels = torch.from_numpy(np.where(np.random.default_rng(0).random(400) < 0.3, (truth + 1) % 4, truth))
    eyes = eyes_of(views)
    votes = torch.stack([vote(labels, eye.voters, 4) for eye in eyes]).mean(dim=0).numpy()
    clear = (
        np.sort(votes, axis=1)[:, -1] - np.sort(votes, axis=1)[:, -2] > 0.1
    )  # sizes are drawn for the others
    found = cotrain(base_of(labels), eyes, CPU).argmax(axis=1)
    assert (found == votes.argmax(axis=1))[clear].all()
    monkeypatch.setattr("ruc.belief.eyes.NEIGHBORS_VOTE", 0.0)
    by_heads = cotrain(base_of(labels), eyes, CPU).argmax(axis=1)
    assert not (by_heads == votes.argmax(axis=1))[clear].all()


def test_at_most_half_the_mean_cluster_size_votes():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    voters = torch.arange(7).repeat(8, 1)  # 8 samples of 2 clusters: the first two of the seven vote
    np.testing.assert_array_equal(vote(labels, voters, 2)[0], [1, 0])


def test_the_half_of_each_cluster_that_the_others_agree_with_most_is_trusted():
    labels = torch.tensor([0, 0, 0, 0, 1, 1, -1, 2])
    own = torch.tensor([0.1, 0.9, 0.5, 0.9, 0.2, 0.2, 0.0, 0.0])
    agreement = torch.zeros(8, 3)
    agreement[torch.arange(8), labels.clamp_min(0)] = own
    trusted = typical_half(labels, agreement)
    np.testing.assert_array_equal(trusted, [False, True, False, True, True, False, False, True])


def test_balancing_gives_clusters_the_wanted_sizes_and_keeps_differences_within_one():
    logits = torch.randn(300, 4, generator=torch.Generator().manual_seed(0)) + torch.tensor([3.0, 0, 0, -1])
    sizes = torch.tensor([0.1, 0.2, 0.3, 0.4])
    balanced = balance(logits, sizes)
    np.testing.assert_allclose(balanced.softmax(dim=1).mean(dim=0), sizes, atol=1e-3)
    shifts = balanced - logits
    np.testing.assert_allclose(shifts, shifts[:1].expand_as(shifts), atol=1e-5)


def test_heads_are_ridge_regressions_that_saw_no_label_of_those_they_judge():
    random = np.random.default_rng(1)
    inputs = random.standard_normal((90, 6)).astype(np.float32)
    labels = random.integers(0, 3, 90)
    trusted = random.random(90) < 0.6
    heads = _Heads(torch.from_numpy(inputs), 0)
    scores = heads.judge(torch.from_numpy(labels), torch.from_numpy(trusted), 3)
    sizes = np.bincount(labels[trusted], minlength=3)
    weights = np.where(trusted, sizes.mean() / sizes[labels], 0)
    length = np.sqrt((inputs**2).sum(axis=1).mean())
    seen = np.column_stack([inputs, np.full(90, length)])
    penalty = PENALTY * length**2 / 7 * weights.sum()
    assert len(heads.folds) == N_FOLDS
    for fold in heads.folds:
        rest = np.setdiff1d(np.arange(90), fold)
        model = Ridge(penalty, fit_intercept=False).fit(seen[rest], np.eye(3)[labels[rest]], weights[rest])
        np.testing.assert_allclose(scores[fold], model.predict(seen[fold]), atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_two_embeddings_repair_what_one_clusters_wrongly(seed):
    views, truth = make_two_views(seed)
    random = np.random.default_rng(seed)
    labels = truth.copy()
    wrong = random.random(len(truth)) < 0.35
    labels[wrong] = random.integers(0, 4, wrong.sum())
    before = (labels == truth).mean()
    posterior = cotrain(base_of(labels), eyes_of(views), CPU)
    alone = cotrain(base_of(labels), eyes_of(views[:1]), CPU)
    after, after_one = ((each.argmax(axis=1) == truth).mean() for each in (posterior, alone))
    assert after > before + 0.1
    assert after > after_one - 0.02
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-5)


def test_unknown_labels_are_filled_in_and_clusters_of_nobody_stay_empty():
    views, truth = make_two_views(3)
    labels = np.where(np.arange(len(truth)) % 5 == 0, UNKNOWN, truth)
    labels = np.where(labels == 3, 4, labels)  # the fourth of five clusters is empty
    posterior = cotrain(base_of(labels, n_clusters=5), eyes_of(views), CPU)
    assert posterior.shape == (400, 5)
    assert np.all(posterior[:, 3] == 0)
    found = posterior.argmax(axis=1)
    unknown = labels == UNKNOWN
    assert (found[unknown] == np.where(truth == 3, 4, truth)[unknown]).mean() > 0.85


def test_an_embedding_that_sees_nothing_of_the_labels_is_not_heard():
    views, truth = make_two_views(1)
    noise = unit(np.random.default_rng(0).standard_normal((400, 20)))
    heard = eyes_that_see(base_of(truth), eyes_of([views[0], noise, views[1]]), CPU)
    assert [eye.embedding for eye in heard] == [0, 0, 2, 2]


def test_where_no_embedding_sees_anything_the_best_is_heard(monkeypatch):
    monkeypatch.setattr("ruc.belief.eyes.agreement", lambda found, labels: -0.2)
    views, truth = make_two_views(1)
    assert len(eyes_that_see(base_of(truth), eyes_of(views[:1]), CPU)) == 2


@pytest.mark.parametrize("made_of", ["features", "graph", "layouts", "network", "elsewhere"])
def test_one_embedding_has_other_eyes_for_clusterings_of_the_features_alone(made_of):
    base = Clustering(np.arange(100) % 4, None, 4, "some", made_of)
    assert can_open_eyes(base, 1) == (made_of == "features")
    assert can_open_eyes(base, 2) == (made_of != "elsewhere")


def test_eyes_are_opened_as_long_as_a_number_for_each_sample_and_cluster_is_affordable(monkeypatch):
    monkeypatch.setattr("ruc.belief.eyes.MOST_SAMPLES", 100)
    monkeypatch.setattr("ruc.belief.eyes.MOST_MEMBERSHIPS", 800)
    assert can_open_eyes(base_of(np.arange(100) % 8, n_clusters=8), 1)
    assert not can_open_eyes(base_of(np.arange(100) % 9, n_clusters=9), 1)
    assert not can_open_eyes(base_of(np.arange(101) % 4), 1)


@pytest.mark.parametrize(("n_clusters", "expected"), [(4, 32), (50, 50), (300, 64)])
def test_many_clusters_are_seen_along_more_eigenvectors(n_clusters, expected):
    view = make_two_views(0)[0][0]
    eyes = open_eyes([view], [nearest_neighbors(view, 30, CPU)], CPU, n_clusters=n_clusters)
    assert [eye.inputs.shape[1] for eye in eyes] == [20, expected]


def test_of_many_samples_those_of_the_graph_that_are_nearest_along_the_eigenvectors_vote(monkeypatch):
    monkeypatch.setattr("ruc.belief.eyes.MANY", 50)
    monkeypatch.setattr("ruc.belief.eyes.ROWS", 16)
    rows, vectors = unit(np.random.default_rng(0).standard_normal((60, 8))), np.eye(60, 5, dtype=np.float32)
    vectors = unit(vectors + np.random.default_rng(1).standard_normal((60, 5)))
    nearest = nearest_neighbors(rows, 30, CPU)
    found = _nearest_along(vectors, nearest, CPU)
    for number, among in enumerate(nearest.indices):
        expected = sorted(among, key=lambda other: -float(vectors[number] @ vectors[other]))[:15]
        np.testing.assert_array_equal(found[number], expected)


def test_principal_components_of_many_samples_are_found_on_some(monkeypatch):
    random = np.random.default_rng(0)
    rows = (random.standard_normal((900, 12)) * np.geomspace(3, 0.1, 12) + 5).astype(np.float32)
    monkeypatch.setattr("ruc.belief.eyes.N_COMPONENTS", 4)
    of_all = _principal(rows, CPU)
    monkeypatch.setattr("ruc.belief.eyes.MANY", 600)
    monkeypatch.setattr("ruc.belief.eyes.ROWS", 100)
    of_some = _principal(rows, CPU)
    alike = [abs(np.corrcoef(a, b)[0, 1]) for a, b in zip(of_all.T, of_some.T, strict=True)]
    assert of_some.shape == (900, 4) and min(alike) > 0.97


@pytest.mark.parametrize("seed", range(3))
def test_many_samples_are_repaired_as_well(monkeypatch, seed):
    views, truth = make_two_views(seed)
    random = np.random.default_rng(seed)
    labels = np.where(random.random(400) < 0.35, random.integers(0, 4, 400), truth)
    in_full = cotrain(base_of(labels), eyes_of(views), CPU).argmax(axis=1)
    monkeypatch.setattr("ruc.belief.eyes.MANY", 200)
    cheaper = cotrain(base_of(labels), eyes_of(views), CPU).argmax(axis=1)
    assert (cheaper == truth).mean() > (labels == truth).mean() + 0.1
    assert (cheaper == truth).mean() > (in_full == truth).mean() - 0.03


@pytest.mark.parametrize("made_of", ["features", "layouts"])
def test_sizes_that_were_found_are_kept_and_those_that_were_asked_for_are_drawn_together(made_of):
    views, truth = make_two_views(2)
    labels = np.where(
        truth == 3, 2, truth
    )  # two of the four are one cluster, and the fourth has a few of them
    labels[np.flatnonzero(truth == 3)[:10]] = 3
    base = Clustering(labels, None, 4, "some", made_of)
    posterior = cotrain(base, eyes_of(views), CPU)
    wanted = np.bincount(labels, minlength=4) / len(labels)
    if made_of == "features":
        wanted = (1 - EVENNESS) * wanted + EVENNESS / 4
    np.testing.assert_allclose(posterior.mean(axis=0), wanted, atol=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_a_long_tail_keeps_its_sizes(seed):
    """Four groups of 200 down to 20 that overlap a little, found as they are by layouts of the graph."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(4), [200, 90, 40, 20])
    views = [
        unit(random.standard_normal((4, 20))[truth] + random.standard_normal((350, 20))) for _ in range(2)
    ]
    base = Clustering(truth, None, 4, "graph", "layouts")
    found = cotrain(base, eyes_of(views), CPU).argmax(axis=1)
    assert (found == truth).mean() > 0.99


def test_few_samples_and_features_are_enough():
    features = unit(np.random.default_rng(0).standard_normal((7, 2)))
    neighbors = nearest_neighbors(features, 6, CPU)
    posterior = cotrain(base_of([0, 0, 0, 1, 1, 1, 1], 2), open_eyes([features], [neighbors], CPU), CPU)
    assert posterior.shape == (7, 2) and np.isfinite(posterior).all()


@pytest.mark.parametrize("seed", range(3))
def test_unequal_groups_that_are_right_stay_so(seed):
    """Six groups of 50 and one of 20: drawing the sizes together would tear two groups for the small one."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.arange(7), [50] * 6 + [20])
    rows = unit(random.standard_normal((7, 16))[truth] + 1e-3 * random.standard_normal((320, 16)))
    found = cotrain(Clustering(truth, None, 7, "some", "features"), eyes_of([rows]), CPU).argmax(axis=1)
    np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("seed", range(5))
def test_clusters_of_several_far_parts_are_left_to_the_neighbours(seed):
    """Three clusters of three parts each, which no linear head tells apart, and 8% of the labels wrong."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((9, 6))
    centres *= 3 / np.linalg.norm(centres, axis=1, keepdims=True)
    parts = np.arange(300) % 9
    truth = parts // 3
    wrong = random.random(300) < 0.08
    labels = np.where(wrong, (truth + random.integers(1, 3, 300)) % 3, truth)
    rows = unit(centres[parts] + 0.3 * random.standard_normal((300, 6)))
    found = cotrain(base_of(labels, 3), eyes_of([rows]), CPU).argmax(axis=1)
    assert (found == truth).mean() > 0.95 > (labels == truth).mean()
