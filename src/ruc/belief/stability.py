"""How far a clustering is found again when it is made again: stability, which says nothing about being right.

k-means clusters halves of the samples, and each half of the features; all samples then join the nearest centre. What
merely cuts a cloud into pieces is cut elsewhere each time; groups that are there come back.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ruc.mapped import row_blocks
from ruc.principal import Principal
from ruc.runtime import Runtime

N_OF_SAMPLES: Final = 4  # clusterings of random halves of the samples
N_OF_FEATURES: Final = 2  # of the two halves of the features
MOST_COMPONENTS: Final = 128  # for the time k-means takes
MOST_CLUSTERED, PER_CLUSTER = 5000, 20  # samples; more don't change a share
MOST_WITH_RESTARTS: Final = 500_000  # samples times clusters
MOST_RESTARTS: Final = 3  # ten rank alike (experiments/LOG.md, "a whole run, shorter")
ROWS: Final = 16_384  # at a time, for the memory


def find_stability(
    labels: NDArray[np.int64], components: NDArray[np.float32], n_clusters: int, runtime: Runtime
) -> NDArray[np.float32]:
    """Make the clustering again, six times, and see how many samples stay together.

    Returns (n_samples,) in [0, 1]: of a sample's cluster the share that is with it again, and of those with it then the
    share that is from its cluster; the geometric mean of both (Fowlkes and Mallows 1983), averaged over the clusterings
    that were made.

    Parameters
    ----------
    labels
        (n_samples,) the cluster of each sample.
    components
        (n_samples, n_components) principal components of its features, see `principal_components`.
    """
    made = clusterings_again(components, n_clusters, runtime)
    return np.asarray(np.mean([_staying(labels, others) for others in made], axis=0), np.float32)


def clusterings_again(
    components: NDArray[np.float32], n_clusters: int, runtime: Runtime
) -> list[NDArray[np.int64]]:
    """Labels (n_samples,) of each clustering of half of the samples, and of each half of the features."""
    random = np.random.default_rng(runtime.numpy_seed("stability"))
    n_samples, n_components = components.shape
    most = max(MOST_CLUSTERED, PER_CLUSTER * n_clusters)
    n_half = min(max(n_samples // 2, min(n_clusters + 1, n_samples)), most)
    made = [
        _clustered(components, random.permutation(n_samples)[:n_half], n_clusters, random)
        for _ in range(N_OF_SAMPLES)
    ]
    if n_components >= N_OF_FEATURES:
        # Of the first two components, of the next two and so on, one goes into each half by chance.
        in_first = np.arange(n_components) % 2 == 0
        swapped = np.repeat(random.random(-(-n_components // 2)) < 0.5, 2)[:n_components]
        for half in (in_first ^ swapped, ~(in_first ^ swapped)):
            columns = np.flatnonzero(half) if half.any() else np.arange(n_components)
            rows = random.permutation(n_samples)[:most]
            made.append(_clustered(components[:, columns], rows, n_clusters, random))
    return made


def principal_components(
    features: NDArray[np.floating], runtime: Runtime, principal: Principal | None = None
) -> NDArray[np.float32]:
    """(n_samples, at most 128) float32: the directions in which samples differ.

    `principal`: where these were found already; else they are found on 5,000 samples at most.
    """
    if principal is not None:
        seen = principal.components(MOST_COMPONENTS)
        return np.asarray(seen[:, : _n_kept(seen.var(dim=0).cpu().numpy())].cpu().numpy())
    from sklearn.decomposition import PCA  # slow to import: not before the first progress bar

    seed = runtime.numpy_seed("stability/components")
    rows = np.sort(np.random.default_rng(seed).permutation(len(features))[:MOST_CLUSTERED])
    some = np.asarray(features[rows], np.float32)
    if (some == some[0]).all():
        return np.zeros((len(features), 1), np.float32)
    model = PCA(min(MOST_COMPONENTS, *some.shape), random_state=seed).fit(some)
    kept = _n_kept(model.explained_variance_)
    directions, mean = model.components_[:kept].T.astype(np.float32), model.mean_.astype(np.float32)
    parts = [
        (np.asarray(features[part], np.float32) - mean) @ directions for part in row_blocks(features, ROWS)
    ]
    return np.concatenate(parts)


def _n_kept(variances: NDArray[np.floating]) -> int:
    """How many components vary at all, of those with these variances, the largest first."""
    return max(1, int((variances > 1e-6 * variances[0]).sum()))


def _clustered(
    components: NDArray[np.float32], rows: NDArray[np.int64], n_clusters: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """k-means of some rows; all join the nearest centre."""
    from sklearn.cluster import KMeans

    some = components[np.sort(rows)]
    n_restarts = int(np.clip(MOST_WITH_RESTARTS // (len(some) * n_clusters), 1, MOST_RESTARTS))
    model = KMeans(
        min(n_clusters, len(some)), n_init=n_restarts, random_state=int(random.integers(2**31)), max_iter=100
    )
    model.fit(some)
    return np.concatenate(
        [
            model.predict(components[start : start + ROWS]).astype(np.int64)
            for start in range(0, len(components), ROWS)
        ]
    )


def _staying(labels: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n_samples,) the geometric mean of the shares of either cluster that are in both."""
    both = np.zeros((labels.max() + 1, others.max() + 1))
    np.add.at(both, (labels, others), 1)
    either = np.sqrt(both.sum(axis=1, keepdims=True) * both.sum(axis=0, keepdims=True))
    return np.asarray((both / np.maximum(either, 1))[labels, others])
