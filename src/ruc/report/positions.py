"""The 2-D map of the images."""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.mapped import row_blocks
from ruc.neighbors.search import Neighbors
from ruc.neighbors.top import top_unordered
from ruc.runtime import Runtime

FEWEST_FOR_GRAPH: Final = 50  # below, neighbours say little
MOST_FOR_GRAPH: Final = (
    20_000  # a quarter of a minute; of more samples, so many are laid out and the rest placed among them
)
N_PLACED_BY: Final = 3
BLOCK: Final = 256
N_DIRECTIONS: Final = 50
ROWS: Final = 65_536  # at a time


def map_positions(
    features: NDArray[np.floating[Any]], seed: int = 0, near: Neighbors | None = None
) -> tuple[NDArray[np.float32], str]:
    """Lay the samples out in the plane, alike ones close together.

    By the layout of the neighbour graph with UMAP's forces (`ruc.neighbors.layout`), and few samples by PCA.

    `features`: (n_samples, n_features). `near`: at least 15 neighbours of each, where they were found already.

    Returns (n_samples, 2) float32 and the method that was used, for the caption.
    """
    n_samples = len(features)
    if n_samples < FEWEST_FOR_GRAPH:
        return principal_components(features, 2), "PCA"
    name = "the graph of nearest neighbours, with the forces of UMAP"
    if n_samples > MOST_FOR_GRAPH:
        name += (
            f", of {MOST_FOR_GRAPH:,} samples; each other one lies between its {N_PLACED_BY} nearest of these"
        )
    return _graph(features, seed, near), name


def principal_components(features: NDArray[np.floating[Any]], n_components: int) -> NDArray[np.float32]:
    """Project onto the directions of largest variance; columns beyond the rank are zero.

    Each direction's sign is such that its largest entry is positive, so that the map does not flip
    between machines.
    """
    features = np.asarray(features, dtype=np.float32)
    mean = features.mean(axis=0)
    if len(features) < features.shape[1]:  # as many directions as rows are enough
        directions = np.linalg.svd(features - mean, full_matrices=False)[2][:n_components].T
    else:
        scatter = np.zeros((features.shape[1], features.shape[1]), np.float32)
        for start in range(0, len(features), ROWS):
            centred = features[start : start + ROWS] - mean
            scatter += centred.T @ centred
        values, vectors = np.linalg.eigh(scatter)
        directions = vectors[:, np.argsort(values)[::-1][:n_components]]
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    directions = directions * np.where(largest < 0, -1, 1)
    scores = np.concatenate(
        [(features[start : start + ROWS] - mean) @ directions for start in range(0, len(features), ROWS)]
    )
    return np.pad(scores, ((0, 0), (0, n_components - scores.shape[1]))).astype(np.float32)


def into_square(positions: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Scale to [0, 1]², keeping proportions, the middle in the middle; only extreme outliers are drawn at the edge."""
    low, high = np.percentile(positions, (1, 99), axis=0)
    margin = (high - low) / 2
    low, high = (
        np.maximum(low - margin, positions.min(axis=0)),
        np.minimum(high + margin, positions.max(axis=0)),
    )
    extent = max(float((high - low).max()), 1e-12)
    return np.asarray(np.clip((positions - (low + high) / 2) / extent + 0.5, 0, 1), dtype=np.float64)


def _graph(features: NDArray[np.floating[Any]], seed: int, near: Neighbors | None) -> NDArray[np.float32]:
    from ruc.neighbors.graphs import N_NEIGHBORS, neighbor_graph
    from ruc.neighbors.layout import graph_layout

    runtime = Runtime("cpu", seed)
    if len(features) <= MOST_FOR_GRAPH:
        return graph_layout(neighbor_graph(_unit(features), runtime, near), 2, runtime, "map")
    chosen = np.sort(np.random.default_rng(seed).choice(len(features), MOST_FOR_GRAPH, replace=False))
    landmarks = _unit(features[chosen])
    of_landmarks = None if near is None else near.among(chosen, N_NEIGHBORS)
    laid_out = graph_layout(neighbor_graph(landmarks, runtime, of_landmarks), 2, runtime, "map")
    positions = _between_nearest(features, landmarks, laid_out)
    positions[chosen] = laid_out
    return positions


def _unit(features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(lengths, 1e-12), dtype=np.float32)


def _between_nearest(
    features: NDArray[np.floating[Any]], landmarks: NDArray[np.float32], laid_out: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The mean position of each sample's nearest landmarks, (n_samples, 2).

    Nearest in the directions in which the landmarks differ most: of a million samples a place in a picture can't cost
    more than their clusters.
    """
    mean = landmarks.mean(axis=0)
    _, directions = np.linalg.eigh((landmarks - mean).T @ (landmarks - mean))
    directions = directions[:, ::-1][:, :N_DIRECTIONS]
    candidates = torch.from_numpy((landmarks - mean) @ directions)
    halves = candidates.square().sum(dim=1) / 2
    positions = np.empty((len(features), 2), dtype=np.float32)
    for part in row_blocks(features, BLOCK):
        block = torch.from_numpy((_unit(features[part]) - mean) @ directions)
        closeness = torch.addmm(halves, block, candidates.T, beta=-1)
        nearest = top_unordered(closeness, N_PLACED_BY).numpy()
        positions[part] = laid_out[nearest].mean(axis=1)
    return positions
