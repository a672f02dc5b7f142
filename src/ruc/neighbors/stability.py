"""How far the groups of some features are found again when they are looked for from another start: without labels.

Whether features show groups that are really there can't be told from how clear the groups of one clustering look: those
of an embedding that sees little, brightness for instance, look clear as well. But clusterings of groups that are there
agree with each other whatever they start from (Ben-Hur, Elisseeff and Guyon 2002), and that can be compared between
embeddings of the same images.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ruc.neighbors.communities import connections, merge_groups, shared_information
from ruc.neighbors.graphs import neighbor_graph
from ruc.runtime import Runtime

N_STARTS = 5  # ten pairs to compare (experiments/LOG.md, "a backbone for photographs")
PER_GROUP = 10  # samples of each of the small groups that are merged


def stability(features: NDArray[np.float32], runtime: Runtime) -> float:
    """Mean normalised mutual information of communities of the neighbour graph, each found from another start; 0 … 1.

    A start is a k-means with ten samples a group; its groups are merged along the graph at resolution 1, down to as
    many as modularity says.

    `features`: (n_samples, n_features) unit-norm rows; at least 20 samples.
    """
    from sklearn.cluster import KMeans  # slow to import: not before the first progress bar

    graph = neighbor_graph(features, runtime)
    found = []
    for start in range(N_STARTS):
        seed = runtime.numpy_seed(f"stability {start}")
        fitted = KMeans(max(2, len(features) // PER_GROUP), n_init=1, random_state=seed).fit(features)
        groups = np.unique(fitted.labels_, return_inverse=True)[1]
        found.append(merge_groups(connections(graph, groups), None, 1.0).owners[groups])
    return float(np.mean([shared_information(one, other) for one, other in combinations(found, 2)]))
