"""What batch normalisation's statistics of the plain images bring SCAN on images: without them, and as it is now.

    python experiments/scan_statistics.py DATA [--images 1000] [--epochs 30] [--seeds 2]

DATA is a folder with `images/` and `truth.csv`. One contrastive backbone, by `--epochs` passes over the images; SCAN,
self-labelling included, from each seed twice. "without" takes running averages over views, as before. Accuracy in %,
how many clusters are left that hold an image, and seconds of processor time.
"""

import argparse
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from addon import score

from ruc.cluster import scan_images
from ruc.embed.contrastive import ContrastiveSettings, fit_contrastive
from ruc.embed.scratch import suit_settings
from ruc.evaluation.truth import read_truth
from ruc.images.load import choose_size, load_pixels
from ruc.images.source import find_images
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int)
    parser.add_argument("--epochs", type=int, help="of the embedding; as many as a run takes if left out")
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    runtime = Runtime("cpu")
    source = find_images(given.data / "images")
    source = source.take(range(min(given.images or len(source), len(source))))
    images = load_pixels(source, choose_size(source), runtime)
    truth = read_truth(given.data / "truth.csv", images.file_names)
    settings, _ = suit_settings(ContrastiveSettings(epochs=given.epochs), images.pixels, runtime)
    started = time.process_time()
    embedder = fit_contrastive(images.pixels, runtime, settings)
    neighbors = nearest_neighbors(embedder.transform(images.pixels, runtime), 20, runtime)
    seconds = time.process_time() - started
    print(f"{given.data.name}, {len(images.pixels)} images: embedded in {seconds:.0f} s", flush=True)
    for seed in range(given.seeds):
        for how in ("without", "as now"):
            started = time.process_time()
            with mock.patch.object(
                scan_images, "_settle", scan_images._settle if how == "as now" else lambda *_: None
            ):
                found, _ = scan_images.scan_images(
                    images.pixels, embedder.network, neighbors, len(truth.classes), settings.policy,
                    Runtime("cpu", seed),
                )  # fmt: skip
            n_left = len(np.unique(found.labels))
            accuracy = score(truth.codes[truth.is_known], found.labels[truth.is_known])
            seconds = time.process_time() - started
            print(f"  seed {seed}, {how}: {accuracy:.1f}, {n_left} clusters, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
