"""What the report reads off the features: what is typical, who is near, what looks like one and what like two."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ruc.edits.nearest import N_NEAREST, condensed, nearest_images
from ruc.edits.suggest import Suggestions, suggest
from ruc.levels.tree import Tree, grow_tree
from ruc.mapped import let_go, row_blocks
from ruc.neighbors.search import Neighbors
from ruc.report.data import ReportData
from ruc.report.prototypes import typical_ranks

MOST_IN_TREE: Final = 10_000  # clusters, so that each of their leaves has a number of 16 bits
ROWS: Final = 65_536  # of a table of samples and clusters, at a time


@dataclass(frozen=True)
class Found:
    """What is read off the features of n samples, for the page to show.

    Attributes
    ----------
    typical, nearest_centre
        (n,) from `typicality`.
    ranks
        (n,) from `typical_ranks`.
    neighbors
        (n, m) the nearest images of each, nearest first; m is 0 where there are no features.
    suggestions
        What looks like one, and what like two.
    tree
        Of the clusters, upwards and downwards; None where there are no features, or more leaves than can be sent.
    """

    typical: NDArray[np.float32]
    nearest_centre: NDArray[np.int64]
    ranks: NDArray[np.float32]
    neighbors: NDArray[np.int64]
    suggestions: Suggestions
    tree: Tree | None = None


def find(data: ReportData, seed: int = 0, near: Neighbors | None = None) -> Found:
    """Read off the features what the page shows of them; without features little is known.

    `near`: at least 12 neighbours of each sample (all others, of fewer samples), where they were found already.
    """
    typical, nearest_centre = typicality(data)
    ranks = typical_ranks(data.cluster, data.features, seed)
    if data.features is None:
        neighbors = np.zeros((len(data.cluster), 0), np.int64)
        return Found(typical, nearest_centre, 1 - typical, neighbors, Suggestions())
    features = condensed(data.features)
    neighbors = nearest_images(features, seed) if near is None else near.indices[:, :N_NEAREST]
    suggestions = suggest(data.cluster, features, neighbors, data.junk, seed)
    tree = None
    if neighbors.shape[1] and len(np.unique(data.cluster)) <= MOST_IN_TREE and data.cluster.min() >= 0:
        tree = grow_tree(data.cluster, features, neighbors, data.junk, seed)
    return Found(typical, nearest_centre, ranks, neighbors, suggestions, tree)


def typicality(data: ReportData) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """How close each image is to the centre of its cluster, and whose centre is nearest.

    The centre is the mean feature of the cluster's trusted images (of all where none is trusted).

    Returns (n,) cosine to the own centre, in [-1, 1] (the confidence where there are no features), and (n,) the cluster
    of the nearest centre (the own one where there are no features).
    """
    cluster = np.asarray(data.cluster, dtype=np.int64)
    if data.features is None:
        return np.asarray(data.confidence, dtype=np.float32), cluster
    features = np.asarray(data.features, dtype=np.float32)
    centres = np.zeros((data.n_clusters, features.shape[1]), dtype=np.float32)
    is_empty = np.ones(data.n_clusters, dtype=bool)
    for one in np.unique(cluster[cluster >= 0]):
        members = cluster == one
        trusted = members & data.is_clean
        centre = features[trusted if trusted.any() else members].mean(axis=0)
        centres[one] = centre / max(float(np.linalg.norm(centre)), 1e-12)
        is_empty[one] = False
        let_go(features)
    own = np.empty(len(cluster), np.float32)
    nearest = np.empty(len(cluster), np.int64)
    for part in row_blocks(features, ROWS):
        similarities = features[part] @ centres.T
        similarities[:, is_empty] = -np.inf
        own[part] = np.where(cluster[part] >= 0, similarities[np.arange(len(similarities)), cluster[part]], 0)
        nearest[part] = similarities.argmax(axis=1)
    return np.clip(own, -1, 1), nearest
