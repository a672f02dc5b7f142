"""Copies of a sample as one vertex of the neighbour graph that weighs as much as all of them.

Copies have all the same neighbours, at distance 0 each other. As vertices of their own they would either be all that
each of them knows, or, told apart by chance, be hubs between groups that have nothing in common.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from ruc.neighbors.copies import Copies
from ruc.neighbors.graphs import N_NEIGHBORS, directed_graph, fuzzy_graph
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.runtime import Runtime


@dataclass(frozen=True)
class WeighedGraph:
    """The neighbour graph of the different samples.

    Attributes
    ----------
    affinity
        (n_groups, n_groups) as if there were one of each.
    weighed
        The same where each weighs as much as it has copies, with edges from vertices to themselves.
    """

    affinity: sp.csr_array
    weighed: sp.csr_array


def weighed_graph(
    unit: NDArray[np.float32], copies: Copies, runtime: Runtime, neighbors: Neighbors | None = None
) -> WeighedGraph:
    """The neighbour graph of the different samples, and how it weighs with all their copies.

    Each copy has as much weight to give as any other sample. Where a sample counts one with copies among its own
    neighbours, all the copies are near it, and give to it; where it doesn't (blanks among real groups) only one gives
    to it for each of its own copies, and all keep the rest to themselves.

    Parameters
    ----------
    unit
        (n_samples, n_features) rows of unit length.
    copies
        Which of them are copies.
    neighbors
        Neighbours of all samples that were found already.
    """
    different = unit[copies.firsts]
    wanted = min(N_NEIGHBORS, len(different) - 1)
    found = _among_groups(copies, neighbors)
    if found is None or found.indices.shape[1] < wanted:
        found = nearest_neighbors(different, wanted, runtime)
    found = Neighbors(found.indices[:, :wanted], found.similarities[:, :wanted])
    affinity, directed = fuzzy_graph(found), directed_graph(found)
    near = sp.csr_array(directed.minimum(directed.T))
    masses = copies.sizes.astype(np.float32)
    between = sp.csr_array(_times(affinity - near, np.minimum, masses) + _times(near, np.maximum, masses))
    kept = np.maximum(masses * affinity.sum(axis=1) - between.sum(axis=1), 0)
    weighed = sp.csr_array(between + sp.diags_array(kept))
    weighed.sort_indices()
    return WeighedGraph(affinity, weighed)


def _times(graph: sp.csr_array, which: np.ufunc, masses: NDArray[np.float32]) -> sp.csr_array:
    """Each edge times the smaller or the larger mass of its ends."""
    edges = graph.tocoo()
    values = edges.data * which(masses[edges.row], masses[edges.col])
    return sp.csr_array((values, (edges.row, edges.col)), shape=graph.shape)


def _among_groups(copies: Copies, neighbors: Neighbors | None) -> Neighbors | None:
    """Neighbours of the groups from those of all samples; None where these name too few of the others."""
    if neighbors is None:
        return None
    found = copies.groups[neighbors.indices[copies.firsts]]
    is_other = found != np.arange(len(found))[:, None]
    n_others = found.shape[1] - 1
    named_twice = (np.diff(np.sort(found, axis=1), axis=1) == 0).any()
    if named_twice or n_others < 1 or is_other.sum(axis=1).min() < n_others:
        return None
    order = np.argsort(~is_other, axis=1, kind="stable")[:, :n_others]
    similarities = neighbors.similarities[copies.firsts]
    return Neighbors(
        np.take_along_axis(found, order, axis=1), np.take_along_axis(similarities, order, axis=1)
    )
