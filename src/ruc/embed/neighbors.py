"""The nearest neighbours of every sample, exactly, in flat memory."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.errors import InputError
from ruc.runtime import Runtime

__all__ = ["Neighbors", "check_features", "nearest_neighbors"]

BLOCK_VALUES = (
    16 * 1024 * 1024
)  # similarities held at once: 64 MiB of float32, whatever the number of samples


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbours of n samples, nearest first, the sample itself left out.

    Attributes
    ----------
    indices
        (n_samples, n_neighbors) int64.
    similarities
        (n_samples, n_neighbors) float32 cosine similarities, non-increasing along a row.
    """

    indices: NDArray[np.int64]
    similarities: NDArray[np.float32]


def nearest_neighbors(features: NDArray[np.floating], n_neighbors: int, runtime: Runtime) -> Neighbors:
    """Find the `n_neighbors` most cosine-similar other samples of each sample, by exhaustive search.

    One blocked float32 matrix product; of equally similar samples the one with the lower index comes first,
    so that the result doesn't depend on the device's sorting.

    Parameters
    ----------
    features
        (n_samples, n_features); rows are scaled to unit length here.
    n_neighbors
        How many, between 1 and n_samples - 1.
    runtime
        Where to compute.

    Raises
    ------
    InputError
        The features aren't a finite matrix, or there are fewer samples than asked neighbours.
    """
    check_features(features)
    n_samples = len(features)
    if not 1 <= n_neighbors < n_samples:
        raise InputError(
            f"n_neighbors is {n_neighbors} for {n_samples} samples; expected 1 to {n_samples - 1}; "
            "lower n_neighbors or give more samples"
        )
    unit = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32)).to(runtime.device)
    unit = torch.nn.functional.normalize(unit, dim=1)
    indices = np.empty((n_samples, n_neighbors), np.int64)
    similarities = np.empty((n_samples, n_neighbors), np.float32)
    block_rows = max(1, BLOCK_VALUES // n_samples)
    for start in range(0, n_samples, block_rows):
        rows = torch.arange(start, min(start + block_rows, n_samples), device=unit.device)
        similar = unit[rows] @ unit.T
        similar[rows - start, rows] = -torch.inf
        values, columns = _top(similar, n_neighbors)
        indices[start : start + len(rows)] = columns.cpu().numpy()
        similarities[start : start + len(rows)] = values.clamp(-1.0, 1.0).cpu().numpy()
    return Neighbors(indices, similarities)


def _top(similar: torch.Tensor, n_neighbors: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest values of each row and their columns, the lower column first among equals."""
    values, columns = similar.topk(
        n_neighbors + 1, dim=1
    )  # one more shows whether the last place is contested
    contested = (values[:, -1] == values[:, -2]) & (values[:, -1] > -torch.inf)
    values, columns = values[:, :n_neighbors], columns[:, :n_neighbors]
    # topk may order equals as it likes: first by column, then stably by value.
    columns = columns.sort(dim=1).values
    values, order = similar.gather(1, columns).sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    if contested.any():
        exact = similar[contested].sort(dim=1, descending=True, stable=True)
        values[contested] = exact.values[:, :n_neighbors]
        columns[contested] = exact.indices[:, :n_neighbors]
    return values, columns


def check_features(features: NDArray[np.floating]) -> None:
    """Raise `InputError` unless the features are a finite matrix, a row a sample."""
    if features.ndim != 2 or features.shape[1] == 0:
        raise InputError(f"features have shape {features.shape}; expected (n_samples, n_features)")
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise InputError(
            f"features row {int(np.argmin(finite))} holds NaN or infinity "
            f"({int((~finite).sum())} such rows); drop or repair these rows"
        )
