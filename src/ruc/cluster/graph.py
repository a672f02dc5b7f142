"""The default base: communities of the neighbour graph that several layouts of it agree on.

UMAP followed by a Gaussian mixture is hard to beat on embeddings of images, but the mixture lands in another local
optimum from seed to seed, and splits large clusters when sizes are unequal. So each layout is only cut into many
small groups, which are right nearly everywhere; the groups are merged along the graph; and how much the merging
favours clusters of like size is chosen by what the layouts agree on.
"""

import logging
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ruc.cluster.inputs import unit_features
from ruc.cluster.kmeans import kmeans_labels
from ruc.cluster.weighing import weighed_graph
from ruc.labels.clustering import Clustering
from ruc.neighbors.communities import (
    agreement,
    connections,
    merge_groups,
    shared_clusters,
    shared_information,
)
from ruc.neighbors.copies import find_copies
from ruc.neighbors.graphs import N_NEIGHBORS, fuzzy_graph, neighbor_graph
from ruc.neighbors.layout import graph_layout, layout_start
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.progress import progress
from ruc.runtime import Runtime

logger = logging.getLogger(__name__)

LAYOUT_DIMENSIONS = (4, 8, 4, 8)  # one layout each
GROUPS_PER_CLUSTER = 8  # experiments/LOG.md, "a base on the neighbour graph"
MOST_GROUPS = 400  # merging costs their square, so with many clusters there are fewer groups in each
SAMPLES_PER_GROUP = 4  # at the least, in the mean; the same
RESOLUTIONS = np.geomspace(1.6, 0.2, 13)
HIGHEST_RESOLUTION = 30.0  # where there are many clusters (experiments/LOG.md, "clusters of one image")
# Resolutions count that would by themselves end with about n_clusters clusters (the same, "one merge too many").
NATURAL_RANGE = (0.85, 1.4)
STABILITY_TOLERANCE = 0.005  # resolutions as stable as that are alike (experiments/LOG.md, "splinters")
N_SMOOTHING = 3  # steps of the votes along the graph; no experiment behind it
MOST_SAMPLES = 20_000  # the layouts of more would take minutes
LEAST_PART, PART_PER_CLUSTER = 10_000, 250  # of more samples so many are clustered
N_SPREADING = 5  # steps along the graph, until votes have come from the part that was clustered to all


@dataclass(frozen=True)
class _Cut:
    """What one resolution makes of every layout."""

    resolution: float
    labels: list[NDArray[np.int64]]
    natural_number: float
    agreements: NDArray[np.float64]  # (n_layouts, n_layouts) adjusted Rand index


def graph(
    features: NDArray[np.floating], n_clusters: int, runtime: Runtime, neighbors: Neighbors | None = None
) -> Clustering:
    """Cluster by merging small groups of the neighbour graph, at the resolution that several layouts agree on.

    Of more than 20,000 samples a random part is clustered so, and the others join along the graph: 10,000 samples, or
    250 a cluster. Copies of one sample are clustered as one that weighs as much (`ruc.cluster.weighing`).

    Probabilities are the share of the layouts that agree, averaged along the graph.

    Parameters
    ----------
    features
        (n_samples, n_features).
    runtime
        The seed, and where to compute.
    neighbors
        Neighbours that were found already, at least 15 of each sample; found here otherwise.
    """
    if len(features) > MOST_SAMPLES:
        return _graph_of_part(features, n_clusters, runtime, neighbors)
    unit = unit_features(features, n_clusters)
    copies = find_copies(features)
    if copies is None:
        affinity = neighbor_graph(unit, runtime, neighbors)
        probabilities = _communities(affinity, affinity, n_clusters, runtime, None)
    else:
        one_each = weighed_graph(unit, copies, runtime, neighbors)
        probabilities = _communities(one_each.affinity, one_each.weighed, n_clusters, runtime, copies.sizes)[
            copies.groups
        ]
    return Clustering(probabilities.argmax(axis=1), probabilities, n_clusters, "graph", "layouts")


def _communities(
    affinity: sp.csr_array,
    weighed: sp.csr_array,
    n_clusters: int,
    runtime: Runtime,
    masses: NDArray[np.int64] | None,
) -> NDArray[np.float32]:
    """(n_vertices, n_clusters) probabilities of the clusters.

    The graph is laid out by its `affinity` and merged as it is `weighed`; `masses`: how many samples each vertex stands
    for, None where each is one.
    """
    if affinity.shape[0] == n_clusters:
        return np.eye(n_clusters, dtype=np.float32)
    groupings = group_layouts(affinity, n_clusters, runtime, masses)
    weights = [connections(weighed, groups) for groups in groupings]
    cuts = [_cut(groupings, weights, n_clusters, resolution, masses) for resolution in RESOLUTIONS]
    while cuts[0].natural_number < NATURAL_RANGE[1] * n_clusters and cuts[0].resolution < HIGHEST_RESOLUTION:
        # Else merging would stop early, with many clusters of a single group.
        higher = cuts[0].resolution * RESOLUTIONS[0] / RESOLUTIONS[1]
        cuts.insert(0, _cut(groupings, weights, n_clusters, higher, masses))
    return _consensus(_choose(cuts, n_clusters, masses), weighed, n_clusters, masses)


def _graph_of_part(
    features: NDArray[np.floating], n_clusters: int, runtime: Runtime, neighbors: Neighbors | None
) -> Clustering:
    """Cluster a random part of the samples; the others get its votes along the graph of all."""
    generator = np.random.default_rng(runtime.numpy_seed("graph part"))
    n_drawn = min(MOST_SAMPLES, max(LEAST_PART, PART_PER_CLUSTER * n_clusters))
    part = np.sort(generator.choice(len(features), n_drawn, replace=False))
    logger.info("base clustering on %d of %d samples, the others along the graph", len(part), len(features))
    found = graph(np.asarray(features[part]), n_clusters, runtime)
    assert found.probabilities is not None
    if neighbors is None:
        neighbors = nearest_neighbors(features, N_NEIGHBORS, runtime)
    nearest = Neighbors(neighbors.indices[:, :N_NEIGHBORS], neighbors.similarities[:, :N_NEIGHBORS])
    walk = _random_walk(fuzzy_graph(nearest).astype(np.float32))
    votes = np.zeros((len(features), n_clusters), np.float32)
    votes[part] = found.probabilities
    for _ in range(N_SPREADING):
        votes = walk @ votes
        votes[part] = found.probabilities
        votes /= np.maximum(votes.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    unreached = votes.sum(axis=1) == 0
    votes[unreached] = np.bincount(found.labels, minlength=n_clusters) / len(part)
    copies = find_copies(features)
    if copies is not None:  # what copies hear differs by what they were drawn
        sums = np.add.reduceat(votes[copies.members], copies.starts, axis=0)
        votes = (sums / copies.sizes[:, None]).astype(np.float32)[copies.groups]
    return Clustering(votes.argmax(axis=1), votes, n_clusters, "graph", "layouts")


def _random_walk(affinity: sp.csr_array) -> sp.csr_array:
    """Each row summing to 1."""
    return sp.csr_array(sp.diags_array(1.0 / np.maximum(affinity.sum(axis=1), 1e-12)) @ affinity)


def group_layouts(
    affinity: sp.csr_array, n_clusters: int, runtime: Runtime, masses: NDArray[np.int64] | None = None
) -> list[NDArray[np.int64]]:
    """Cut several layouts of the graph into many small groups each, by k-means.

    A vertex that stands for as many samples as a small group has is a group of its own.

    Returns for each layout (n_vertices,) int64 groups.
    """
    n_vertices = affinity.shape[0]
    n_samples = n_vertices if masses is None else int(masses.sum())
    n_groups = min(
        GROUPS_PER_CLUSTER * n_clusters, max(MOST_GROUPS, 2 * n_clusters), n_samples // SAMPLES_PER_GROUP
    )
    n_groups = max(n_groups, n_clusters)
    alone = np.zeros(n_vertices, bool) if masses is None else _alone(masses)
    groupings = []
    starts = {n: layout_start(affinity, n, runtime) for n in sorted(set(LAYOUT_DIMENSIONS))}

    def lay_out(number: int, n_dimensions: int) -> NDArray[np.float32]:
        return graph_layout(affinity, n_dimensions, runtime, f"layout {number}", starts[n_dimensions])

    n_layouts = len(LAYOUT_DIMENSIONS)
    with (
        progress("graph layouts", n_layouts, "layouts", runtime.verbose) as advance,
        runtime.side_by_side(min(n_layouts, torch.get_num_threads())) as run,
    ):
        for number, positions in enumerate(run(lay_out, range(n_layouts), LAYOUT_DIMENSIONS)):
            seed = runtime.numpy_seed(f"layout groups {number}")
            groups = np.arange(n_vertices) - n_vertices  # below 0: alone
            rest = np.flatnonzero(~alone)
            if len(rest):
                weights = None if masses is None else masses[rest]
                groups[rest] = kmeans_labels(
                    positions[rest], min(n_groups, len(rest)), seed, n_restarts=1, weights=weights
                )
            groupings.append(np.unique(groups, return_inverse=True)[1].astype(np.int64))
            advance(1)
    return groupings


def _alone(masses: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The heaviest vertices, as many as there may be groups."""
    heaviest = np.argsort(-masses, kind="stable")[:MOST_GROUPS]
    alone = np.zeros(len(masses), bool)
    alone[heaviest] = masses[heaviest] >= SAMPLES_PER_GROUP
    return alone


def _cut(
    groupings: list[NDArray[np.int64]],
    weights: list[NDArray[np.float64]],
    n_clusters: int,
    resolution: float,
    masses: NDArray[np.int64] | None,
) -> _Cut:
    merged = [merge_groups(each, n_clusters, resolution) for each in weights]
    labels = [each.owners[groups] for each, groups in zip(merged, groupings, strict=True)]
    agreements = np.eye(len(labels))
    for one, other in combinations(range(len(labels)), 2):
        agreements[one, other] = agreements[other, one] = agreement(labels[one], labels[other], masses)
    natural_number = float(np.mean([each.natural_number for each in merged]))
    return _Cut(resolution, labels, natural_number, agreements)


def _choose(cuts: list[_Cut], n_clusters: int, masses: NDArray[np.int64] | None) -> _Cut:
    """Pick the most stable of the cuts whose natural number is near; of equally stable ones the most even."""
    low, high = (share * n_clusters for share in NATURAL_RANGE)
    near = [number for number, cut in enumerate(cuts) if low <= cut.natural_number <= high]
    if not near:
        return min(cuts, key=lambda cut: abs(np.log(cut.natural_number / n_clusters)))
    stability = {number: _stability(cuts[max(0, number - 1) : number + 2], masses) for number in near}
    enough = max(stability.values()) - STABILITY_TOLERANCE
    return cuts[min(number for number in near if stability[number] >= enough)]


def _stability(cuts: list[_Cut], masses: NDArray[np.int64] | None) -> float:
    """Mean likeness of any two layouts at a resolution and those beside it: greedy merging errs at single ones.

    Of pairs of samples most lie in large clusters. Where two classes have become one, and splinters make up the
    number, these hardly count; so half of the likeness is of clusters of which each counts the same.
    """
    labels = [each for cut in cuts for each in cut.labels]
    pairs = list(combinations(labels, 2))
    found = [measure(*pair, masses) for measure in (shared_information, shared_clusters) for pair in pairs]
    return float(np.mean(found))


def _consensus(
    cut: _Cut, affinity: sp.csr_array, n_clusters: int, masses: NDArray[np.int64] | None
) -> NDArray[np.float32]:
    """Probability of each cluster of the most typical layout.

    Each layout votes by what share of its cluster lies in each cluster of the most typical one, so that no
    clusters have to be paired; the votes are averaged with those of the neighbours.
    """
    typical = cut.labels[int(cut.agreements.sum(axis=1).argmax())]
    chosen = np.eye(n_clusters)[typical]
    votes = np.zeros_like(chosen)
    for labels in cut.labels:
        members = np.eye(n_clusters)[labels]
        overlap = (members if masses is None else members * masses[:, None]).T @ chosen
        votes += members @ (overlap / np.maximum(overlap.sum(axis=1, keepdims=True), 1.0))
    votes /= votes.sum(axis=1, keepdims=True)
    walk = _random_walk(affinity)
    for _ in range(N_SMOOTHING):
        votes = 0.5 * votes + 0.5 * (walk @ votes)
    while len(dying := np.setdiff1d(typical, votes.argmax(axis=1))):  # a small cluster isn't to be voted away
        kept = np.isin(typical, dying)
        votes[kept] = chosen[kept]
    probabilities: NDArray[np.float32] = (votes / votes.sum(axis=1, keepdims=True)).astype(np.float32)
    return probabilities
