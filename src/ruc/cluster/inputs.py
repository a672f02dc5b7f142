"""What every base clustering asks of its features."""

import numpy as np
from numpy.typing import NDArray

from ruc.errors import InputError, NothingToClusterError
from ruc.neighbors.search import check_features


def unit_features(features: NDArray[np.floating], n_clusters: int) -> NDArray[np.float32]:
    """Return the features as float32 rows of unit length, after checking that they can be clustered.

    Raises
    ------
    InputError
        See `check_clusterable`.
    """
    check_clusterable(features, n_clusters)
    rows = np.asarray(features, dtype=np.float32)
    lengths = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
    unit: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-12))
    return unit


def check_clusterable(features: NDArray[np.floating], n_clusters: int) -> None:
    """Raise `InputError` unless there is a finite matrix of as many different samples as clusters, of these two."""
    check_features(features)
    if n_clusters < 2:
        raise InputError(f"n_clusters is {n_clusters}; expected 2 or more")
    if len(features) < n_clusters:
        raise InputError(
            f"{len(features)} samples for {n_clusters} clusters; lower n_clusters or give more samples"
        )
    check_different(features, n_clusters)


def check_different(features: NDArray[np.floating], n_clusters: int = 2) -> None:
    """Raise `NothingToClusterError` where all samples are the same, `InputError` where too few differ."""
    n_different = count_different(features, n_clusters)
    if n_different < 2:
        raise NothingToClusterError(
            f"all {len(features)} samples have the same features; expected some that differ: give other samples, or "
            "features that tell them apart"
        )
    if n_different < n_clusters:
        raise too_few_different(n_different, n_clusters)


def too_few_different(n_different: int, n_clusters: int) -> InputError:
    """What to raise where copies leave fewer samples than clusters."""
    return InputError(
        f"only {n_different} different samples for {n_clusters} clusters; lower the number of clusters, or remove the "
        "copies"
    )


def count_different(features: NDArray[np.floating], at_most: int) -> int:
    """How many rows differ from each other; counting ends at `at_most`, so that few rows are read where most differ."""
    found: set[bytes] = set()
    for row in features:
        found.add((row + 0.0).tobytes())  # -0.0 is 0.0
        if len(found) >= at_most:
            break
    return len(found)
