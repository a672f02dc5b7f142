"""The nearest neighbours of every sample: exactly, and of very many samples nearly so, in flat memory."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.errors import InputError
from ruc.mapped import row_blocks
from ruc.neighbors.cells import neighbors_in_cells
from ruc.neighbors.copies import Copies, find_copies
from ruc.neighbors.top import top
from ruc.progress import progress
from ruc.runtime import Runtime

MOST_EXACT = 20_000  # samples; the cost of exhaustive search grows with their square
MANY, MOST_OF_MANY = 100_000, 50  # samples, and neighbours of each of more samples than that

BLOCK_VALUES = (
    16 * 1024 * 1024
)  # similarities held at once: 64 MiB of float32, whatever the number of samples

WORTH_A_BAR = 20_000  # samples; fewer are a matter of seconds
CHECKED_ROWS = 65_536  # at a time, for the memory


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbours of n samples, nearest first, the sample itself left out.

    Attributes
    ----------
    indices
        (n_samples, n_neighbors) int64.
    similarities
        (n_samples, n_neighbors) float32 cosine similarities, non-increasing along a row.
    parts
        Of several embeddings side by side: the neighbours in each of them. Empty of a single one.
    features
        (n_samples, n_features) in which they were found, where these are asked for beside them, else None.
    """

    indices: NDArray[np.int64]
    similarities: NDArray[np.float32]
    parts: tuple["Neighbors", ...] = ()
    features: NDArray[np.floating] | None = None

    def among(self, rows: NDArray[np.int64], n_wanted: int) -> "Neighbors | None":
        """The `n_wanted` nearest of each of these samples among themselves, as places in `rows`.

        None where one of them has fewer of the others among its neighbours: then they have to be searched for.
        """
        places = np.full(len(self.indices), -1)
        places[rows] = np.arange(len(rows))
        found = places[self.indices[rows]]
        is_there = found >= 0
        if is_there.sum(axis=1).min(initial=n_wanted) < n_wanted:
            return None
        first = np.argsort(~is_there, axis=1, kind="stable")[:, :n_wanted]
        similar = np.take_along_axis(self.similarities[rows], first, axis=1)
        return Neighbors(np.take_along_axis(found, first, axis=1), similar)


def nearest_neighbors(features: NDArray[np.floating], n_neighbors: int, runtime: Runtime) -> Neighbors:
    """Find the `n_neighbors` most cosine-similar other samples of each sample.

    Up to 20,000 samples by exhaustive search, in one blocked float32 matrix product; of equally similar samples
    the one with the lower index comes first, so that the result doesn't depend on the device's sorting. Of more
    samples those of the cells around each are searched (`ruc.neighbors.cells`), and the recall is logged.

    Of samples with the same features one counts (`ruc.neighbors.copies`): each has one of its own copies and one of
    each other group for neighbours, and more only where there are too few. The different ones are copied to memory
    then; of more than 20,000 samples that is spared where none has more copies than neighbours.

    Parameters
    ----------
    features
        (n_samples, n_features), in memory or mapped; rows are scaled to unit length here.
    n_neighbors
        How many, between 1 and n_samples - 1.

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
    copies = find_copies(features)
    if copies is None or (n_samples > MOST_EXACT and copies.sizes.max() <= n_neighbors):
        return Neighbors(*_search(features, n_neighbors, runtime))
    return _among_copies(features, copies, n_neighbors, runtime)


def _among_copies(
    features: NDArray[np.floating], copies: Copies, n_neighbors: int, runtime: Runtime
) -> Neighbors:
    """The same where only one of each group of copies is searched for."""
    different = features[copies.firsts]
    n_searched = min(n_neighbors, len(different) - 1)
    if n_searched:
        indices, similarities = _search(different, n_searched, runtime)
    else:
        indices, similarities = np.empty((1, 0), np.int64), np.empty((1, 0), np.float32)
    to_copies = np.asarray(different.any(axis=1), np.float32)  # a row of zeros is similar to nothing
    return Neighbors(*copies.spread(indices, similarities, to_copies, n_neighbors))


def _search(
    features: NDArray[np.floating], n_neighbors: int, runtime: Runtime
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices and similarities of the neighbours, whether there are copies or not."""
    n_samples = len(features)
    if n_samples > MOST_EXACT:
        return neighbors_in_cells(features, n_neighbors, runtime)
    unit = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32)).to(runtime.device)
    unit = torch.nn.functional.normalize(unit, dim=1)
    indices = np.empty((n_samples, n_neighbors), np.int64)
    similarities = np.empty((n_samples, n_neighbors), np.float32)
    block_rows = max(1, BLOCK_VALUES // n_samples)
    visible = runtime.verbose and n_samples >= WORTH_A_BAR
    with progress("neighbours", n_samples, "samples", visible) as advance:
        for start in range(0, n_samples, block_rows):
            rows = torch.arange(start, min(start + block_rows, n_samples), device=unit.device)
            similar = unit[rows] @ unit.T
            similar[rows - start, rows] = -torch.inf
            values, columns = top(similar, n_neighbors)
            indices[start : start + len(rows)] = columns.cpu().numpy()
            similarities[start : start + len(rows)] = values.clamp(-1.0, 1.0).cpu().numpy()
            advance(len(rows))
    return indices, similarities


def affordable_neighbors(n_wanted: int, n_samples: int) -> int:
    """How many neighbours to ask for: those wanted, at most all others, and at most 50 of very many samples."""
    return min(n_wanted, n_samples - 1, n_wanted if n_samples <= MANY else MOST_OF_MANY)


def check_features(features: NDArray[np.floating]) -> None:
    """Raise `InputError` unless the features are a finite matrix, a row a sample."""
    if features.ndim != 2 or features.shape[1] == 0:
        raise InputError(f"features have shape {features.shape}; expected (n_samples, n_features)")
    finite = np.concatenate(
        [np.isfinite(features[part]).all(axis=1) for part in row_blocks(features, CHECKED_ROWS)]
        or [np.ones(0, bool)]
    )
    if not finite.all():
        raise InputError(
            f"features row {int(np.argmin(finite))} holds NaN or infinity "
            f"({int((~finite).sum())} such rows); drop or repair these rows"
        )
