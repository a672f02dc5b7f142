"""k-means for more rows than memory holds twice: centres from a part of the rows, in blocked matrix products.

All rows are scaled to unit length where they are read.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from ruc.mapped import row_blocks, rows_at
from ruc.runtime import Runtime

START_ROWS_PER_CENTRE = 10  # that a start is made from; it needn't be the best
FEWEST_ROWS = 20_000  # fewer aren't worth a part
CHEAP = 100_000_000  # rows times centres of all starts
SETTLED = 0.0005  # of the rows change their centre in the last step
N_STEPS_ON_ALL = 10  # at the most; experiments/LOG.md, "1,280,000 × 768 from end to end"
CHEAP_ON_ALL = 6_400_000_000  # rows times centres of all those steps
BLOCK_ROWS = 65_536  # looked at together
SMALLEST_NORM = 1e-12  # of a row of zeros, which stays one
BLOCK_VALUES = 4 * 1024 * 1024  # larger pieces of memory are given back to the system each time


def find_centres(
    rows: NDArray[np.floating],
    n_centres: int,
    runtime: Runtime,
    purpose: str,
    rows_per_centre: int,
    most_starts: int,
    n_steps: int,
) -> Tensor:
    """Centres of k-means on a part of the rows; the best of several k-means++ starts, or of as many as are cheap.

    Returns (n_centres, n_features) float32.

    Parameters
    ----------
    rows
        (n_samples, n_features), in memory or mapped.
    n_centres
        At most n_samples. A centre that loses all its rows starts anew at a row far from its own.
    purpose
        Names the stream of random numbers.
    rows_per_centre
        How large the part is, but at least 20,000 rows.
    most_starts
        How many starts there are at most.
    n_steps
        How many steps follow each at most.
    """
    generator = np.random.default_rng(runtime.numpy_seed(purpose))
    drawn = _draw(len(rows), max(FEWEST_ROWS, rows_per_centre * n_centres), generator)
    part = _scaled(torch.from_numpy(rows_at(rows, drawn, BLOCK_ROWS).astype(np.float32, copy=False)))
    n_starts = min(most_starts, max(1, CHEAP // (len(part) * n_centres)))
    found = [_settle(part, n_centres, n_steps, generator, runtime) for _ in range(n_starts)]
    return min(found, key=lambda each: each[1])[0]


def settle_on_all(rows: NDArray[np.floating], centres: Tensor) -> Tensor:
    """Go on from centres of a part of the rows by steps of k-means over all of them, as many as are cheap.

    Returns (n_centres, n_features) float32.

    Parameters
    ----------
    rows
        (n_samples, n_features), in memory or mapped.
    centres
        (n_centres, n_features). One that has no rows stays where it is.
    """
    n_steps = min(N_STEPS_ON_ALL, max(1, CHEAP_ON_ALL // (len(rows) * len(centres))))
    before = np.full(len(rows), -1)
    for _ in range(n_steps):
        owners, _ = nearest_centres(rows, centres)
        if (owners != before).mean() <= SETTLED:
            break
        sums, step = np.zeros(centres.shape, np.float64), max(1, BLOCK_VALUES // rows.shape[1])
        for part in row_blocks(rows, step):
            sums += _sums(_unit(rows[part]).numpy(), owners[part], len(centres))
        sizes = np.bincount(owners, minlength=len(centres))[:, None]
        means = np.where(sizes > 0, sums / np.maximum(sizes, 1), centres.cpu().numpy())
        centres, before = torch.from_numpy(means.astype(np.float32)).to(centres.device), owners
    return centres


def _settle(
    rows: Tensor, n_centres: int, n_steps: int, generator: np.random.Generator, runtime: Runtime
) -> tuple[Tensor, float]:
    """Centres of unit-length rows from one start, and the sum of the squared distances to them a step before."""
    from sklearn.cluster import kmeans_plusplus  # slow to import: not before the first progress bar

    given = rows.numpy()
    start = given[_draw(len(rows), max(FEWEST_ROWS // 10, START_ROWS_PER_CENTRE * n_centres), generator)]
    # In float64, since of float32 scikit-learn would make that anew for each centre.
    first, _ = kmeans_plusplus(
        start.astype(np.float64), n_centres, random_state=int(generator.integers(2**31))
    )
    centres = first.astype(np.float32)
    before = np.full(len(rows), -1)
    inertia = np.inf
    for _ in range(n_steps):
        owners, distances = _nearest(rows, torch.from_numpy(centres).to(runtime.device))
        inertia = float(distances.sum(dtype=np.float64))
        if (owners != before).mean() <= SETTLED:
            break
        centres, before = _means(given, owners, distances, n_centres), owners
    return torch.from_numpy(centres).to(runtime.device), inertia


def nearest_centres(
    rows: NDArray[np.floating], centres: Tensor
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest centre of each row, and the squared distance to it."""
    step = max(1, BLOCK_VALUES // rows.shape[1])
    parts = [_nearest(_unit(rows[part]), centres) for part in row_blocks(rows, step)]
    owners, distances = zip(*parts, strict=True)
    return np.concatenate(owners), np.concatenate(distances)


def _nearest(rows: Tensor, centres: Tensor) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """As `nearest_centres`, for rows of unit length (of zeros the distance is too large by 1)."""
    owners = np.empty(len(rows), np.int64)
    distances = np.empty(len(rows), np.float32)
    halves = centres.square().sum(dim=1) / 2
    step = max(1, BLOCK_VALUES // len(centres))
    for start in range(0, len(rows), step):
        block = rows[start : start + step].to(centres.device)
        closeness, owner = torch.addmm(halves, block, centres.T, beta=-1).max(dim=1)
        owners[start : start + step] = owner.cpu().numpy()
        distances[start : start + step] = (1 - 2 * closeness).cpu().numpy()
    return owners, distances


def _unit(rows: NDArray[np.floating]) -> Tensor:
    return _scaled(torch.from_numpy(np.array(rows, np.float32)))


def _scaled(rows: Tensor) -> Tensor:
    """The same rows, of unit length now."""
    return rows.div_(rows.norm(dim=1, keepdim=True).clamp_min_(SMALLEST_NORM))


def _draw(n_rows: int, n_wanted: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """At most `n_wanted` rows, ascending, so that a mapped file is read forwards."""
    if n_wanted >= n_rows:
        return np.arange(n_rows)
    return np.sort(generator.choice(n_rows, n_wanted, replace=False))


def _means(
    rows: NDArray[np.float32], owners: NDArray[np.int64], distances: NDArray[np.float32], n_centres: int
) -> NDArray[np.float32]:
    sizes = np.bincount(owners, minlength=n_centres)
    sums = _sums(rows, owners, n_centres)
    centres: NDArray[np.float32] = np.asarray(sums / np.maximum(sizes, 1)[:, None], np.float32)
    empty = np.flatnonzero(sizes == 0)
    centres[empty] = rows[np.argsort(-distances, kind="stable")[: len(empty)]]
    return centres


def _sums(rows: NDArray[np.float32], owners: NDArray[np.int64], n_centres: int) -> NDArray[np.float32]:
    """(n_centres, n_features) the sum of each centre's rows."""
    membership = csr_array(
        (np.ones(len(rows), np.float32), (owners, np.arange(len(rows)))), shape=(n_centres, len(rows))
    )
    sums: NDArray[np.float32] = membership @ rows
    return sums
