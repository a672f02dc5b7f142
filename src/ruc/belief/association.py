"""Whether given labels have to do with the samples at all, by a permutation test on the neighbours.

If they have, neighbours share a label more often than any two samples do. How often that is so by chance is seen on
the same labels dealt out anew: labels that lie on other samples than their own (a table in another order) look just
like these. No truth is needed, and no model of what the errors are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime

SCALES = (
    3,
    10,
    30,
    100,
)  # how many neighbours are looked at; at most half a cluster, as everywhere that they vote
LEAST_TESTED = 12  # labels; of fewer there are too few arrangements for a small chance
N_DEALT = 200  # times the labels are dealt out anew
MOST_TESTED = 5_000  # samples; more don't change the answer
LARGEST_CHANCE = 0.01  # so often labels without meaning would pass for some with


@dataclass(frozen=True)
class Association:
    """How labels and neighbours go together.

    Attributes
    ----------
    agreement
        Share of the pairs of neighbours that have the same label, among as many neighbours as show most.
    by_chance
        The mean of that share where the labels are dealt out anew.
    p_value
        How often it's then as far above the mean, at whatever number of neighbours: (1 + as many) / (1 + 200), as in
        Phipson and Smyth (2010).
    """

    agreement: float
    by_chance: float
    p_value: float

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the labels have to do with the samples."""
        return self.p_value <= LARGEST_CHANCE

    def warning(self) -> str:
        """What to tell whoever gave such labels."""
        return (
            f"these labels have nothing to do with these samples, as far as can be told: neighbours share a label in "
            f"{self.agreement:.0%} of the pairs, and in {self.by_chance:.0%} where the labels are dealt out by chance; "
            "is the table in another order? If it isn't, these features don't show what the labels mean. None is "
            "trusted, and none changed"
        )


def associate(base: Clustering, neighbors: Neighbors, runtime: Runtime) -> Association | None:
    """Test whether neighbours share a label more often than by chance; None where there are too few labels to tell.

    Parameters
    ----------
    base
        The labels; -1 is left out.
    neighbors
        Nearest neighbours of every sample, found without the labels.
    """
    random = np.random.default_rng(runtime.numpy_seed("association"))
    known = np.flatnonzero(base.labels != UNKNOWN)
    if len(known) < LEAST_TESTED:
        return None
    asked = np.sort(random.permutation(known)[:MOST_TESTED])
    most = min(max(1, len(base.labels) // (2 * base.n_clusters)), neighbors.indices.shape[1])
    scales = sorted({min(scale, most) for scale in SCALES})
    nearest = neighbors.indices[asked, : scales[-1]]
    counts = base.labels[nearest] != UNKNOWN
    n_pairs = np.maximum(counts.sum(axis=0).cumsum()[np.subtract(scales, 1)], 1)

    def agreement(labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """At each scale."""
        same = counts & (labels[nearest] == labels[asked, None])
        return np.asarray(same.sum(axis=0).cumsum()[np.subtract(scales, 1)] / n_pairs)

    observed = agreement(base.labels)
    dealt = base.labels.copy()
    by_chance = np.empty((N_DEALT, len(scales)))
    for number in range(N_DEALT):
        dealt[known] = random.permutation(dealt[known])
        by_chance[number] = agreement(dealt)
    mean, spread = by_chance.mean(axis=0), np.maximum(by_chance.std(axis=0), np.finfo(float).tiny)
    excess = (observed - mean) / spread
    most_by_chance = ((by_chance - mean) / spread).max(axis=1)
    shown = int(excess.argmax())
    p_value = (1 + int((most_by_chance >= excess[shown]).sum())) / (1 + N_DEALT)
    return Association(float(observed[shown]), float(mean[shown]), p_value)
