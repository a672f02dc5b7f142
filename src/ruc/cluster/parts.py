"""The parts that the samples of one cluster fall into, by the graph of their neighbours."""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ruc.cluster.kmeans import kmeans_labels
from ruc.neighbors.communities import agreement, connections, merge_groups
from ruc.neighbors.eigenvectors import spectral_embedding
from ruc.neighbors.graphs import N_NEIGHBORS, neighbor_graph
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.neighbors.top import top_unordered
from ruc.runtime import Runtime

N_DIMENSIONS = 8  # the larger of the base's layouts
GROUPS_PER_PART, SAMPLES_PER_GROUP = 8, 6  # as for the base; no experiment behind it
RESOLUTIONS = (1.0, 0.5, 0.25, 0.1)  # the lower, the more unequal the parts may be
FEWEST_FOR_GRAPH = 12  # samples a part; the graph of fewer says less than the features do
MOST_SAMPLES = 3_000  # of more, so many are divided, and the others join them
N_VOTES = 10  # neighbours that a sample follows which wasn't divided; no experiment behind it
# Divisions made again, of so large a share (experiments/LOG.md, "suggestions to merge and to split").
N_RESAMPLES, RESAMPLED = 6, 0.8
N_SEARCHED = 40  # neighbours among all, so that a random part holds more of them than its graph asks for


def divide(unit: NDArray[np.float32], n_parts: int, runtime: Runtime) -> NDArray[np.int64]:
    """Divide samples where the graph of their neighbours is thinnest, whatever shape the parts have.

    Small groups of the graph's leading eigenvectors are merged along its edges, at several resolutions; the one
    with the lowest normalised cut is taken, so that a ring or a chain stays in one piece, which k-means cuts in half.

    Returns (n_samples,) int64 in 0 … n_parts-1, the largest part first.

    Parameters
    ----------
    unit
        (n_samples, n_features) rows of unit length, at least `n_parts` different ones.
    runtime
        The seed, and where to compute.
    """
    return _by_size(
        _of_some(unit, n_parts, runtime, partial(_divide, n_parts=n_parts, runtime=runtime)), n_parts
    )


def groups_within(unit: NDArray[np.float32], n_groups: int, runtime: Runtime) -> NDArray[np.int64]:
    """Small groups of samples that lie together in the leading eigenvectors of their neighbours' graph.

    Returns (n_samples,) int64.

    Parameters
    ----------
    unit
        (n_samples, n_features) rows of unit length, at least twelve.
    n_groups
        How many are wanted; fewer are made where they would have less than six samples.
    runtime
        The seed, and where to compute.
    """

    def of_graph(rows: NDArray[np.float32]) -> NDArray[np.int64]:
        return _small_groups(neighbor_graph(rows, runtime), n_groups, runtime, N_DIMENSIONS)

    return _of_some(unit, n_groups, runtime, of_graph)


def _of_some(
    unit: NDArray[np.float32],
    n_parts: int,
    runtime: Runtime,
    divide_rows: Callable[[NDArray[np.float32]], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """Divide all samples, or where they are many some of them, which the others follow."""
    if len(unit) <= MOST_SAMPLES:
        return divide_rows(unit)
    generator = np.random.default_rng(runtime.numpy_seed("parts"))
    drawn = unit[np.sort(generator.choice(len(unit), MOST_SAMPLES, replace=False))]
    return _majority(unit, drawn, divide_rows(drawn), n_parts)


def found_again(unit: NDArray[np.float32], labels: NDArray[np.int64], runtime: Runtime) -> float:
    """How well divisions of random parts of the samples agree with this one in two: the mean adjusted Rand index.

    Of more than 3,000 samples so many are looked at.
    """
    generator = np.random.default_rng(runtime.numpy_seed("parts again"))
    looked_at = np.sort(generator.permutation(len(unit))[:MOST_SAMPLES])
    unit, labels = unit[looked_at], labels[looked_at]
    near = nearest_neighbors(unit, min(N_SEARCHED, len(unit) - 1), runtime)
    agreements = []
    for _ in range(N_RESAMPLES):
        part = np.sort(generator.permutation(len(unit))[: int(RESAMPLED * len(unit))])
        again = _divide(unit[part], 2, runtime, near.among(part, min(N_NEIGHBORS, len(part) - 1)))
        agreements.append(agreement(labels[part], again))
    return float(np.mean(agreements))


def _divide(
    unit: NDArray[np.float32], n_parts: int, runtime: Runtime, near: Neighbors | None = None
) -> NDArray[np.int64]:
    seed = runtime.numpy_seed("parts")
    if len(unit) < FEWEST_FOR_GRAPH * n_parts:
        return kmeans_labels(unit, n_parts, seed)
    affinity = neighbor_graph(unit, runtime, near)
    groups = _small_groups(affinity, GROUPS_PER_PART * n_parts, runtime, max(N_DIMENSIONS, n_parts))
    if groups.max() + 1 < n_parts:  # the graph tells fewer apart than the features do
        return kmeans_labels(unit, n_parts, seed)
    weights = connections(affinity, groups)
    divisions = [merge_groups(weights, n_parts, resolution).owners for resolution in RESOLUTIONS]
    return min(divisions, key=lambda owners: _normalised_cut(weights, owners))[groups]


def _normalised_cut(weights: NDArray[np.float64], owners: NDArray[np.int64]) -> float:
    """Sum over the parts of the share of its edges that leave it (Shi and Malik 2000)."""
    of_part = np.eye(int(owners.max()) + 1)[owners]
    between = of_part.T @ weights @ of_part
    return float((1 - np.diag(between) / between.sum(axis=1)).sum())


def _small_groups(
    affinity: sp.csr_array, n_groups: int, runtime: Runtime, n_dimensions: int
) -> NDArray[np.int64]:
    """Groups of at least about six samples, which lie together in the graph's leading eigenvectors."""
    n_samples = affinity.shape[0]
    values, vectors = spectral_embedding(affinity, n_dimensions, runtime)
    rows = vectors * np.maximum(values, 0.0)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    n_different = len(np.unique(rows.round(9), axis=0))
    n_groups = min(n_groups, n_samples // SAMPLES_PER_GROUP, n_different)
    return kmeans_labels(rows, max(n_groups, 1), runtime.numpy_seed("parts"), n_restarts=3)


def _majority(
    unit: NDArray[np.float32], drawn: NDArray[np.float32], labels: NDArray[np.int64], n_parts: int
) -> NDArray[np.int64]:
    """For each sample the part that most of the nearest drawn ones are in; the drawn ones vote for themselves."""
    found = np.empty(len(unit), np.int64)
    for start in range(0, len(unit), MOST_SAMPLES):
        similarities = torch.from_numpy(unit[start : start + MOST_SAMPLES] @ drawn.T)
        nearest = top_unordered(similarities, N_VOTES).numpy()
        votes = (labels[nearest][:, :, None] == np.arange(n_parts)).sum(axis=1)
        found[start : start + MOST_SAMPLES] = votes.argmax(axis=1)
    return found


def _by_size(labels: NDArray[np.int64], n_parts: int) -> NDArray[np.int64]:
    """The same parts, numbered by size."""
    order = np.argsort(-np.bincount(labels, minlength=n_parts), kind="stable")
    ranks = np.empty(n_parts, np.int64)
    ranks[order] = np.arange(n_parts)
    return np.asarray(ranks[labels], np.int64)
