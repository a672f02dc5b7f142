"""Clusters that nobody is in: said by name, never silent."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def empty_clusters(
    before: NDArray[np.int64], after: NDArray[np.int64], names: Sequence[object]
) -> tuple[str, ...]:
    """A line for each cluster that had samples before and has none after, and one for all that never had any.

    Each says what to do; the former also where the samples went.

    `before`, `after`: (n_samples,) clusters; -1 is none.
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
    never = np.setdiff1d(np.arange(len(names)), np.concatenate([before, after]))
    if len(never):
        named = ", ".join(str(names[cluster]) for cluster in never)
        lines.append(
            f"no sample is in cluster {named}, before refining or after: ask for fewer, or give samples of each"
        )
    return tuple(lines)
