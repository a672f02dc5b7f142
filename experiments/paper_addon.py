"""What RUC adds to SCAN on images: each selection, and the whole without one part; accuracy, ECE and attacks.

    python experiments/paper_addon.py mnist5k --data runs/data --seeds 3

The data are those of paper_data.py, train and test together. One contrastive embedding (its seed is fixed), then for
each seed SCAN with self-labelling on images, and on its network every variant of RUC: the published constants in few
epochs, AdamW instead of SGD and heads fitted first, as the backbone comes from AdamW. Means ± standard deviation over
seeds; the seeds' own rows are printed as they come. Drops are in points of accuracy on some of the images, each model
attacked by its own gradient.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paper import attack, hardware, scores, summed
from paper_data import read_split

from ruc.cluster.clustering import Clustering
from ruc.cluster.scan_images import ScanSettings, scan_images
from ruc.embed.contrastive import ContrastiveSettings, fit_contrastive
from ruc.embed.neighbors import nearest_neighbors
from ruc.evaluate.attacks import Model
from ruc.images.views import GENTLE, PHOTO
from ruc.refine.ruc import refine
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import ImageSpace
from ruc.runtime import Runtime

FEW_EPOCHS: dict[str, Any] = {
    "optimizer": "adamw", "head_warmup": True, "clean_views": 1, "forwards": "needed",
    "ramp_epochs": None, "precision": None,
}  # fmt: skip
ALONE = {"co_training": False, "label_smoothing": False, "promotion": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "confidence": {"selection": "confidence"},
    "neighbors": {"selection": "neighbors"},
    "hybrid": {"selection": "hybrid"},
    "hybrid, without co-training": {"selection": "hybrid", "co_training": False},
    "hybrid, without label smoothing": {"selection": "hybrid", "label_smoothing": False},
    "hybrid, MixMatch alone": {"selection": "hybrid", **ALONE},
    "the default": {},
}
DROPS = [("fgsm", 0.1), ("fgsm", 0.3), ("fgsm", 0.5), ("bim", 0.01), ("bim", 0.03), ("bim", 0.05)]
HEADER = [
    "accuracy",
    "ECE",
    "clean at first",
    "CPU s",
    *(f"{name.upper()} {epsilon:g}" for name, epsilon in DROPS),
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.001)
    parser.add_argument("--embedding-epochs", type=int, default=10)
    parser.add_argument("--attacked", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder, policy = options.data / options.name, GENTLE if "mnist" in options.name else PHOTO
    data = read_split(folder, "train") + read_split(folder, "test")
    n_clusters, runtime = int(data.labels.max()) + 1, Runtime("auto")
    started = time.process_time()
    settings = ContrastiveSettings(policy=policy, epochs=options.embedding_epochs)
    embedder = fit_contrastive(data.pixels, runtime, settings)
    neighbors = nearest_neighbors(embedder.transform(data.pixels, runtime), 100, runtime)
    print(f"{options.name}, {hardware(runtime)}; embedding {time.process_time() - started:.0f} CPU s")
    found: dict[str, list[list[float]]] = {}

    def note(which: str, seed: int, model: Model, said: Clustering, clean: float, seconds: float) -> None:
        numbers = scores(said, data.labels)
        table = attack({which: (model, said)}, data, runtime, options.attacked)
        drops = {(one.attack, one.epsilon): 100 * one.drop[which] for one in table.results}
        gain = numbers["accuracy"] - found["SCAN"][-1][0] if which != "SCAN" else 0.0
        row = [numbers["accuracy"], gain, numbers["ECE"], clean, seconds, *(drops[each] for each in DROPS)]
        found.setdefault(which, []).append(row)
        print(f"seed {seed}: {which:32}" + " ".join(f"{value:7.1f}" for value in row), flush=True)

    for seed in options.seeds:
        runtime, started = Runtime("auto", seed), time.process_time()
        base, network = scan_images(
            data.pixels, embedder.network, neighbors, n_clusters, policy, runtime, ScanSettings()
        )
        note("SCAN", seed, network.to(runtime.device), base, float("nan"), time.process_time() - started)
        for which in options.variants:
            started = time.process_time()
            changes = VARIANTS[which]
            schedule = {"n_epochs": options.epochs, "learning_rate": options.learning_rate}
            make = RefineSettings.paper if changes else RefineSettings
            constants = make(**{**(FEW_EPOCHS if changes else {}), **schedule, **changes})
            space = ImageSpace(data.pixels, network.backbone, policy, runtime)
            result = refine(space, base, neighbors, constants, runtime)
            said = Clustering(result.labels, result.probabilities, n_clusters, which)
            clean, seconds = 100 * float(result.was_clean.mean()), time.process_time() - started
            note(which, seed, summed(result.pair), said, clean, seconds)
    print(f"\n| | {' | '.join(HEADER)} |\n|---|{'---|' * len(HEADER)}")
    for which, rows in found.items():
        pairs = zip(np.mean(rows, axis=0), np.std(rows, axis=0), strict=True)
        print(f"| {which} | {' | '.join(f'{mean:.1f} ± {spread:.1f}' for mean, spread in pairs)} |")


if __name__ == "__main__":
    main()
