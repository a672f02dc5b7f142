"""Images that may stand for each other where a network learns without labels: mutual near neighbours.

A neighbour teaches what no augmentation of the image itself can show (NNCLR, Dwibedi et al. 2021). An outlier has
neighbours, too, but they don't have it among theirs, and so it is left alone.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime, to_device


def find_companions(features: NDArray[np.float32], n_neighbors: int, runtime: Runtime) -> Tensor:
    """(n, n_neighbors) rows that may stand for each image: its mutual neighbours, and itself where there are fewer."""
    n_neighbors = min(n_neighbors, len(features) - 1)
    indices = torch.from_numpy(nearest_neighbors(features, n_neighbors, runtime).indices)
    itself = torch.arange(len(features))
    mutual = (indices[indices] == itself[:, None, None]).any(dim=2)
    return torch.where(mutual, indices, itself[:, None])


def draw_companions(rows: Tensor, companions: Tensor, generator: torch.Generator) -> Tensor:
    """(len(rows),) a companion of each of these images."""
    (columns,) = to_device(rows.device, torch.randint(companions.shape[1], rows.shape, generator=generator))
    return companions[rows, columns]


def replace_some(rows: Tensor, companions: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """(len(rows),) the images themselves, or with this chance a companion of each."""
    drawn = draw_companions(rows, companions, generator)
    is_replaced = torch.rand(rows.shape, generator=generator) < chance
    return torch.where(is_replaced, drawn, rows)
