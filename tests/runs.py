"""A run whose confidence is too high, and answers to go with it."""

import numpy as np

from ruc.run_folder import Run


def make_checkable(n: int = 400, seed: int = 0) -> tuple[Run, np.ndarray]:
    """A run of four clusters, and whether each image is in the right one: fewer are than it says."""
    random = np.random.default_rng(seed)
    cluster = np.sort(random.integers(0, 4, n))
    confidence = random.uniform(0.3, 0.99, n).astype(np.float32)
    probabilities = np.repeat(((1 - confidence) / 3)[:, None], 4, axis=1)
    probabilities[np.arange(n), cluster] = confidence
    features = np.eye(4, dtype=np.float32)[cluster] + 0.1 * random.standard_normal((n, 4)).astype(np.float32)
    run = Run(
        settings={"seed": 0, "review": 0.05},
        file_names=tuple(f"{row:03d}.png" for row in range(n)),
        cluster=cluster,
        confidence=confidence,
        initial_cluster=cluster.copy(),
        was_clean=np.ones(n, bool),
        is_clean=np.ones(n, bool),
        probabilities=probabilities.astype(np.float32),
        features=features / np.linalg.norm(features, axis=1, keepdims=True),
        cluster_names=("0", "1", "2", "3"),
    )
    return run, random.random(n) < confidence**2
