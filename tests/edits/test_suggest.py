"""Suggestions: links against a slow count, one object in two clusters, two objects in one, and nothing in noise."""

import numpy as np
import pytest

from ruc.edits.nearest import nearest_images
from ruc.edits.suggest import SuggestedMerge, SuggestedSplit, links_to_chance, suggest


def blobs(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit features around one axis each, and which."""
    rng = np.random.default_rng(seed)
    kind = np.repeat(np.arange(len(sizes)), sizes)
    features = np.eye(len(sizes) + 4)[kind] + rng.normal(0, 0.15, (len(kind), len(sizes) + 4))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), kind


def test_links_against_a_slow_count() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(-1, 3, 40)
    nearest = rng.integers(0, 40, (40, 5))
    counts = np.zeros((3, 3))
    for row in range(40):
        for other in nearest[row]:
            if groups[row] >= 0 and groups[other] >= 0:
                counts[groups[row], groups[other]] += 0.5
                counts[groups[other], groups[row]] += 0.5
    ends = counts.sum(axis=1)
    expected = counts * counts.sum() / np.outer(ends, ends)
    np.testing.assert_allclose(links_to_chance(groups, nearest), expected, rtol=1e-12)


def test_links_of_groups_by_lot_are_as_chance_has_them() -> None:
    rng = np.random.default_rng(0)
    links = links_to_chance(rng.integers(0, 4, 4000), rng.integers(0, 4000, (4000, 12)))
    np.testing.assert_allclose(links, 1, atol=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_one_object_in_two_clusters_and_two_in_one(seed: int) -> None:
    features, kind = blobs([80, 60, 120, 100], seed)
    halves = np.random.default_rng(seed).integers(0, 2, len(kind))
    cluster = np.where(kind <= 1, 0, np.where(kind == 2, 1 + halves, 3))
    found = suggest(cluster, features, nearest_images(features)).ranked()
    assert len(found) == 2
    (merge,) = [one for one in found if isinstance(one, SuggestedMerge)]
    (split,) = [one for one in found if isinstance(one, SuggestedSplit)]
    assert set(merge.clusters) == {1, 2}
    assert merge.links > 1
    assert split.cluster == 0
    assert kind[split.rows].tolist() == [1] * 60  # the smaller object
    assert split.links < 0.1
    assert split.found_again > 0.9
    after = np.where(cluster == 2, 1, cluster)
    after[split.rows] = 4
    assert suggest(after, features, nearest_images(features)).ranked() == ()


def test_what_is_junk_is_in_no_suggestion() -> None:
    features, kind = blobs([80, 60, 100])
    cluster = np.where(kind <= 1, 0, 1)
    assert suggest(cluster, features, nearest_images(features), junk={0}).ranked() == ()


def test_copies_of_one_image_are_no_two_parts() -> None:
    features, kind = blobs([60, 60])
    features[kind == 0] = features[0]
    splits = suggest(kind, features, nearest_images(features)).splits
    assert 0 not in {split.cluster for split in splits}


def test_nearest_images_of_few_and_of_none() -> None:
    assert nearest_images(np.eye(1)).shape == (1, 0)
    assert nearest_images(np.eye(4)).shape == (4, 3)
    features, kind = blobs([20, 20])
    assert (kind[nearest_images(features)[:, :5]] == kind[:, None]).all()


def test_the_nearest_of_very_many_are_found_in_fewer_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 8)) @ rng.normal(size=(8, 200)) + rng.normal(0, 0.01, (500, 200))
    exact = nearest_images(features)
    monkeypatch.setattr("ruc.edits.nearest.MOST_IN_FULL", 100)
    found = nearest_images(features)
    shared = np.mean([len(set(one) & set(other)) for one, other in zip(exact, found, strict=True)])
    assert shared > 11.5
