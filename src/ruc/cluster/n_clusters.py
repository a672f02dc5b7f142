"""How many clusters there are, read off the features."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ruc.cluster.inputs import check_clusterable, count_different, unit_features
from ruc.cluster.kmeans import kmeans_labels
from ruc.errors import InputError
from ruc.neighbors.communities import Merged, agreement, connections, merge_groups
from ruc.neighbors.eigenvectors import spectral_embedding
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.layout import graph_layout
from ruc.neighbors.search import Neighbors
from ruc.progress import progress
from ruc.runtime import Runtime

MOST_SAMPLES = 5_000  # of more samples a random part is looked at
N_RESAMPLES = 4  # for the time it takes
SHARE_OF_SAMPLES = 0.8  # of each: as in Ben-Hur, Elisseeff and Guyon (2002)
MOST_GROUPS = 300  # merging costs their square
SAMPLES_PER_GROUP = 8  # in the mean; no experiment behind it
RESOLUTIONS = np.geomspace(0.08, 4.0, 32)
TYPICAL_RESOLUTION, SPREAD_OF_RESOLUTIONS = 0.5, 0.8  # of the natural logarithm
SLACK = 0.5  # how much a candidate's neighbours K-1 and K+1 count for it


@dataclass(frozen=True)
class KEstimate:
    """An estimated number of clusters, and what it was read off.

    Attributes
    ----------
    n_clusters
        The estimate.
    candidates
        The numbers that were compared, ascending.
    scores
        For each measure one value a candidate, the higher the better: "persistence" (over how many resolutions the
        communities of resampled neighbour graphs are as many), "stability" (how well the resamples then agree),
        "eigengap" (of the neighbour graph), and "total".
    confidence
        One line that says how sure it is.
    """

    n_clusters: int
    candidates: tuple[int, ...]
    scores: dict[str, tuple[float, ...]]
    confidence: str


def estimate_n_clusters(
    features: NDArray[np.floating], neighbors: Neighbors | None, k_min: int, k_max: int, runtime: Runtime
) -> KEstimate:
    """Estimate the number of clusters from the neighbour graph and resamples of it.

    Small groups of a layout are merged along the graph as long as modularity gains, at many resolutions; a number of
    clusters that comes out over a wide range of resolutions, and in every resample alike, is a property of the data.

    Parameters
    ----------
    features
        (n_samples, n_features).
    neighbors
        Neighbours that were found already, at least 15 of each sample; found here otherwise.
    k_min, k_max
        The range that is looked at.
    runtime
        The seed, and where to compute.

    Raises
    ------
    InputError
        An empty range, or fewer different samples than clusters.
    """
    if not 2 <= k_min <= k_max:
        raise InputError(f"number of clusters from {k_min} to {k_max}; expected 2 <= smallest <= largest")
    check_clusterable(features, k_min)
    generator = np.random.default_rng(runtime.numpy_seed("number of clusters"))
    if len(features) > MOST_SAMPLES:
        features = features[np.sort(generator.choice(len(features), MOST_SAMPLES, replace=False))]
        neighbors = None
    unit = unit_features(features, min(k_min, len(features)))
    k_max = min(k_max, max(k_min, len(unit) // 3))
    k_max = count_different(unit, k_max)  # copies are no clusters of their own
    affinity = neighbor_graph(unit, runtime, neighbors)
    candidates = np.arange(k_min, k_max + 1)
    samples, groupings = _resample(affinity, generator, k_max, runtime)
    persistence, stability = _persistence(affinity, samples, groupings, candidates)
    eigengap = _eigengap(affinity, candidates, runtime)
    total = persistence * (0.5 + 0.5 * stability) + 0.1 * eigengap / max(float(eigengap.max()), 1e-12)
    best = int(total.argmax())
    scores = {"persistence": persistence, "stability": stability, "eigengap": eigengap, "total": total}
    return KEstimate(
        int(candidates[best]),
        tuple(int(k) for k in candidates),
        {name: tuple(float(value) for value in values) for name, values in scores.items()},
        _in_words(candidates, stability, total),
    )


def _resample(
    affinity: sp.csr_array, generator: np.random.Generator, k_max: int, runtime: Runtime
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Random parts of the samples, and many small groups of each part's layout."""
    n_samples = affinity.shape[0]
    samples, groupings = [], []
    with progress("number of clusters", N_RESAMPLES, "resamples", runtime.verbose) as advance:
        for number in range(N_RESAMPLES):
            part = np.sort(
                generator.choice(n_samples, max(2, int(SHARE_OF_SAMPLES * n_samples)), replace=False)
            )
            positions = graph_layout(affinity[part][:, part], 4, runtime, f"number of clusters {number}")
            n_groups = max(min(MOST_GROUPS, len(part) // SAMPLES_PER_GROUP), min(2 * k_max, len(part) // 2))
            seed = runtime.numpy_seed(f"number of clusters groups {number}")
            samples.append(part)
            groupings.append(kmeans_labels(positions, n_groups, seed, n_restarts=1))
            advance(1)
    return samples, groupings


def _persistence(
    affinity: sp.csr_array,
    samples: list[NDArray[np.int64]],
    groupings: list[NDArray[np.int64]],
    candidates: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight of the resolutions that end with each number of clusters, and how well the resamples agree there."""
    weights = [
        connections(affinity[part][:, part], groups) for part, groups in zip(samples, groupings, strict=True)
    ]
    prior = np.exp(-0.5 * (np.log(RESOLUTIONS / TYPICAL_RESOLUTION) / SPREAD_OF_RESOLUTIONS) ** 2)
    prior /= prior.sum()
    exact = np.zeros(len(candidates))
    agreed = np.zeros(len(candidates))
    for resolution, importance in zip(RESOLUTIONS, prior, strict=True):
        merged = [merge_groups(each, None, float(resolution)) for each in weights]
        alike = _agreement(affinity.shape[0], samples, groupings, merged)
        for each in merged:
            at = np.flatnonzero(candidates == each.natural_number)
            exact[at] += importance / len(merged)
            agreed[at] += importance / len(merged) * alike
    stability = agreed / np.maximum(exact, 1e-12)
    padded = np.pad(exact, 1)
    return padded[1:-1] + SLACK * (padded[:-2] + padded[2:]), stability


def _agreement(
    n_samples: int, samples: list[NDArray[np.int64]], groupings: list[NDArray[np.int64]], merged: list[Merged]
) -> float:
    """Mean adjusted Rand index of each two resamples on the samples they share."""
    labels = np.full((len(samples), n_samples), -1)
    for row, (part, groups, each) in enumerate(zip(samples, groupings, merged, strict=True)):
        labels[row, part] = each.owners[groups]
    values = []
    for one in range(len(samples)):
        for other in range(one):
            shared = (labels[one] >= 0) & (labels[other] >= 0)
            values.append(agreement(labels[one, shared], labels[other, shared]))
    return max(float(np.mean(values)), 0.0)


def _eigengap(affinity: sp.csr_array, candidates: NDArray[np.int64], runtime: Runtime) -> NDArray[np.float64]:
    """Gap after the K-th eigenvalue of the graph's Laplacian, relative to the eigenvalue that follows it."""
    n_values = min(int(candidates[-1]) + 1, affinity.shape[0])
    values, _ = spectral_embedding(affinity, n_values, runtime)
    laplacian = np.maximum(1.0 - values, 0.0)
    gaps = np.zeros(len(candidates))
    for row, k in enumerate(candidates):
        if k < n_values:
            gaps[row] = (laplacian[k] - laplacian[k - 1]) / max(float(laplacian[k]), 1e-6)
    return gaps


def _in_words(
    candidates: NDArray[np.int64], stability: NDArray[np.float64], total: NDArray[np.float64]
) -> str:
    order = np.argsort(-total, kind="stable")
    best = int(order[0])
    rivals = [int(i) for i in order[1:] if abs(int(candidates[i]) - int(candidates[best])) > 1]
    lead = float(total[best] / max(float(total[rivals[0]]), 1e-12)) if rivals else np.inf
    agree = f"resamples agree to {100 * stability[best]:.0f}%"
    if lead > 2.0 and stability[best] > 0.8:
        return f"{candidates[best]} clusters, quite sure: {agree}"
    if not rivals:
        return f"{candidates[best]} clusters, a guess: {agree}"
    rival = int(candidates[rivals[0]])
    if lead > 1.3 and stability[best] > 0.6:
        return f"{candidates[best]} clusters, fairly sure: {agree}; {rival} comes next"
    return f"{candidates[best]} clusters, a guess: {agree}, and {rival} is nearly as good; look at both"
