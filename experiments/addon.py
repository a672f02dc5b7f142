"""What refining adds to a clustering: base → refined, for every pair of data and base.

    python experiments/addon.py                                  all data, all bases, 5 seeds
    python experiments/addon.py --data digits --bases kmeans --seeds 2
    python experiments/addon.py --data mnist5k --features features.npz
    python experiments/addon.py --preset paper --epochs 40

Data: scikit-learn's digits (pixels), mnist5k and cifar10_5k (64 principal components of the pixels, or --features: an
.npy in the order of the file names, or an .npz whose `features` are), and blobs: 50 Gaussians on a sphere.
Bases: clusterings of the same features, and labels given from outside: the truth made wrong. Accuracy by Hungarian
matching (a sample without a cluster is wrong) and ECE (15 bins), both in %, mean ± standard deviation over seeds;
ece raw is that of the softmax of the summed logits. The seed draws the noise, the base and the refinement.
"""

import argparse
import csv
import os
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from ruc.cluster.auto import cluster
from ruc.embed.pixels import fit_pixels
from ruc.evaluation.calibration import reliability_curve
from ruc.evaluation.metrics import accuracy, contingency, correct_under, match_clusters
from ruc.evaluation.truth import encode_truth
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import Repaired, repair
from ruc.runtime import Runtime

DATA_FOLDER = Path(os.environ.get("RUC_DATA", Path(__file__).parents[1] / "../shared/data"))  # DATA.md
DATA = ("digits", "blobs", "mnist5k", "cifar10_5k")
CLUSTERINGS = ("kmeans", "scan", "mixture", "density", "graph")
GIVEN = ("wrong 10%", "wrong 20%", "wrong 40%", "alike 20%", "alike 40%", "missing 30%", "wrong 1%")
Labels = NDArray[np.int64]


def load_data(name: str, features: str | None = None) -> tuple[NDArray[np.float32], Labels]:
    """Unit-norm features and true labels."""
    if name == "digits":
        rows, truth = load_digits(return_X_y=True)
    elif name == "blobs":
        rows, truth = blobs_on_a_sphere()
    else:
        with (DATA_FOLDER / name / "truth.csv").open(newline="") as file:
            label_of = {row["file_name"]: row["label"] for row in csv.DictReader(file)}
        source = find_images(DATA_FOLDER / name / "images")
        truth = np.unique([label_of[each] for each in source.file_names], return_inverse=True)[1]
        if features is None:
            pixels = load_pixels(source, 32 if name.startswith("cifar") else 28, Runtime("cpu")).pixels
            rows = fit_pixels(pixels).transform(pixels, Runtime("cpu"))
        else:
            loaded = np.load(features)
            rows = loaded if isinstance(loaded, np.ndarray) else loaded["features"]
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), truth.astype(np.int64)


def blobs_on_a_sphere() -> tuple[NDArray[np.float64], Labels]:
    """5,000 samples of 50 Gaussians whose centres lie anywhere on the unit sphere of 32 dimensions."""
    random = np.random.default_rng(0)
    centers = random.standard_normal((50, 32))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    truth = np.arange(5000) % 50
    return centers[truth] + 0.2 * random.standard_normal((5000, 32)), truth


def make_base(
    name: str, features: NDArray[np.float32], truth: Labels, neighbors: Neighbors, seed: int
) -> Clustering:
    """A clustering of the features, or the truth made wrong."""
    n_clusters = int(truth.max()) + 1
    if name in CLUSTERINGS:
        return cluster(features, n_clusters, name, Runtime("cpu", seed), neighbors)
    random = np.random.default_rng(seed)
    kind, share = name.split()
    chosen = random.random(len(truth)) < float(share.rstrip("%")) / 100
    labels = truth.copy()
    if kind == "missing":
        labels[chosen] = -1
    elif kind == "wrong":
        labels[chosen] = (labels[chosen] + random.integers(1, n_clusters, chosen.sum())) % n_clusters
    else:
        means = np.stack([features[truth == c].mean(axis=0) for c in range(n_clusters)])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        labels[chosen] = (means @ means.T - 2 * np.eye(n_clusters)).argmax(axis=1)[labels[chosen]]
    return Clustering(labels, None, n_clusters, "given")


def run(
    features: NDArray[np.float32], base: Clustering, neighbors: Neighbors, settings: RefineSettings, seed: int
) -> Repaired:
    """Refine in feature space, quietly."""
    runtime = Runtime("cpu", seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        space = FeatureSpace(features, neighbors, runtime)
        return repair(space, base, replace(neighbors, features=features), settings, runtime)


def raw_probabilities(result: Repaired, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Softmax of the networks' summed logits."""
    probabilities: NDArray[np.float32] = (
        result.predictor.logits(torch.from_numpy(features)).softmax(dim=1).numpy()
    )
    return probabilities


def score(truth: Labels, labels: Labels) -> float:
    """Accuracy in %."""
    return 100 * accuracy(labels, encode_truth(truth))


def calibration_error(truth: Labels, labels: Labels, probabilities: NDArray[np.float32]) -> float:
    """ECE in %."""
    known = encode_truth(truth)
    right = correct_under(match_clusters(contingency(labels, known)), labels, known.codes)
    return 100 * reliability_curve(probabilities.max(axis=1), right).expected_calibration_error


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--bases", nargs="+", default=CLUSTERINGS + GIVEN)
    parser.add_argument("--features", help="for one data set: its embedding")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--preset", choices=("default", "paper"), default="default")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    changes = {} if options.epochs is None else {"n_epochs": options.epochs}
    make = RefineSettings.paper if options.preset == "paper" else RefineSettings
    print("| data | base | base accuracy | refined | difference | ECE raw | ECE | CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    for data in options.data:
        features, truth = load_data(data, options.features)
        neighbors = nearest_neighbors(features, 100, Runtime("cpu"))
        for name in options.bases:
            rows = []
            for seed in range(options.seeds):
                base = make_base(name, features, truth, neighbors, seed)
                started = time.process_time()
                result = run(features, base, neighbors, make(**changes), seed)
                seconds = time.process_time() - started
                before, after = score(truth, base.labels), score(truth, result.labels)
                raw = calibration_error(truth, result.labels, raw_probabilities(result, features))
                rows.append(
                    (
                        before,
                        after,
                        after - before,
                        raw,
                        calibration_error(truth, result.labels, result.probabilities),
                        seconds,
                    )
                )
            mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
            shown = [f"{m:.1f} ± {s:.1f}" for m, s in zip(mean[:5], spread[:5], strict=True)]
            shown[2] = f"{mean[2]:+.2f} ± {spread[2]:.2f}"
            print(f"| {data} | {name} | {' | '.join(shown)} | {mean[5]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
