"""Base clusterings against each other, and against UMAP followed by a Gaussian mixture, given the true number.

    python experiments/bases.py                                    scikit-learn's digits, and 50 blobs
    python experiments/bases.py DATA/mnist5k                      a folder with images/ and truth.csv: as pixels
    python experiments/bases.py contrastive.npz --tail 10          features, labels; long-tailed, 10:1
    python experiments/bases.py digits --methods graph umap --seeds 5

Accuracy under the best one-to-one matching, NMI and ARI in %, mean ± standard deviation over seeds, and seconds of
processor time of one run. `--tail R` keeps fewer and fewer samples of the classes, in random order, down to 1/R of
the largest. "umap" needs umap-learn: 15 neighbours, 4 dimensions, minimal distance 0, full covariances, 5 starts.
Noise (density) counts as wrong.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture

from ruc.cluster.auto import METHODS, cluster
from ruc.cluster.inputs import unit_features
from ruc.embed.pixels import fit_pixels
from ruc.errors import InputError
from ruc.evaluation.metrics import accuracy, adjusted_rand_index, normalized_mutual_information
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.runtime import Runtime

Data = tuple[NDArray[np.float32], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="*", default=["digits", "blobs50"])
    parser.add_argument("--methods", nargs="+", default=[m for m in METHODS if m != "auto"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tail", type=float, default=1.0)
    given = parser.parse_args()
    print("| data | n | base | accuracy | NMI | ARI | clusters | CPU s |\n|---|---|---|---|---|---|---|---|")
    for name in given.data:
        features, truth = load(name)
        if given.tail > 1.0:
            features, truth = long_tailed(features, truth, given.tail)
        for method in given.methods:
            print(measure(Path(name).stem, features, truth, method, given.seeds), flush=True)


def measure(
    name: str, features: NDArray[np.float32], truth: NDArray[np.int64], method: str, n_seeds: int
) -> str:
    n_clusters = len(np.unique(truth))
    figures, seconds, found = [], [], []
    for seed in range(n_seeds):
        started = time.process_time()
        try:
            labels = run(features, n_clusters, method, Runtime("cpu", seed))
        except InputError as error:
            return f"| {name} | {len(truth)} | {method} | {error} |"
        seconds.append(time.process_time() - started)
        found.append(len(np.unique(labels[labels >= 0])))
        scores = (accuracy, normalized_mutual_information, adjusted_rand_index)
        figures.append([100.0 * score(labels, truth) for score in scores])
    cells = [
        f"{mean:.1f} ± {spread:.1f}"
        for mean, spread in zip(np.mean(figures, 0), np.std(figures, 0), strict=True)
    ]
    return f"| {name} | {len(truth)} | {method} | {' | '.join(cells)} | {np.mean(found):.0f} | {np.mean(seconds):.1f} |"


def run(features: NDArray[np.float32], n_clusters: int, method: str, runtime: Runtime) -> NDArray[np.int64]:
    if method != "umap":
        return cluster(features, n_clusters, method, runtime).labels
    from umap import UMAP

    unit = unit_features(features, n_clusters)
    positions = UMAP(n_components=4, min_dist=0.0, random_state=runtime.seed, n_jobs=1).fit_transform(unit)
    return np.asarray(GaussianMixture(n_clusters, n_init=5, random_state=runtime.seed).fit_predict(positions))


def load(name: str) -> Data:
    if name == "digits":
        features, truth = load_digits(return_X_y=True)
        return features.astype(np.float32), truth
    if name.startswith("blobs"):
        return blobs(int(name.removeprefix("blobs")))
    path = Path(name)
    if path.suffix == ".npz":
        arrays = np.load(path)
        return arrays["features"].astype(np.float32), np.unique(arrays["labels"], return_inverse=True)[1]
    images = load_pixels(find_images(path / "images"), 32, Runtime("cpu"))
    lines = (path / "truth.csv").read_text(encoding="utf-8").splitlines()[1:]
    label_of = dict(line.rsplit(",", 1) for line in lines)
    labels = np.array([label_of[file_name] for file_name in images.file_names])
    features = fit_pixels(images.pixels).transform(images.pixels, Runtime("cpu"))
    return features, np.unique(labels, return_inverse=True)[1]


def blobs(n_clusters: int, ratio: float = 1.0, n_samples: int = 3_000, spread: float = 0.6) -> Data:
    """Gaussian blobs in 32 dimensions, centres of unit spread; largest to smallest `ratio`, at least 12 samples."""
    generator = np.random.default_rng(n_clusters)
    shares = ratio ** -np.linspace(0.0, 1.0, n_clusters)
    sizes = np.maximum((n_samples * shares / shares.sum()).astype(int), 12)
    centres = generator.normal(size=(n_clusters, 32))
    truth = np.repeat(np.arange(n_clusters), sizes)
    features = centres[truth] + spread * generator.normal(size=(len(truth), 32))
    return features.astype(np.float32), truth


def long_tailed(features: NDArray[np.float32], truth: NDArray[np.int64], ratio: float, seed: int = 0) -> Data:
    """Keep `largest * ratio**-(rank / last rank)` samples of each class, classes ranked at random."""
    generator = np.random.default_rng(seed)
    n_classes, largest = int(truth.max()) + 1, int(np.bincount(truth).min())
    kept = []
    for rank, label in enumerate(generator.permutation(n_classes)):
        n_kept = max(int(largest * ratio ** (-rank / (n_classes - 1))), 2)
        kept.append(generator.permutation(np.flatnonzero(truth == label))[:n_kept])
    rows = np.sort(np.concatenate(kept))
    return features[rows], truth[rows]


if __name__ == "__main__":
    main()
