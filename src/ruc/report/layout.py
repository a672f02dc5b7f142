"""The 2-D map of the images."""

import importlib.util
import warnings
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["MapMethod", "map_positions", "principal_components"]

MapMethod = Literal["auto", "umap", "pca"]

FEWEST_FOR_UMAP: Final = 1_000  # below, the ten seconds in which umap-learn compiles itself are not worth it
MOST_FOR_UMAP: Final = 20_000  # above, its exact neighbours would take minutes
N_NEIGHBORS: Final = 15
N_DIRECTIONS: Final = 50


def map_positions(
    features: NDArray[np.floating[Any]], method: MapMethod = "auto", seed: int = 0
) -> tuple[NDArray[np.float32], str]:
    """Lay the samples out in the plane, alike ones close together.

    Parameters
    ----------
    features
        (n_samples, n_features).
    method
        "pca"; "umap" (umap-learn); or "auto": UMAP where umap-learn is installed and there are
        1,000 to 20,000 samples, else PCA.
    seed
        Of UMAP.

    Returns
    -------
    positions, name
        (n_samples, 2) float32 and the method that was used, for the caption.
    """
    n_samples = len(features)
    if method == "auto":
        installed = importlib.util.find_spec("umap") is not None
        method = "umap" if installed and FEWEST_FOR_UMAP <= n_samples <= MOST_FOR_UMAP else "pca"
    if method == "umap" and n_samples > N_NEIGHBORS:
        return _umap(features, seed), "UMAP"
    return principal_components(features, 2), "PCA"


def principal_components(features: NDArray[np.floating[Any]], n_components: int) -> NDArray[np.float32]:
    """Project onto the directions of largest variance; columns beyond the rank are zero.

    Each direction's sign is such that its largest entry is positive, so that the map does not flip
    between machines.
    """
    centred = np.asarray(features, dtype=np.float32)
    centred = centred - centred.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    directions = vectors[:, np.argsort(values)[::-1][:n_components]]
    largest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    scores = centred @ (directions * np.where(largest < 0, -1, 1))
    return np.pad(scores, ((0, 0), (0, n_components - scores.shape[1]))).astype(np.float32)


def _umap(features: NDArray[np.floating[Any]], seed: int) -> NDArray[np.float32]:
    """UMAP with what makes it slow taken away: exact neighbours given, PCA start, 200 epochs."""
    import umap
    from sklearn.neighbors import NearestNeighbors

    reduced = principal_components(features, min(N_DIRECTIONS, features.shape[1]))
    distances, indices = NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(reduced).kneighbors(reduced)
    start = reduced[:, :2] / max(float(reduced[:, 0].std()), 1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of what is wanted here: one thread because of the seed
        positions = umap.UMAP(
            n_neighbors=N_NEIGHBORS,
            n_epochs=200,
            init=start,
            precomputed_knn=(indices.astype(np.int32), distances.astype(np.float32), None),
            random_state=seed,
            n_jobs=1,
        ).fit_transform(reduced)
    return np.asarray(positions, dtype=np.float32)
