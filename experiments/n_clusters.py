"""How well the number of clusters is found, against silhouette, the BIC of a mixture and HDBSCAN.

    python experiments/n_clusters.py                               blobs and digits
    python experiments/n_clusters.py digits contrastive.npz --tails 1 10

Settings: each data set balanced and long-tailed; blobs of 3 to 60 clusters. `ours` looks at 2 to 80. Silhouette of
k-means and BIC of a full-covariance mixture (16 principal components) are computed at 2 to 15, 18, 21, 25, 30, 36, 43,
51, 60 and 72 clusters; HDBSCAN in a layout of the neighbour graph, smallest cluster 1% of the samples. A number counts
as right when it's at most 1 from the truth.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from bases import blobs, load, long_tailed
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from ruc.cluster.density import density
from ruc.cluster.inputs import unit_features
from ruc.cluster.n_clusters import estimate_n_clusters
from ruc.errors import InputError
from ruc.runtime import Runtime

GRID = (*range(2, 16), 18, 21, 25, 30, 36, 43, 51, 60, 72)
Setting = tuple[str, NDArray[np.float32], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="*", default=["blobs", "digits"])
    parser.add_argument("--tails", nargs="+", type=float, default=[1.0, 10.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-ours", action="store_true")
    given = parser.parse_args()
    rivals = {} if given.only_ours else {"silhouette": silhouette, "BIC": bic, "HDBSCAN": hdbscan}
    right = dict.fromkeys(["ours", *rivals], 0)
    n_settings = 0
    print(f"| setting | n | true | ours | {' | '.join([*rivals, 'how sure', 'CPU s'])} |")
    print("|---" * (6 + len(rivals)) + "|")
    for name, features, truth in settings(given.data, given.tails):
        n_true = len(np.unique(truth))
        runtime = Runtime("cpu", given.seed)
        started = time.process_time()
        estimate = estimate_n_clusters(features, None, 2, 80, runtime)
        seconds = time.process_time() - started
        found = {"ours": estimate.n_clusters} | {rival: f(features, runtime) for rival, f in rivals.items()}
        n_settings += 1
        for method, number in found.items():
            right[method] += abs(number - n_true) <= 1
        cells = " | ".join(str(number) for number in found.values())
        print(
            f"| {name} | {len(truth)} | {n_true} | {cells} | {estimate.confidence} | {seconds:.1f} |",
            flush=True,
        )
    print("\nwithin 1: " + ", ".join(f"{method} {n} of {n_settings}" for method, n in right.items()))


def settings(names: list[str], tails: list[float]) -> Iterator[Setting]:
    for name in names:
        for tail in tails:
            if name == "blobs":
                for n_clusters in (3, 6, 10, 20, 35, 60):
                    yield (f"blobs {n_clusters}, {tail:g}:1", *blobs(n_clusters, tail))
            else:
                features, truth = load(name)
                part = (features, truth) if tail == 1.0 else long_tailed(features, truth, tail)
                yield (f"{Path(name).stem}, {tail:g}:1", *part)


def silhouette(features: NDArray[np.float32], runtime: Runtime) -> int:
    unit = unit_features(features, 2)
    seed = runtime.numpy_seed("silhouette")
    scores = [
        silhouette_score(
            unit,
            KMeans(k, n_init=3, random_state=seed).fit_predict(unit),
            sample_size=2_000,
            random_state=seed,
        )
        for k in GRID
    ]
    return GRID[int(np.argmax(scores))]


def bic(features: NDArray[np.float32], runtime: Runtime) -> int:
    unit = unit_features(features, 2)
    components = PCA(16, random_state=0).fit_transform(unit)
    components = components / components.std()
    seed = runtime.numpy_seed("BIC")
    scores = [
        GaussianMixture(k, reg_covar=1e-3, random_state=seed).fit(components).bic(components)
        for k in GRID
        if k * 2 < len(unit)
    ]
    return GRID[int(np.argmin(scores))]


def hdbscan(features: NDArray[np.float32], runtime: Runtime) -> int:
    try:
        return density(features, None, runtime).n_clusters
    except InputError:
        return 1


if __name__ == "__main__":
    main()
