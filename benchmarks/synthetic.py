"""Features shaped like those of a network on images: clusters of several modes, on a spectrum that decays.

A cluster is made of modes of unequal size; the samples of a mode spread along a few directions that all clusters
share and along all others a little. `noise` 2 suits 10 clusters, 1.2 some hundreds: k-means finds half to four fifths
of the truth, the neighbours four fifths or more.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MODES = 4
N_SHARED = 48  # directions along which samples vary, whatever their cluster
SPREAD_OF_MODES, SHARED_NOISE, OWN_NOISE = 0.6, 0.8, 0.65  # each times `noise`
BLOCK_ROWS = 20_000


def clustered_features(
    n_samples: int, n_features: int, n_clusters: int, noise: float, seed: int, file: Path | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit-norm rows and their true clusters; written block by block to a .npy where a file is named."""
    generator = np.random.default_rng(seed)
    decay = np.arange(1, n_features + 1) ** -0.5
    decay /= np.linalg.norm(decay)
    centres = generator.normal(size=(n_clusters, n_features)) * decay
    modes = (
        centres[:, None]
        + noise * SPREAD_OF_MODES * generator.normal(size=(n_clusters, MODES, n_features)) * decay
    )
    shares = generator.dirichlet(np.full(MODES, 2.0), size=n_clusters).cumsum(axis=1)
    shared = generator.normal(size=(N_SHARED, n_features)) * decay / np.sqrt(N_SHARED)
    labels = generator.integers(n_clusters, size=n_samples)
    if file is None:
        features = np.empty((n_samples, n_features), np.float32)
    else:
        features = np.lib.format.open_memmap(file, "w+", np.float32, (n_samples, n_features))
    modes, shared, decay = modes.astype(np.float32), shared.astype(np.float32), decay.astype(np.float32)
    for start in range(0, n_samples, BLOCK_ROWS):
        part = labels[start : start + BLOCK_ROWS]
        mode = (generator.random((len(part), 1)) > shares[part]).sum(axis=1).clip(max=MODES - 1)
        rows = modes[part, mode]
        rows += (
            noise * SHARED_NOISE * generator.normal(size=(len(part), N_SHARED)).astype(np.float32) @ shared
        )
        rows += noise * OWN_NOISE * generator.standard_normal(rows.shape, dtype=np.float32) * decay
        features[start : start + BLOCK_ROWS] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return features, labels
