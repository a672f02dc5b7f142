"""What each part of the method is worth: the whole, and the whole without one part.

    python experiments/ablation.py                               digits, feature space, k-means as base, 5 seeds
    python experiments/ablation.py --images --seeds 1 --epochs 4 mnist5k, image space, on a contrastive backbone

Each row changes one thing. Above the line the method as published (neighbours vote for the raw labels of the base, and
the networks have the last word), below it what this project adds. Accuracy and ECE in %, mean ± standard deviation.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from addon import SHARED, calibration_error, load_data, make_base, score
from numpy.typing import NDArray

from ruc.embed.contrastive import ContrastiveSettings, fit_contrastive
from ruc.embed.neighbors import Neighbors, nearest_neighbors
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.images.views import GENTLE
from ruc.refine.ruc import refine
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace, ImageSpace, Space
from ruc.runtime import Runtime

PUBLISHED = {"propagation": 0.0, "weigh_given": False, "n_neighbors": 100}
VARIANTS: dict[str, dict[str, Any]] = {
    "as published": PUBLISHED,
    "without co-training": {**PUBLISHED, "co_training": False},
    "without label smoothing": {**PUBLISHED, "label_smoothing": False},
    "without promotion": {**PUBLISHED, "promotion": False},
    "MixMatch alone": {**PUBLISHED, "co_training": False, "label_smoothing": False, "promotion": False},
    "selection: confidence": {**PUBLISHED, "selection": "confidence"},
    "selection: hybrid": {**PUBLISHED, "selection": "hybrid"},
    "smoothing drawn from U(0, 1)": {**PUBLISHED, "epsilon": "uniform"},
    "promotion by the more confident": {**PUBLISHED, "promotion_by": "confident"},
    "stepped promotion": {**PUBLISHED, "promotion_threshold": "stepped"},
    "the default": {},
    "the default without propagation": {"propagation": 0.0},
}
MakeSpace = Callable[[NDArray[np.float32], Neighbors, Runtime], Space]


def feature_space(features: NDArray[np.float32], neighbors: Neighbors, runtime: Runtime) -> Space:
    return FeatureSpace(features, neighbors, runtime)


def image_problem() -> tuple[NDArray[np.float32], MakeSpace]:
    """mnist5k's contrastive features, and spaces on their backbone."""
    runtime = Runtime("cpu")
    pixels = load_pixels(find_images(SHARED / "mnist5k" / "images"), 28, runtime).pixels
    embedder = fit_contrastive(pixels, runtime, ContrastiveSettings(epochs=10))

    def make_space(features: NDArray[np.float32], neighbors: Neighbors, runtime: Runtime) -> Space:
        return ImageSpace(pixels, embedder.network, GENTLE, runtime)

    return embedder.transform(pixels, runtime), make_space


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", action="store_true", help="mnist5k in image space instead of digits")
    parser.add_argument(
        "--base", default="kmeans", help="a base with probabilities lets confidence select: scan"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    features, truth = load_data("mnist5k" if options.images else "digits")
    make_space: MakeSpace = feature_space
    if options.images:
        features, make_space = image_problem()
    neighbors = nearest_neighbors(features, 100, Runtime("cpu"))
    print(
        "| variant | base | refined | difference | ECE | clean at first | CPU s |\n|---|---|---|---|---|---|---|"
    )
    for name, changes in VARIANTS.items():
        settings = RefineSettings(**({"n_epochs": options.epochs} | changes))
        rows = []
        for seed in range(options.seeds):
            base = make_base(options.base, features, truth, neighbors, seed)
            if base.probabilities is None and settings.selection != "neighbors":
                continue
            started, runtime = time.process_time(), Runtime("cpu", seed)
            result = refine(make_space(features, neighbors, runtime), base, neighbors, settings, runtime)
            before, after = score(truth, base.labels), score(truth, result.labels)
            error = calibration_error(truth, result.labels, result.probabilities)
            seconds = time.process_time() - started
            rows.append((before, after, after - before, error, 100 * result.was_clean.mean(), seconds))
        if rows:
            cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(np.mean(rows, 0), np.std(rows, 0), strict=True)]
            print(f"| {name} | {' | '.join(cells[:5])} | {np.mean(rows, 0)[5]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
