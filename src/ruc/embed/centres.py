"""k-means for more rows than memory holds twice: centres from a part of the rows, in blocked matrix products.

All rows are scaled to unit length where they are read.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.cluster import kmeans_plusplus
from torch import Tensor

from ruc.runtime import Runtime

__all__ = ["find_centres", "nearest_centres"]

ROWS_PER_CENTRE = 256  # as many rows as faiss takes: more move the centres no more
START_ROWS_PER_CENTRE = 20
N_STEPS = 20
SETTLED = 0.002  # of the rows change their centre in the last step
BLOCK_VALUES = 16 * 1024 * 1024


def find_centres(rows: NDArray[np.floating], n_centres: int, runtime: Runtime, purpose: str) -> Tensor:
    """Centres of k-means on at most 256 rows a centre, from a k-means++ start.

    Parameters
    ----------
    rows
        (n_samples, n_features), in memory or mapped.
    n_centres
        At most n_samples. A centre that loses all its rows starts anew at a row far from its own.
    runtime
        The device, and the seed.
    purpose
        Names the stream of random numbers.

    Returns
    -------
    Tensor
        (n_centres, n_features) float32.
    """
    generator = np.random.default_rng(runtime.numpy_seed(purpose))
    drawn = _draw(len(rows), ROWS_PER_CENTRE * n_centres, generator)
    part = _unit(rows[drawn]).numpy()
    start = part[_draw(len(part), START_ROWS_PER_CENTRE * n_centres, generator)]
    centres, _ = kmeans_plusplus(start, n_centres, random_state=int(generator.integers(2**31)))
    before = np.full(len(part), -1)
    for _ in range(N_STEPS):
        owners, distances = nearest_centres(part, torch.from_numpy(centres).to(runtime.device))
        if (owners != before).mean() <= SETTLED:
            break
        centres, before = _means(part, owners, distances, n_centres), owners
    return torch.from_numpy(centres).to(runtime.device)


def nearest_centres(
    rows: NDArray[np.floating], centres: Tensor
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest centre of each row, and the squared distance to it."""
    owners = np.empty(len(rows), np.int64)
    distances = np.empty(len(rows), np.float32)
    halves = centres.square().sum(dim=1) / 2
    step = max(1, BLOCK_VALUES // len(centres))
    for start in range(0, len(rows), step):
        block = _unit(rows[start : start + step]).to(centres.device)
        closeness, owner = torch.addmm(halves, block, centres.T, beta=-1).max(dim=1)
        owners[start : start + step] = owner.cpu().numpy()
        distances[start : start + step] = (block.square().sum(dim=1) - 2 * closeness).cpu().numpy()
    return owners, distances


def _unit(rows: NDArray[np.floating]) -> Tensor:
    return torch.nn.functional.normalize(torch.from_numpy(np.array(rows, np.float32)), dim=1)


def _draw(n_rows: int, n_wanted: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """At most `n_wanted` rows, ascending, so that a mapped file is read forwards."""
    if n_wanted >= n_rows:
        return np.arange(n_rows)
    return np.sort(generator.choice(n_rows, n_wanted, replace=False))


def _means(
    rows: NDArray[np.float32], owners: NDArray[np.int64], distances: NDArray[np.float32], n_centres: int
) -> NDArray[np.float32]:
    sizes = np.bincount(owners, minlength=n_centres)
    membership = csr_array(
        (np.ones(len(rows), np.float32), (owners, np.arange(len(rows)))), shape=(n_centres, len(rows))
    )
    sums: NDArray[np.float32] = membership @ rows
    centres: NDArray[np.float32] = np.asarray(sums / np.maximum(sizes, 1)[:, None], np.float32)
    empty = np.flatnonzero(sizes == 0)
    centres[empty] = rows[np.argsort(-distances, kind="stable")[: len(empty)]]
    return centres
