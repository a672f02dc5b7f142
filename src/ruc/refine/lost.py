"""Clusters that the base found and that nobody is in any more: said by name, never silent."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["lost_clusters"]


def lost_clusters(
    before: NDArray[np.int64], after: NDArray[np.int64], names: Sequence[object]
) -> tuple[str, ...]:
    """One line for each cluster that had samples before and has none after: where they went, and what to do.

    Parameters
    ----------
    before, after
        (n_samples,) clusters; -1 is none.
    names
        Of the clusters.
    """
    lines = []
    for cluster in np.setdiff1d(before[before >= 0], after):
        went_to = np.bincount(after[before == cluster], minlength=len(names))
        largest = int(went_to.argmax())
        lines.append(
            f"cluster {names[cluster]} had {went_to.sum()} of {len(before)} samples and has none now: "
            f"{went_to[largest]} went to {names[largest]}; if it is a cluster of its own, `ruc split` that one, or "
            "give more samples of it"
        )
    return tuple(lines)
