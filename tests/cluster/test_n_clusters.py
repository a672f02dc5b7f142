import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from ruc.cluster.n_clusters import _in_words, _levels, _Resample, estimate_n_clusters
from ruc.errors import InputError, NothingToClusterError
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def blobs(sizes: list[int]) -> np.ndarray:
    generator = np.random.default_rng(len(sizes))
    truth = np.repeat(np.arange(len(sizes)), sizes)
    centres = generator.normal(size=(len(sizes), 24))
    return (centres[truth] + 0.4 * generator.normal(size=(len(truth), 24))).astype(np.float32)


@pytest.mark.parametrize("sizes", [[50] * 9, [120, 80, 50, 30, 20]])
def test_counts_blobs(sizes: list[int]) -> None:
    estimate = estimate_n_clusters(blobs(sizes), None, 2, 20, RUNTIME)
    assert estimate.n_clusters == len(sizes)
    assert estimate.confidence.startswith(f"{len(sizes)} clusters")


def test_the_curve_is_there_and_writes_as_json() -> None:
    features = blobs([40] * 4)
    neighbors = nearest_neighbors(features, 20, RUNTIME)
    estimate = estimate_n_clusters(features, neighbors, 3, 8, RUNTIME)
    assert estimate.candidates == (3, 4, 5, 6, 7, 8)
    assert {len(values) for values in estimate.scores.values()} == {6}
    best = int(np.argmax(estimate.scores["total"]))
    assert estimate.candidates[best] == estimate.n_clusters == 4
    assert json.loads(json.dumps(asdict(estimate)))["n_clusters"] == 4
    assert estimate == estimate_n_clusters(features, neighbors, 3, 8, Runtime("cpu"))


def test_neighbours_in_each_embedding_change_nothing() -> None:
    features = blobs([40] * 4)
    neighbors = nearest_neighbors(features, 20, RUNTIME)
    parts = tuple(nearest_neighbors(features[:, half], 20, RUNTIME) for half in (slice(12), slice(12, 24)))
    several = replace(neighbors, parts=parts)
    assert estimate_n_clusters(features, several, 2, 8, RUNTIME) == estimate_n_clusters(
        features, neighbors, 2, 8, RUNTIME
    )


def test_the_range_holds() -> None:
    assert estimate_n_clusters(blobs([60] * 4), None, 6, 6, RUNTIME).n_clusters == 6


def test_noise_is_called_a_guess() -> None:
    features = np.random.default_rng(0).normal(size=(300, 24)).astype(np.float32)
    assert "quite sure" not in estimate_n_clusters(features, None, 2, 30, RUNTIME).confidence


def test_copies_are_no_clusters_of_their_own() -> None:
    features = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    estimate = estimate_n_clusters(np.repeat(features, 10, axis=0), None, 2, 8, RUNTIME)
    assert estimate.candidates == (2, 3)
    with pytest.raises(NothingToClusterError, match="all 30 samples have the same features"):
        estimate_n_clusters(np.repeat(features[:1], 30, axis=0), None, 2, 8, RUNTIME)


def test_pieces_that_never_touch_are_counted() -> None:
    generator = np.random.default_rng(0)
    truth = np.arange(1_200) % 40
    features = 8 * generator.normal(size=(40, 24))[truth] + 0.1 * generator.normal(size=(1_200, 24))
    estimate = estimate_n_clusters(features.astype(np.float32), None, 2, 60, RUNTIME)
    assert estimate.n_clusters == 40
    assert "quite sure" in estimate.confidence


def test_other_levels_are_named() -> None:
    """Two heaps of three groups each, which overlap."""
    generator = np.random.default_rng(1)
    centres = np.hstack([np.eye(6), 2 * np.repeat(np.eye(2), 3, axis=0), np.zeros((6, 4))])
    features = centres[np.arange(900) % 6] + 0.4 * generator.normal(size=(900, 12))
    estimate = estimate_n_clusters(features.astype(np.float32), None, 2, 20, RUNTIME)
    assert {each.n_clusters for each in estimate.levels} >= {2, 6}
    assert "a guess" in estimate.confidence and "also worth a look: " in estimate.confidence


def test_numbers_far_behind_are_no_levels() -> None:
    estimate = estimate_n_clusters(blobs([60] * 6), None, 2, 30, RUNTIME)
    assert estimate.levels[0].n_clusters == 6
    assert estimate.confidence == "6 clusters, quite sure to within one: resamples agree to 100%"


def resample_of(part: np.ndarray, groups: np.ndarray, links: list[list[float]]) -> _Resample:
    return _Resample(part, np.ones(4), groups, np.asarray(links, np.float64))


def test_what_is_found_again_no_more_than_by_chance_is_no_candidate() -> None:
    """Two cross-cutting pairs of halves: as two clusters the resamples have nothing in common, as four all."""
    part, groups = np.arange(80), np.arange(80) % 4
    by_rows = resample_of(part, groups, [[9, 5, 1, 1], [5, 9, 1, 1], [1, 1, 9, 5], [1, 1, 5, 9]])
    by_columns = resample_of(part, groups, [[9, 1, 5, 1], [1, 9, 1, 5], [5, 1, 9, 1], [1, 5, 1, 9]])
    candidates, total = np.array([2, 3, 4]), np.array([0.9, 0.1, 0.8])
    levels = _levels(80, [by_rows, by_columns], candidates, total)
    assert [(each.n_clusters, each.found_again) for each in levels] == [(4, 1.0)]
    assert _in_words(levels, candidates, total) == "4 clusters, a guess: resamples agree to 100%"
    only = _levels(80, [by_rows, by_columns], candidates[:2], total[:2])
    assert [each.n_clusters for each in only] == [2]
    words = _in_words(only, candidates[:2], total[:2])
    assert words == "2 clusters, a guess: resamples agree no more than by chance"


def test_the_only_number_that_can_be_is_a_guess() -> None:
    features = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    assert estimate_n_clusters(features, None, 2, 3, RUNTIME).confidence.startswith("2 clusters, a guess: ")


@pytest.mark.parametrize(("k_min", "k_max"), [(1, 5), (6, 5)])
def test_empty_ranges(k_min: int, k_max: int) -> None:
    with pytest.raises(InputError, match="expected 2 <= smallest <= largest"):
        estimate_n_clusters(blobs([10] * 3), None, k_min, k_max, RUNTIME)
