"""Which rows to pick: representative, diverse, or uncertain ones."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
MOST_COMPARED = 4000  # rows of a cluster whose similarities are held at once, 64 MB


def representative(features: NDArray[np.floating], n: int, seed: int) -> Rows:
    """Rows that cover the others best: greedy facility location, best first.

    Each row counts as covered by its cosine similarity to the most similar picked one; each pick adds most to the
    sum, which is at least 63% of the best possible (Nemhauser et al. 1978). Of more than 4,000 rows as many are drawn.

    `features`: (n_rows, n_features) unit rows. `n`: how many, at most n_rows.

    Returns (n,) rows, the first stands for most.
    """
    rows = np.arange(len(features))
    if len(rows) > MOST_COMPARED:
        rows = np.random.default_rng(seed).choice(rows, max(MOST_COMPARED, n), replace=False)
        rows.sort()
    similarity = (features[rows] @ features[rows].T).astype(np.float32)
    covered = np.full(len(rows), -1.0, np.float32)
    picked: list[int] = []
    for _ in range(min(n, len(rows))):
        gain = np.maximum(similarity - covered[:, None], 0.0).sum(axis=0)
        gain[picked] = -1.0
        best = int(gain.argmax())
        picked.append(best)
        np.maximum(covered, similarity[:, best], out=covered)
    return rows[picked].astype(np.int64)


def diverse(features: NDArray[np.floating], n: int) -> tuple[Rows, float]:
    """Rows as far apart as can be: k-centre greedy, from the row nearest to the mean (Gonzalez 1985).

    Returns
    -------
    rows
        (n,) in the order picked: any first part of them is diverse too.
    radius
        The greatest cosine distance of any row to the nearest picked one, at most twice the least possible for
        Euclidean distances.
    """
    nearest = np.full(len(features), np.inf, np.float32)
    row = int((features @ features.mean(axis=0)).argmax())
    picked: list[int] = []
    for _ in range(min(n, len(features))):
        picked.append(row)
        np.minimum(nearest, 1.0 - features @ features[row], out=nearest)
        nearest[picked] = -1.0
        row = int(nearest.argmax())
    return np.asarray(picked, np.int64), max(0.0, float(nearest.max(initial=0.0)))


def uncertain(doubt: NDArray[np.floating], n: int) -> Rows:
    """The rows most in doubt, most doubtful first; equal ones in their order."""
    return np.argsort(-doubt, kind="stable")[:n].astype(np.int64)


def shares(sizes: NDArray[np.integer], n: int, equal: bool) -> Rows:
    """How many of n to take from each cluster; none gives more than it has.

    Parameters
    ----------
    sizes
        (n_clusters,) rows of each.
    n
        To take in all.
    equal
        The same from each, or in proportion to the sizes; either way one from each while there are enough to go
        round, and what is left over goes to the largest remainders.
    """
    n = min(n, int(sizes.sum()))
    taken = np.zeros(len(sizes), np.int64)
    weight = np.where(sizes > 0, 1.0, 0.0) if equal else sizes.astype(float)
    if n >= (sizes > 0).sum():
        taken[sizes > 0] = 1
    while taken.sum() < n:
        # Highest average (Webster): the next one goes where it is missed most.
        owed = np.where(taken < sizes, weight / (2 * taken + 1), -1.0)
        taken[owed.argmax()] += 1
    return taken
