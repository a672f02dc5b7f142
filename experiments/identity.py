"""Whether a change of the code changed a result: the same outcomes, bit for bit, before and after.

    git switch --detach BEFORE && python experiments/identity.py save before.json
    git switch AFTER && python experiments/identity.py compare before.json
    python experiments/identity.py save before.json --cases large

Through the public doors alone, so that it runs on any revision: scikit-learn's digits by every base, with labels given
(30% wrong, 30% missing) and with the number of clusters estimated; 1,000 images of mnist5k on pixels, 300 in image
space (DATA.md); 20,000 samples of 32 features, `large`: 120,000. Bits are the same on one machine with one number of
threads only. `compare` ends with status 1 where something differs, and says what.
"""

import argparse
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits, make_blobs

from ruc import ImageClusterer, RobustClusterer
from ruc.refine.settings import RefineSettings

DATA_FOLDER = Path(os.environ.get("RUC_DATA", Path(__file__).parents[1] / "../shared/data"))
BASES = ("auto", "kmeans", "graph", "scan", "mixture", "spectral", "density")
Clusterer = ImageClusterer | RobustClusterer


def digits(base: str, seed: int = 0) -> Clusterer:
    features, _ = load_digits(return_X_y=True)
    n_clusters = None if base == "density" else 10
    return RobustClusterer(n_clusters, base=base, random_state=seed).fit(features)


def digits_given(kind: str) -> Clusterer:
    features, truth = load_digits(return_X_y=True)
    random = np.random.default_rng(0)
    chosen = random.random(len(truth)) < 0.3
    labels = np.where(chosen, -1 if kind == "missing" else random.integers(0, 10, len(truth)), truth)
    return RobustClusterer(random_state=0).fit(features, initial_labels=labels)


def digits_auto() -> Clusterer:
    features, _ = load_digits(return_X_y=True)
    return RobustClusterer("auto", random_state=0).fit(features)


def mnist(space: str, n_images: int, **settings: object) -> Clusterer:
    paths = sorted((DATA_FOLDER / "mnist5k/images").iterdir())[:n_images]
    model = ImageClusterer(10, space=space, random_state=0, device="cpu", **settings)
    return model.fit(paths)


def blobs(n_samples: int) -> Clusterer:
    features, _ = make_blobs(n_samples, 32, centers=40, cluster_std=4.0, random_state=0)
    return RobustClusterer(40, random_state=0).fit(features)


CASES: dict[str, Callable[[], Clusterer]] = {
    **{f"digits {base}": lambda base=base: digits(base) for base in BASES},  # type: ignore[misc]
    "digits graph, seed 1": lambda: digits("graph", 1),
    "digits 30% wrong": lambda: digits_given("wrong"),
    "digits 30% missing": lambda: digits_given("missing"),
    "digits K auto": digits_auto,
    "mnist5k pixels": lambda: mnist("feature", 1000, embedder="pixels"),
    "mnist5k image space": lambda: mnist(
        "image", 300, embedder="scratch", settings=RefineSettings(n_epochs=2), image_size=28
    ),
    "20,000 samples": lambda: blobs(20_000),
    "large": lambda: blobs(120_000),
}


def outcome(model: Clusterer) -> dict[str, str]:
    """A short hash of each result."""
    results = {
        name: np.ascontiguousarray(getattr(model, name))
        for name in ("labels_", "was_clean_", "is_clean_", "probabilities_")
    }
    return {name: hashlib.sha256(array.tobytes()).hexdigest()[:12] for name, array in results.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("save", "compare"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--cases", nargs="+", choices=CASES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    before = json.loads(given.path.read_text()) if given.path.exists() else {}
    asked = given.cases or [name for name in CASES if name != "large"]
    differing = 0
    for name in asked:
        found = outcome(CASES[name]())
        if given.what == "save":
            before[name] = found
            given.path.write_text(json.dumps(before, indent=1))
            print(name, *found.values(), flush=True)
            continue
        other = [result for result, digest in found.items() if before.get(name, {}).get(result) != digest]
        differing += bool(other)
        print(f"{name}: {'differs in ' + ', '.join(other) if other else 'the same'}", flush=True)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
