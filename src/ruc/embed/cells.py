"""Neighbours of very many samples: each is compared with the samples of the cells around its own.

The inverted file of Jégou et al. 2011 (*Product quantization for nearest neighbor search*) without the quantisation,
for the case in which every sample asks: those of one cell ask together, so that all is a matrix product a cell. How
many cells have to be searched is not assumed but measured, on samples whose exact neighbours are looked up first.
"""

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.embed.centres import find_centres, nearest_centres
from ruc.embed.top import top
from ruc.progress import progress
from ruc.runtime import Runtime

__all__ = ["neighbors_in_cells"]

logger = logging.getLogger(__name__)

BLOCK_VALUES = 16 * 1024 * 1024
N_PROBES = 256  # samples whose exact neighbours are looked up
WANTED_RECALL = 0.99
MOST_COMPARED = 100_000  # samples with each, even if that misses the wanted recall
ROWS = 20_000


def neighbors_in_cells(
    features: NDArray[np.floating], n_neighbors: int, runtime: Runtime
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices and cosine similarities of nearly all nearest neighbours; the recall is logged.

    Takes one half-precision copy of the features, in the order of the cells, whatever the number of samples.

    Parameters
    ----------
    features
        (n_samples, n_features) finite rows, in memory or mapped.
    n_neighbors
        How many.
    runtime
        The device, the seed, whether progress is shown.
    """
    n_samples = len(features)
    n_cells = round(n_samples**0.5)
    centres = find_centres(features, n_cells, runtime, "neighbour cells")
    cell_of, _ = nearest_centres(features, centres)
    order = np.argsort(cell_of, kind="stable")
    bounds = np.concatenate([[0], np.bincount(cell_of, minlength=n_cells).cumsum()])
    packed = _pack(features, order, runtime.device)
    around = torch.cdist(centres, centres).argsort(dim=1).cpu().numpy()
    n_searched, recall = _how_many_cells(packed, cell_of[order], around, n_neighbors, runtime)
    logger.info(
        "neighbours of %d samples: approximate, %d of %d cells searched for each, recall %.1f%% on %d samples",
        n_samples, n_searched, n_cells, 100 * recall, min(N_PROBES, n_samples),
    )  # fmt: skip
    indices = np.empty((n_samples, n_neighbors), np.int64)
    similarities = np.empty((n_samples, n_neighbors), np.float32)
    with progress("neighbours", n_samples, "samples", runtime.verbose) as advance:
        for cell in range(n_cells):
            rows = order[bounds[cell] : bounds[cell + 1]]
            if len(rows) == 0:
                continue
            places = _places(bounds, around[cell], n_searched, n_neighbors)
            indices[rows], similarities[rows] = _search(packed, bounds[cell], len(rows), places, n_neighbors)
            indices[rows] = order[indices[rows]]
            advance(len(rows))
    return indices, similarities


def _pack(features: NDArray[np.floating], order: NDArray[np.int64], device: torch.device) -> Tensor:
    """Unit-length rows in this order, in half precision."""
    packed = torch.empty(features.shape, dtype=torch.float16, device=device)
    for start in range(0, len(order), ROWS):
        rows = np.asarray(features[order[start : start + ROWS]], np.float32)
        packed[start : start + ROWS] = torch.nn.functional.normalize(torch.from_numpy(rows).to(device), dim=1)
    return packed


def _how_many_cells(
    packed: Tensor, cells: NDArray[np.int64], around: NDArray[np.int64], n_neighbors: int, runtime: Runtime
) -> tuple[int, float]:
    """How many of the cells around a sample's own hold 99% of its neighbours, as far as that is affordable.

    And the share of the neighbours that they hold.
    """
    generator = np.random.default_rng(runtime.numpy_seed("neighbour probes"))
    probes = np.sort(generator.choice(len(packed), min(N_PROBES, len(packed)), replace=False))
    asking = packed[torch.from_numpy(probes)].float()
    best = torch.full((len(probes), n_neighbors), -torch.inf, device=packed.device)
    found = torch.zeros((len(probes), n_neighbors), dtype=torch.int64, device=packed.device)
    for start in range(0, len(packed), ROWS):
        similar = asking @ packed[start : start + ROWS].float().T
        own = torch.from_numpy(np.flatnonzero((probes >= start) & (probes < start + ROWS)))
        similar[own, torch.from_numpy(probes)[own] - start] = -torch.inf
        here = torch.arange(start, start + similar.shape[1], device=packed.device).expand(len(probes), -1)
        best, chosen = torch.cat([best, similar], dim=1).topk(n_neighbors, dim=1)
        found = torch.cat([found, here], dim=1).gather(1, chosen)
    ranks = np.argsort(around[cells[probes]], axis=1)  # of every cell, as seen from the probe's own
    needed = np.sort(np.take_along_axis(ranks, cells[found.cpu().numpy()], axis=1).ravel()) + 1
    affordable = max(1, int(len(around) * MOST_COMPARED / len(packed)))
    n_searched = min(affordable, int(needed[int(np.ceil(WANTED_RECALL * len(needed))) - 1]))
    return n_searched, float((needed <= n_searched).mean())


def _places(
    bounds: NDArray[np.int64], around: NDArray[np.int64], n_searched: int, n_neighbors: int
) -> NDArray[np.int64]:
    """Where the samples of the nearest cells are: the wanted number of cells, and more where these are too empty."""
    sizes = np.diff(bounds)[around].cumsum()
    n_searched = max(n_searched, int(np.searchsorted(sizes, n_neighbors + 1)) + 1)
    return np.concatenate([np.arange(bounds[c], bounds[c + 1]) for c in np.sort(around[:n_searched])])


def _search(
    packed: Tensor, start: int, n_rows: int, places: NDArray[np.int64], n_neighbors: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest of `places` for each of the rows from `start` on."""
    others = packed[torch.from_numpy(places).to(packed.device)].float()
    first = int(np.searchsorted(places, start))  # a cell is always among those around it
    found, similarities = [], []
    step = max(1, BLOCK_VALUES // len(places))
    for low in range(0, n_rows, step):
        rows = torch.arange(low, min(low + step, n_rows), device=packed.device)
        similar = packed[start + rows].float() @ others.T
        similar[rows - low, first + rows] = -torch.inf
        values, columns = top(similar, n_neighbors)
        found.append(places[columns.cpu().numpy()])
        similarities.append(values.clamp(-1.0, 1.0).cpu().numpy())
    return np.concatenate(found), np.concatenate(similarities)
