"""How many clusters there are, read off the neighbour graph and resamples of it.

Two things are asked. Where does the graph fall apart on its own: groups of resamples are merged along the graph while
that gains, and the number that is left is a first idea, right to a factor. And where near it do the eigenvalues of the
graph make a leap: K groups that hardly touch give K small eigenvalues. Classes of photographs seldom decide it: then
several numbers are levels at which clusters are found again, and that is what is said.
"""

import warnings
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ruc.cluster.inputs import check_clusterable, count_different, unit_features
from ruc.errors import InputError
from ruc.neighbors.communities import agreement, connections, merge_groups
from ruc.neighbors.eigenvectors import spectral_embedding
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.search import Neighbors
from ruc.progress import progress
from ruc.runtime import Runtime

MOST_SAMPLES = 5_000  # of more samples a random part is looked at
N_RESAMPLES = 4  # for the time it takes
SHARE_OF_SAMPLES = 0.8  # of each: as in Ben-Hur, Elisseeff and Guyon (2002)
MOST_GROUPS = 300  # merging costs their square
SAMPLES_PER_GROUP = 8  # in the mean; not tuned
N_EIGENVECTORS = 24  # in which the groups of a resample are found; not tuned
SAME = 1e-6  # eigenvalues that are so near 1 are 1
# Set on nine tuning sets and forty choices of their classes: half or twice costs a few of a hundred (see the log).
RESOLUTION = 0.5
LEAST_EIGENVALUE = 0.02  # of the Laplacian: a leap from less is one from nothing
NEARBY = 0.7  # of the natural logarithm, a factor of two: numbers within it are compared with; 0.5 is as good
SURE_LEAD, SURE_FOUND_AGAIN = 0.3, 0.8  # nine of nine such were within 1 of the truth (experiments/LOG.md)
MOST_LEVELS, LEVEL_LAG = 4, 0.5  # how many are kept, and how far behind the best in total one is still named
LEAST_FOUND_AGAIN = 0.005  # less is said as 0%: no more alike than by chance, so the number is no candidate


@dataclass(frozen=True)
class Level:
    """A number of clusters at which clusters are found again.

    Attributes
    ----------
    n_clusters
        The number.
    found_again
        Mean adjusted Rand index of the clusters of each two resamples.
    total
        Its score, as of `KEstimate`.
    """

    n_clusters: int
    found_again: float
    total: float


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
        For each measure one value a candidate, the higher the better: "eigengap" (leap of the eigenvalues, beyond those
        at numbers nearby), "nearness" (to the number of communities of resampled neighbour graphs), and their sum
        "total".
    levels
        The numbers that score better than both beside them, the best first: at most four, and none whose clusters
        resamples find again no more than by chance, but where that is so of each.
    confidence
        One line that says how sure it is.
    """

    n_clusters: int
    candidates: tuple[int, ...]
    scores: dict[str, tuple[float, ...]]
    levels: tuple[Level, ...]
    confidence: str


@dataclass(frozen=True)
class _Resample:
    """A random part of the samples, the eigenvalues of its graph, its small groups, and how these are connected."""

    part: NDArray[np.int64]
    eigenvalues: NDArray[np.float64]
    groups: NDArray[np.int64]
    weights: NDArray[np.float64]


def estimate_n_clusters(
    features: NDArray[np.floating], neighbors: Neighbors | None, k_min: int, k_max: int, runtime: Runtime
) -> KEstimate:
    """Estimate the number of clusters from the eigenvalues of the neighbour graph and resamples of it.

    Parameters
    ----------
    features
        (n_samples, n_features); of several embeddings side by side.
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
    if neighbors is not None:
        neighbors = replace(
            neighbors, parts=()
        )  # the constants are of the graph of all embeddings side by side
    affinity = neighbor_graph(unit, runtime, neighbors)
    candidates = np.arange(k_min, k_max + 1)
    resamples = _resample(affinity, generator, k_max, runtime)
    of_all, _ = spectral_embedding(affinity, min(k_max + 1, affinity.shape[0]), runtime)
    spectra = [of_all, *(each.eigenvalues for each in resamples)]
    eigengap = np.mean([_eigengap(values, candidates) for values in spectra], axis=0)
    nearness = -np.square(np.log(candidates) - _natural(resamples))
    total = eigengap + nearness
    levels = _levels(affinity.shape[0], resamples, candidates, total)
    scores = {"eigengap": eigengap, "nearness": nearness, "total": total}
    return KEstimate(
        levels[0].n_clusters,
        tuple(int(k) for k in candidates),
        {name: tuple(float(value) for value in values) for name, values in scores.items()},
        levels,
        _in_words(levels, candidates, total),
    )


def _resample(
    affinity: sp.csr_array, generator: np.random.Generator, k_max: int, runtime: Runtime
) -> list[_Resample]:
    """Random parts of the samples, each in many small groups of its graph's leading eigenvectors."""
    n_samples = affinity.shape[0]
    n_drawn = max(2, int(SHARE_OF_SAMPLES * n_samples))
    n_groups = max(min(MOST_GROUPS, n_drawn // SAMPLES_PER_GROUP), min(2 * k_max, n_drawn // 2))
    found = []
    with progress("number of clusters", N_RESAMPLES, "resamples", runtime.verbose) as advance:
        for number in range(N_RESAMPLES):
            part = np.sort(generator.choice(n_samples, n_drawn, replace=False))
            within = sp.csr_array(affinity[part][:, part])
            values, vectors = spectral_embedding(
                within, min(max(N_EIGENVECTORS, k_max + 1), n_drawn), runtime
            )
            n_pieces = int((values > 1.0 - SAME).sum())  # each with an eigenvector of its own, constant on it
            vectors = vectors[:, : max(N_EIGENVECTORS, n_pieces + 1)]
            rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
            seed = runtime.numpy_seed(f"number of clusters groups {number}")
            labels = _small_groups(rows.astype(np.float32), n_groups, seed)
            groups = np.unique(labels, return_inverse=True)[1].astype(np.int64)
            found.append(_Resample(part, values, groups, connections(within, groups)))
            advance(1)
    return found


def _small_groups(rows: NDArray[np.float32], n_groups: int, seed: int) -> NDArray[np.int64]:
    """k-means; of pieces whose samples are all alike to the eigenvectors fewer groups are found: so be it."""
    from sklearn.cluster import KMeans  # slow to import: not before the first progress bar
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(n_groups, n_init=1, random_state=seed).fit_predict(rows)
    return np.asarray(found, np.int64)


def _natural(resamples: list[_Resample]) -> float:
    """Logarithm of the number of communities, averaged over the resamples."""
    numbers = [merge_groups(each.weights, None, RESOLUTION).natural_number for each in resamples]
    return float(np.log(numbers).mean())


def _eigengap(eigenvalues: NDArray[np.float64], candidates: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far the eigenvalue after the K-th exceeds it, as a logarithm, beyond the mean of the numbers nearby."""
    laplacian = np.maximum(1.0 - eigenvalues, 0.0) + LEAST_EIGENVALUE
    leaps = np.zeros(len(candidates))
    inside = candidates < len(laplacian)
    leaps[inside] = np.log(laplacian[candidates[inside]] / laplacian[candidates[inside] - 1])
    distances = np.abs(np.log(candidates)[:, None] - np.log(candidates))
    nearby = (distances <= NEARBY) & (distances > 0)
    return np.asarray(leaps - nearby @ leaps / np.maximum(nearby.sum(axis=1), 1))


def _levels(
    n_samples: int, resamples: list[_Resample], candidates: NDArray[np.int64], total: NDArray[np.float64]
) -> tuple[Level, ...]:
    """The best number, and what else is better than both numbers beside it, where resamples find its clusters again."""
    padded = np.pad(total, 1, constant_values=-np.inf)
    stands_out = (total >= padded[:-2]) & (total >= padded[2:])
    order = [int(i) for i in np.argsort(-total, kind="stable") if stands_out[i]][:MOST_LEVELS]
    levels = tuple(
        Level(int(candidates[i]), _agreement(n_samples, resamples, int(candidates[i])), float(total[i]))
        for i in order
    )
    return tuple(each for each in levels if each.found_again >= LEAST_FOUND_AGAIN) or levels[:1]


def _agreement(n_samples: int, resamples: list[_Resample], n_clusters: int) -> float:
    """Mean adjusted Rand index of each two resamples, merged to as many clusters, on the samples they share."""
    labels = np.full((len(resamples), n_samples), -1)
    for row, each in enumerate(resamples):
        n_groups = len(each.weights)
        merged = merge_groups(each.weights, min(n_clusters, n_groups), RESOLUTION)
        labels[row, each.part] = merged.owners[each.groups]
    values = []
    for one, other in combinations(labels, 2):
        shared = (one >= 0) & (other >= 0)
        values.append(agreement(one[shared], other[shared]))
    return max(float(np.mean(values)), 0.0)


def _in_words(levels: tuple[Level, ...], candidates: NDArray[np.int64], total: NDArray[np.float64]) -> str:
    best = levels[0]
    if best.found_again < LEAST_FOUND_AGAIN:
        return f"{best.n_clusters} clusters, a guess: resamples agree no more than by chance"
    others = total[np.abs(candidates - best.n_clusters) > 1]
    lead = float(best.total - others.max()) if len(others) else 0.0
    agree = f"resamples agree to {100 * best.found_again:.0f}%"
    if lead > SURE_LEAD and best.found_again > SURE_FOUND_AGAIN:
        return f"{best.n_clusters} clusters, quite sure to within one: {agree}"
    near = [each for each in levels[1:] if each.total > best.total - LEVEL_LAG]
    if not near:
        return f"{best.n_clusters} clusters, a guess: {agree}"
    rest = ", ".join(f"{each.n_clusters} ({100 * each.found_again:.0f}%)" for each in near)
    return f"{best.n_clusters} clusters, a guess: {agree}; also worth a look: {rest}"
