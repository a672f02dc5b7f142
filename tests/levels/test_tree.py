"""The tree over clusters: joins against a slow loop, levels that nest, and what is thrown away last."""

import numpy as np
import pytest

from ruc.edits.nearest import nearest_images
from ruc.edits.suggest import links_to_chance
from ruc.levels.tree import Tree, agglomerate, grow_tree


def blobs(n_blobs: int, size: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of pairs of blobs: two and two are near each other."""
    rng = np.random.default_rng(seed)
    pairs = rng.normal(size=(-(-n_blobs // 2), 16))
    centres = np.repeat(pairs, 2, axis=0)[:n_blobs] + 0.45 * rng.normal(size=(n_blobs, 16))
    features = np.repeat(centres, size, axis=0) + 0.12 * rng.normal(size=(n_blobs * size, 16))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), np.repeat(
        np.arange(n_blobs), size
    )


def test_joins_are_those_of_a_slow_loop() -> None:
    rng = np.random.default_rng(1)
    groups, nearest = rng.integers(0, 7, 200), rng.integers(0, 200, (200, 5))
    counts = np.zeros((7, 7))
    for row in range(200):
        for other in nearest[row]:
            counts[groups[row], groups[other]] += 1
    weights = (counts + counts.T) / counts.sum() / 2
    found = agglomerate(weights, weights.sum(axis=1))
    names, labels = {group: group for group in range(7)}, groups.copy()
    for number, (one, other, links) in enumerate(found):
        places = {name: place for place, name in names.items()}
        matrix = links_to_chance(labels, nearest)  # of the labels as they are now, counted anew
        np.fill_diagonal(matrix, -1)
        there = sorted(names)
        best = max(matrix[a, b] for a in there for b in there if a != b)
        assert links == pytest.approx(best) == pytest.approx(matrix[places[one], places[other]])
        kept, gone = sorted((places[one], places[other]))
        labels[labels == gone] = kept
        del names[gone]
        names[kept] = 7 + number


def test_levels_nest_and_the_run_is_one_of_them() -> None:
    features, truth = blobs(12)
    cluster = truth // 3 * 2 + 5  # numbers that are left out have no images
    tree = grow_tree(cluster, features, nearest_images(features))
    assert tree.n_clusters == 4 and tree.n_leaves == 16
    np.testing.assert_array_equal(tree.cut(4), truth // 3)
    for n_groups in range(1, tree.n_leaves):
        coarse, fine = tree.cut(n_groups), tree.cut(n_groups + 1)
        assert len(np.unique(coarse)) == n_groups
        assert all(len(np.unique(coarse[fine == group])) == 1 for group in range(n_groups + 1))


@pytest.mark.learns
@pytest.mark.parametrize("seed", range(3))
def test_blobs_are_found_from_too_few_and_from_too_many_clusters(seed: int) -> None:
    features, truth = blobs(8, seed=seed)
    nearest = nearest_images(features)
    halves = truth * 2 + np.arange(len(truth)) % 2
    for cluster in (truth // 2, halves):
        found = grow_tree(cluster, features, nearest).cut(8)
        assert len(np.unique(np.stack([found, truth]), axis=1).T) == 8


def test_of_a_large_cluster_some_are_divided_and_the_others_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ruc.cluster.parts.MOST_SAMPLES", 120)
    features, truth = blobs(8, size=60)
    found = grow_tree(truth // 4, features, nearest_images(features)).cut(8)
    assert len(np.unique(np.stack([found, truth]), axis=1).T) == 8


def test_copies_and_few_images_are_no_trouble() -> None:
    """Thirty copies of one image, twelve images, and five."""
    rng = np.random.default_rng(0)
    features = np.concatenate([np.repeat(rng.normal(size=(1, 8)), 30, axis=0), rng.normal(size=(17, 8))])
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    cluster = np.repeat([0, 1, 2], [30, 12, 5])
    tree = grow_tree(cluster, features, nearest_images(features))
    np.testing.assert_array_equal(tree.cut(3), cluster)
    assert len(np.unique(tree.leaf[:30])) == len(np.unique(tree.leaf[42:])) == 1


def test_what_was_thrown_away_joins_last() -> None:
    features, truth = blobs(6)
    tree = grow_tree(truth, features, nearest_images(features), junk=[0])
    two = tree.cut(2)
    assert len(np.unique(two[truth != 0])) == 1 and two[truth == 0][0] != two[truth != 0][0]


def test_levels_that_last_by_hand() -> None:
    """Of 5 leaves: joins at 100, 90, 3 and 2 times chance. Three groups last from 90 to 3, four from 100 to 90."""
    joins = np.array([[0, 1], [2, 3], [5, 6], [7, 4]])
    tree = Tree(np.arange(5), joins, np.array([100.0, 90.0, 3.0, 2.0]), 3)
    assert tree.stable_levels(1) == (3,)
    assert tree.stable_levels(2) == (2, 3)
    assert tree.cut(3).tolist() == [0, 0, 1, 1, 2]


def test_copies_and_single_images_make_a_tree() -> None:
    features = np.repeat(np.eye(4, dtype=np.float32), [9, 1, 1, 9], axis=0)
    tree = grow_tree(np.repeat(np.arange(4), [9, 1, 1, 9]), features, nearest_images(features))
    assert len(np.unique(tree.cut(tree.n_leaves))) == tree.n_leaves >= 4
