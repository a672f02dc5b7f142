"""How well `fit_scratch` chooses, though it sees no labels.

For each set of images: what the mirror test says; then, for each views policy and each kind of features, the
modularity that the choice is made by, beside what the labels say of the neighbours. Labels are used here alone.

    python experiments/scratch_views.py --data DATA [--epochs 3]

Hardware, time and the table of a run are in experiments/LOG.md.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from ruc.embed.combined import CombinedEmbedder
from ruc.embed.contrastive import ContrastiveSettings, fit_contrastive
from ruc.embed.mirror import mirrored_share
from ruc.embed.pixels import fit_pixels
from ruc.embed.scratch import MOST_MIRRORED, N_GROUPS
from ruc.images.views import GENTLE, PHOTO
from ruc.neighbors.modularity import neighbor_modularity
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

PIXEL_WEIGHTS = (0.3, 0.6)

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mnist5k and cifar10_5k")
    parser.add_argument(
        "--epochs", type=int, default=3, help="of training for each policy; 4 times for digits"
    )
    parser.add_argument("--sets", nargs="*", default=["digits", "mnist5k", "cifar10_5k", "cifar10_5k grey"])
    options = parser.parse_args()
    runtime = Runtime(device_name="cpu")
    for name in options.sets:
        pixels, labels = read(name, options.data)
        share = mirrored_share(pixels, runtime)
        chosen = "gentle" if share > MOST_MIRRORED else "photo"
        print(f"\n{name}: {pixels.shape}, mirrored share {share:.2f} -> {chosen} views")
        print(f"{'views':8} {'features':26} {'modularity':>10} {'1-NN':>6} {'20-NN':>6} {'CPU s':>6}")
        for policy_name, policy in (("gentle", GENTLE), ("photo", PHOTO)):
            started = time.process_time()
            epochs = options.epochs * (4 if name == "digits" else 1)
            network = fit_contrastive(pixels, runtime, ContrastiveSettings(policy=policy, epochs=epochs))
            learned, seconds = network.transform(pixels, runtime), time.process_time() - started
            plain = fit_pixels(pixels)
            flat = plain.transform(pixels, runtime)
            rows = {"contrastive": learned, "pixels": flat}
            for weight in PIXEL_WEIGHTS:
                both = CombinedEmbedder((network, plain), (1.0, weight))
                rows[f"contrastive+{weight}*pixels"] = both.join([learned, flat])
            clarity = {
                kind: neighbor_modularity(features, N_GROUPS, runtime) for kind, features in rows.items()
            }
            best = max(clarity, key=lambda kind: clarity[kind])
            for kind, features in rows.items():
                one, twenty = neighbours_right(features, labels, runtime)
                mark = " <- chosen" if policy_name == chosen and kind == best else ""
                print(
                    f"{policy_name:8} {kind:26} {clarity[kind]:10.3f} {one:6.1%} {twenty:6.1%} {seconds:6.0f}{mark}",
                    flush=True,
                )


def read(name: str, data: Path) -> Images:
    """Images as (n, channels, side, side) uint8, and their classes."""
    if name == "digits":
        digits = load_digits()
        return (digits.images * 15.9375).astype(np.uint8)[:, None], digits.target
    folder, _, grey = name.partition(" ")
    with (data / folder / "truth.csv").open() as file:
        truth = sorted((row["file_name"], row["label"]) for row in csv.DictReader(file))
    mode = "L" if grey or folder == "mnist5k" else "RGB"
    images = [
        np.asarray(Image.open(data / folder / "images" / file_name).convert(mode)) for file_name, _ in truth
    ]
    stacked = np.stack([image[None] if image.ndim == 2 else image.transpose(2, 0, 1) for image in images])
    return stacked, np.unique([label for _, label in truth], return_inverse=True)[1]


def neighbours_right(
    features: NDArray[np.float32], labels: NDArray[np.int64], runtime: Runtime
) -> tuple[float, float]:
    """Share of images whose nearest neighbour, and whose majority of 20 neighbours, is of their class."""
    near = labels[nearest_neighbors(features, 20, runtime).indices]
    majority = np.array([np.bincount(row).argmax() for row in near])
    return float((near[:, 0] == labels).mean()), float((majority == labels).mean())


if __name__ == "__main__":
    main()
