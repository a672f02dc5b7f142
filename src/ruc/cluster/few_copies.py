"""Of very many copies of a sample only some are clustered, and all others join them.

All have the same neighbours: in the graph these would be hubs, and what tells the other samples apart would hardly
count.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ruc.labels.clustering import Clustering
from ruc.neighbors.copies import find_copies

MOST_COPIES = 15  # as many as a sample has neighbours in the graph


@dataclass(frozen=True)
class FewCopies:
    """Samples without the copies that are too many.

    Attributes
    ----------
    kept
        The samples to cluster, ascending.
    joined
        (n_samples,) the number among these of the sample whose cluster each joins.
    """

    kept: NDArray[np.int64]
    joined: NDArray[np.int64]

    def of_all(self, found: Clustering) -> Clustering:
        """The clustering of all samples from that of those kept."""
        probabilities = None if found.probabilities is None else found.probabilities[self.joined]
        return replace(found, labels=found.labels[self.joined], probabilities=probabilities)


def few_copies(features: NDArray[np.floating]) -> FewCopies | None:
    """Which samples to cluster, or None where none has too many copies."""
    copies = find_copies(features)
    if copies is None or copies.sizes.max() <= MOST_COPIES:
        return None
    kept = np.flatnonzero(copies.places < MOST_COPIES)
    stands_for = copies.firsts[copies.groups]
    stands_for[kept] = kept
    return FewCopies(kept, np.searchsorted(kept, stands_for))
