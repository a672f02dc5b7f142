"""Finding and repairing wrong human labels: RUC against cleanlab's find_label_issues, on the same features.

    python experiments/noisy_labels.py digits
    python experiments/noisy_labels.py DATA/mnist5k
    python experiments/noisy_labels.py DATA/mnist5k --features features.npy

Labels get wrong at random (symmetric: any other class; look-alikes: the class whose mean feature is nearest). RUC takes
the labels as a given clustering. cleanlab takes out-of-sample probabilities of a five-fold cross-validation, once of
logistic regression as its documentation has it, once of the 10 nearest neighbours. Both see the same features:
digits' pixels, or 64 principal components of a folder's pixels, or --features in the order of the file names.

RUC's labels said to be wrong are all that it changed; in a second row those alone whose given label has less than 10%.
precision, recall: of the labels said to be wrong. AP: average precision of the score that ranks labels from doubtful to
sure. repaired: accuracy of all labels after repair, known ones compared by name (no matching). Means over seeds.
"""

import argparse
import csv
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from ruc.belief.opinion import MOST_NEIGHBORS
from ruc.embed.pixels import fit_pixels
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import repair
from ruc.runtime import Runtime

NOISES = [("symmetric", 0.2), ("symmetric", 0.4), ("look-alike", 0.2), ("look-alike", 0.4)]
SURE = 0.1  # of the given label: with less than this probability it is certainly said to be wrong
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Repair:
    """What a method says: which labels are wrong, how doubtful each is, and what they should be."""

    is_wrong: NDArray[np.bool_]
    doubt: NDArray[np.float64]
    labels: Labels


def load_data(name: str, features: str | None) -> tuple[NDArray[np.float32], Labels]:
    """Unit-norm features and true labels as numbers."""
    if name == "digits":
        rows, truth = load_digits(return_X_y=True)
        rows = rows - rows.mean(axis=0)
    else:
        with (Path(name) / "truth.csv").open(newline="") as file:
            label_of = {row["file_name"]: row["label"] for row in csv.DictReader(file)}
        source = find_images(Path(name) / "images")
        truth = np.unique([label_of[name] for name in source.file_names], return_inverse=True)[1]
        if features is None:
            pixels = load_pixels(source, 28, Runtime("cpu")).pixels
            rows = fit_pixels(pixels).transform(pixels, Runtime("cpu"))
        else:
            rows = np.load(features)
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), truth.astype(np.int64)


def make_noise(features: NDArray[np.float32], truth: Labels, kind: str, share: float, seed: int) -> Labels:
    """Exactly this share of the labels of each class made wrong."""
    random = np.random.default_rng(seed)
    n_classes = int(truth.max()) + 1
    means = np.stack([features[truth == c].mean(axis=0) for c in range(n_classes)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    alike = (means @ means.T - 2 * np.eye(n_classes)).argmax(axis=1)
    noisy = truth.copy()
    for c in range(n_classes):
        members = np.flatnonzero(truth == c)
        chosen = random.choice(members, size=round(share * len(members)), replace=False)
        others = (c + random.integers(1, n_classes, size=len(chosen))) % n_classes
        noisy[chosen] = others if kind == "symmetric" else alike[c]
    return noisy


def by_ruc(
    features: NDArray[np.float32], given: Labels, seed: int, changes: dict[str, object]
) -> dict[str, Repair]:
    """RUC with the labels as a given clustering: all labels it changed, and those it is surest about."""
    runtime = Runtime("cpu", seed)
    settings = RefineSettings(**{"selection": "neighbors", **changes})  # type: ignore[arg-type]
    base = Clustering(given, None, int(given.max()) + 1, "given")
    neighbors = nearest_neighbors(features, MOST_NEIGHBORS, runtime)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        space = FeatureSpace(features, neighbors, runtime)
        found = repair(space, base, replace(neighbors, features=features), settings, runtime)
    of_given = found.probabilities[np.arange(len(given)), given].astype(float)
    changed = found.labels != given
    sure = changed & (of_given < SURE)
    return {
        "RUC": Repair(changed, 1 - of_given, found.labels),
        f"RUC, given label < {SURE:.0%}": Repair(sure, 1 - of_given, np.where(sure, found.labels, given)),
    }


def by_cleanlab(model: object, features: NDArray[np.float32], given: Labels) -> Repair:
    """cleanlab: labels it finds wrong are replaced by the out-of-sample prediction."""
    probabilities = cross_val_predict(model, features, given, cv=5, method="predict_proba")
    wrong = find_label_issues(given, probabilities, n_jobs=1)
    quality = get_label_quality_scores(given, probabilities)
    return Repair(wrong, 1 - quality, np.where(wrong, probabilities.argmax(axis=1), given))


def scores(repair: Repair, given: Labels, truth: Labels) -> dict[str, float]:
    """The five numbers of a row."""
    wrong = given != truth
    hits = (repair.is_wrong & wrong).sum()
    return {
        "precision": hits / max(repair.is_wrong.sum(), 1),
        "recall": hits / wrong.sum(),
        "AP": average_precision_score(wrong, repair.doubt),
        "repaired": (repair.labels == truth).mean(),
    }


def methods(
    changes: dict[str, object],
) -> dict[str, Callable[[NDArray[np.float32], Labels, int], dict[str, Repair]]]:
    """Name to a function that gives one repair or more."""
    logistic = LogisticRegression(max_iter=1000, C=10.0)
    nearest = KNeighborsClassifier(10)
    return {
        "RUC": lambda x, y, seed: by_ruc(x, y, seed, changes),
        "logistic": lambda x, y, _: {"cleanlab, logistic": by_cleanlab(logistic, x, y)},
        "neighbours": lambda x, y, _: {"cleanlab, 10 neighbours": by_cleanlab(nearest, x, y)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", help="'digits', or a folder with images/ and truth.csv")
    parser.add_argument("--features", help=".npy of features, in the order of the file names")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=("RUC", "logistic", "neighbours"), default=None)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="RUC's constants")
    arguments = parser.parse_args()
    import yaml

    changes = {
        name: yaml.safe_load(value) for name, _, value in (item.partition("=") for item in arguments.set)
    }
    features, truth = load_data(arguments.data, arguments.features)
    print(
        f"{arguments.data}: {features.shape[0]} samples, {features.shape[1]} features, {arguments.seeds} seeds"
    )
    print(
        f"{'noise':<18}{'method':<26}{'precision':>10}{'recall':>8}{'AP':>7}{'repaired':>10}{'± sd':>7}{'CPU s':>7}"
    )
    for kind, share in NOISES:
        found: dict[str, list[dict[str, float]]] = {}
        seconds: dict[str, float] = {}
        for seed in range(arguments.seeds):
            given = make_noise(features, truth, kind, share, seed)
            for name, method in methods(changes).items():
                if arguments.methods and name not in arguments.methods:
                    continue
                started = time.process_time()
                for label, repaired in method(features, given, seed).items():
                    found.setdefault(label, []).append(scores(repaired, given, truth))
                    seconds[label] = time.process_time() - started
        for label, rows in found.items():
            mean = {key: 100 * np.mean([row[key] for row in rows]) for key in rows[0]}
            spread = 100 * np.std([row["repaired"] for row in rows])
            print(
                f"{f'{kind} {share:.0%}':<18}{label:<26}{mean['precision']:>10.1f}{mean['recall']:>8.1f}"
                f"{mean['AP']:>7.1f}{mean['repaired']:>10.1f}{spread:>7.1f}{seconds[label]:>7.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
