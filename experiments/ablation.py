"""What each part of the method is worth: each selection, the whole without one part, and this project's defaults.

    python experiments/ablation.py                       digits, feature space, SCAN's heads as base, 5 seeds
    python experiments/ablation.py --images -o rows.csv  mnist5k, image space, SCAN on images as base; attacks

Each row changes one thing. First the method as published (neighbours vote for the raw labels of the base, and the
networks have the last word), then what this project adds. On images the epochs are few, so AdamW takes the place of
SGD, heads are fitted first and one weak view is learned from; one contrastive embedding serves all seeds, each of which
trains SCAN with self-labelling on it. All in %, mean ± standard deviation over seeds; drops are points of accuracy lost
on some of the images, each model attacked by its own gradient. Rows are kept in the file as they come, and not made
again.
"""

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from addon import DATA_FOLDER, calibration_error, load_data, make_base, score
from numpy.typing import NDArray
from paper import attack, summed
from paper_data import Split

from ruc.cluster.scan_images import ScanSettings, scan_images
from ruc.embed.contrastive import ContrastiveSettings, fit_contrastive
from ruc.evaluation.attacks import Model
from ruc.evaluation.metrics import normalized_mutual_information
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.images.views import GENTLE
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace, ImageSpace, Space
from ruc.refine.trained import Pair
from ruc.repair import repair
from ruc.runtime import Runtime

PUBLISHED = {"propagation": 0.0, "weigh_given": False, "n_neighbors": 100, "turns": "pass"}
ALONE = {"co_training": False, "label_smoothing": False, "promotion": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "as published, neighbors": PUBLISHED,
    "confidence": {**PUBLISHED, "selection": "confidence"},
    "hybrid": {**PUBLISHED, "selection": "hybrid"},
    "neighbors, without co-training": {**PUBLISHED, "co_training": False},
    "neighbors, without label smoothing": {**PUBLISHED, "label_smoothing": False},
    "neighbors, without promotion": {**PUBLISHED, "promotion": False},
    "neighbors, MixMatch alone": {**PUBLISHED, **ALONE},
    "neighbors, smoothing drawn from U(0, 1)": {**PUBLISHED, "epsilon": "uniform"},
    "neighbors, promotion by the more confident": {**PUBLISHED, "promotion_by": "confident"},
    "neighbors, stepped promotion": {**PUBLISHED, "promotion_threshold": "stepped"},
    "the default": {},
    "the default by turns": {"turns": "pass"},
    "the default without propagation": {"propagation": 0.0},
}
FEW_EPOCHS: dict[str, Any] = {"optimizer": "adamw", "head_warmup": True, "clean_views": 1}
DROPS = [("fgsm", 0.1), ("fgsm", 0.3), ("fgsm", 0.5), ("bim", 0.01), ("bim", 0.03), ("bim", 0.05)]
COLUMNS = ("accuracy", "gain", "NMI", "ECE", "clean at first", "CPU s")
ATTACKS = tuple(f"{name.upper()} {epsilon:g}" for name, epsilon in DROPS)


@dataclass(frozen=True)
class Problem:
    """What the variants of one seed have in common; `model` is the base's own network, where it has one."""

    base: Clustering
    space: Space
    neighbors: Neighbors
    model: Model | None


def feature_problems() -> tuple[Split, Callable[[int], Problem]]:
    """Digits, and SCAN's heads on their pixels."""
    features, truth = load_data("digits")
    neighbors = nearest_neighbors(features, 100, Runtime("cpu"))

    def problem(seed: int) -> Problem:
        base = make_base("scan", features, truth, neighbors, seed)
        return Problem(base, FeatureSpace(features, neighbors, Runtime("cpu", seed)), neighbors, None)

    return Split(np.empty(0, np.uint8), truth), problem


def image_problems(embedding_epochs: int) -> tuple[Split, Callable[[int], Problem]]:
    """mnist5k, and SCAN with self-labelling on its images."""
    runtime = Runtime("cpu")
    pixels = load_pixels(find_images(DATA_FOLDER / "mnist5k" / "images"), 28, runtime).pixels
    truth = load_data("mnist5k")[1]
    embedder = fit_contrastive(pixels, runtime, ContrastiveSettings(epochs=embedding_epochs))
    neighbors = nearest_neighbors(embedder.transform(pixels, runtime), 100, runtime)

    def problem(seed: int) -> Problem:
        seeded = Runtime("cpu", seed)
        base, network = scan_images(
            pixels, embedder.network, neighbors, int(truth.max()) + 1, GENTLE, seeded, ScanSettings()
        )
        return Problem(base, ImageSpace(pixels, network.backbone, GENTLE, seeded), neighbors, network)

    return Split(pixels, truth), problem


def measure(
    data: Split, said: Clustering, base: Clustering, model: Model | None, n_attacked: int
) -> list[float]:
    """Accuracy, gain, NMI, ECE; and drops under attack, where there's a model to attack."""
    assert said.probabilities is not None
    accuracy = score(data.labels, said.labels)
    numbers = [
        accuracy,
        accuracy - score(data.labels, base.labels),
        100 * normalized_mutual_information(said.labels, data.labels),
        calibration_error(data.labels, said.labels, said.probabilities),
    ]
    if model is None:
        return numbers
    table = attack({"it": (model, said)}, data, Runtime("cpu"), n_attacked)
    drop = {(one.attack, one.epsilon): 100 * one.drop["it"] for one in table.results}
    return numbers + [drop[each] for each in DROPS]


def run_variant(
    problem: Problem, name: str, settings: RefineSettings, seed: int
) -> tuple[Clustering, Pair, list[float]]:
    """Refine; what it says, the networks, share of clean samples at first and seconds of processor time."""
    started = time.process_time()
    result = repair(problem.space, problem.base, problem.neighbors, settings, Runtime("cpu", seed))
    seconds = time.process_time() - started
    said = Clustering(result.labels, result.probabilities, problem.base.n_clusters, name)
    return said, result.predictor.pair, [100 * float(result.was_clean.mean()), seconds]


class Rows:
    """The rows made so far, one for each seed and variant, in a CSV file."""

    def __init__(self, path: Path, columns: tuple[str, ...]) -> None:
        self.path, self.columns = path, columns
        if not path.exists():
            self._append("seed", "variant", *columns)

    def read(self) -> dict[tuple[int, str], NDArray[np.float64]]:
        """Numbers by seed and variant."""
        with self.path.open(newline="") as file:
            return {
                (int(row["seed"]), row["variant"]): np.asarray([float(row[name]) for name in self.columns])
                for row in csv.DictReader(file)
            }

    def add(self, seed: int, variant: str, numbers: list[float]) -> None:
        """Keep the numbers of one."""
        self._append(seed, variant, *(f"{number:.3f}" for number in numbers))

    def _append(self, *cells: object) -> None:
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(cells)


def print_table(rows: Rows) -> None:
    """A line a variant: means and standard deviations over the seeds."""
    found = rows.read()
    print(f"| | seeds | {' | '.join(rows.columns)} |\n|---|{'---|' * (1 + len(rows.columns))}")
    for name in ("base", *VARIANTS):
        numbers = np.stack([row for (_, variant), row in found.items() if variant == name] or [np.empty(0)])
        if numbers.size:
            pairs = zip(numbers.mean(axis=0), numbers.std(axis=0), strict=True)
            cells = ["" if np.isnan(mean) else f"{mean:.1f} ± {spread:.1f}" for mean, spread in pairs]
            print(f"| {name} | {len(numbers)} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", action="store_true", help="mnist5k in image space instead of digits")
    parser.add_argument("-o", "--output", type=Path, default=Path("ablation.csv"), help="rows of the seeds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--epochs", type=int, help="default: 5 on images, as many as usual on features")
    parser.add_argument("--learning-rate", type=float, default=0.001, help="on images")
    parser.add_argument("--embedding-epochs", type=int, default=10, help="on images")
    parser.add_argument("--attacked", type=int, default=200, help="images")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.images:
        data, problem_of = image_problems(options.embedding_epochs)
        schedule = {**FEW_EPOCHS, "n_epochs": options.epochs or 5, "learning_rate": options.learning_rate}
    else:
        data, problem_of = feature_problems()
        schedule = {"n_epochs": options.epochs}
    rows = Rows(options.output, COLUMNS + (ATTACKS if options.images else ()))
    for seed in options.seeds:
        missing = [name for name in ("base", *options.variants) if (seed, name) not in rows.read()]
        if not missing:
            continue
        started = time.process_time()
        problem = problem_of(seed)
        seconds = time.process_time() - started
        for name in missing:
            said, model, about = problem.base, problem.model, [float("nan"), seconds]
            if name != "base":
                settings = RefineSettings(**(schedule | VARIANTS[name]))
                said, pair, about = run_variant(problem, name, settings, seed)
                model = summed(pair) if options.images else None
            numbers = measure(data, said, problem.base, model, options.attacked)
            rows.add(seed, name, [*numbers[:4], *about, *numbers[4:]])
    print_table(rows)


if __name__ == "__main__":
    main()
