"""The nearest images of every image of a run: what doubt, suggestions and the report look at."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.mapped import row_blocks

N_NEAREST: Final = 12
MOST_IN_FULL: Final = 20_000  # of more samples a minute: their directions of largest variance must do
N_DIRECTIONS: Final = 64
ROWS: Final = 65_536
SMALLEST_NORM: Final = 1e-12


def nearest_images(features: NDArray[np.floating[Any]], seed: int = 0) -> NDArray[np.int64]:
    """The 12 most similar other images of each, nearest first: (n_samples, 12), or all others where there are fewer.

    `features`: (n_samples, n_features); of more than 20,000 samples the 64 directions of largest variance.
    """
    from ruc.neighbors.search import nearest_neighbors
    from ruc.runtime import Runtime

    n_samples = len(features)
    if n_samples < 2:
        return np.zeros((n_samples, 0), np.int64)
    features = condensed(features)
    return nearest_neighbors(features, min(N_NEAREST, n_samples - 1), Runtime("cpu", seed)).indices


def condensed(features: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Features as they are; of more than 20,000 samples as seen along the 64 directions of largest variance.

    `features`: (n_samples, n_features) unit-norm, and so is what is returned.
    """
    if len(features) <= MOST_IN_FULL or features.shape[1] <= N_DIRECTIONS:
        return np.asarray(features, np.float32)
    seen = leading_directions(features, N_DIRECTIONS)
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), SMALLEST_NORM)
    return seen


def leading_directions(features: NDArray[np.floating[Any]], n_directions: int) -> NDArray[np.float32]:
    """Features as seen along the directions of largest variance around zero, which keep cosines best.

    By random projections (Halko et al. 2011), as all directions of features of a thousand columns take seconds;
    (n_samples, n_directions), or fewer columns where there are fewer samples.
    """
    from sklearn.utils.extmath import randomized_svd  # slow to import

    whole = np.asarray(features, np.float32) if len(features) <= features.shape[1] else _scatter(features)
    _, _, directions = randomized_svd(whole, n_directions, random_state=0)
    along = directions.T.astype(np.float32)
    seen = np.empty((len(features), along.shape[1]), np.float32)
    for part in row_blocks(features, ROWS):
        np.matmul(np.asarray(features[part], np.float32), along, out=seen[part])
    return seen


def _scatter(features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    scatter = np.zeros((features.shape[1], features.shape[1]), np.float64)
    for part in row_blocks(features, ROWS):
        block = np.asarray(features[part], np.float32)
        scatter += block.T @ block
    return scatter
