"""Does the fast form of image space cost accuracy? The embedding and the base of one run for every form and seed.

    ruc cluster DATA/mnist5k/images -k 10 -o run
    python experiments/fast_path.py run --truth DATA/mnist5k/truth.csv --epochs 3 --seeds 5

Forms: "fast" is the default where the hardware multiplies bfloat16 (both networks learn from each batch, only the rows
that are needed pass through them, in mixed precision); "by turns" the same with a pass for each network; "float32" that
in single precision; "exact" passes whole batches in training mode and in single precision, as the official code does.
Printed is accuracy in % (Hungarian matching) of the final labels and of the two networks alone,
mean ± standard deviation over seeds, their difference to "exact" with the same seed, and seconds of processor time.
"""

import argparse
import csv
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ruc.embed import embedder_from_state
from ruc.embed.combined import CombinedEmbedder
from ruc.embed.embedder import Embedder
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.evaluation.metrics import accuracy
from ruc.evaluation.truth import Truth, encode_truth
from ruc.images.load import load_pixels
from ruc.images.source import find_images
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import ImageSpace
from ruc.refine.trained import Pair
from ruc.repair import repair
from ruc.run_folder import read_model, read_run
from ruc.runtime import Runtime

FORMS = {
    "exact": RefineSettings(turns="pass", forwards="all", precision="float32"),
    "float32": RefineSettings(turns="pass", precision="float32"),
    "by turns": RefineSettings(turns="pass"),
    "fast": RefineSettings(),
}


def encode(truth: Path, file_names: list[str]) -> Truth:
    """The true labels in the order of the file names."""
    with truth.open(newline="") as file:
        label_of = {row["file_name"]: row["label"] for row in csv.DictReader(file)}
    return encode_truth(np.asarray([label_of[name] for name in file_names]))


def learned_part(embedder: Embedder) -> SelfSupervisedEmbedder:
    """The network among the parts of an embedding."""
    parts = embedder.parts if isinstance(embedder, CombinedEmbedder) else (embedder,)
    return next(part for part in parts if isinstance(part, SelfSupervisedEmbedder))


def networks_alone(pair: Pair, space: ImageSpace) -> NDArray[np.int64]:
    rows = torch.arange(space.n_samples)
    logits = [pair.logits(space.plain(part)) for part in rows.split(1000)]
    return torch.cat(logits).argmax(dim=1).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="a run on images, embedded from scratch")
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--images", type=int, help="so many of them; default: all")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    run = read_run(options.run)
    rows = np.linspace(0, len(run.file_names) - 1, options.images or len(run.file_names)).astype(int)
    source = find_images(Path(run.settings["source"]))
    pixels = load_pixels(source, run.settings["image_size"], Runtime("cpu")).pixels[rows]
    known = encode(options.truth, [source.file_names[row] for row in rows])
    embedder = learned_part(embedder_from_state(read_model(options.run)["embedder"]))
    neighbors = nearest_neighbors(run.features[rows], 100, Runtime("cpu"))
    base = Clustering(run.initial_cluster[rows], None, int(run.settings["n_clusters"]), run.settings["base"])
    print(
        f"base: {100 * accuracy(base.labels, known):.2f}; {len(rows)} images, {options.epochs} epochs",
        flush=True,
    )
    found: dict[str, list[tuple[float, float, float]]] = {form: [] for form in options.forms}
    for seed in range(options.seeds):
        seeded = Runtime("cpu", seed)
        space = ImageSpace(pixels, embedder.network, embedder.policy, seeded)
        for form in options.forms:
            settings, started = replace(FORMS[form], n_epochs=options.epochs), time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = repair(space, base, neighbors, settings, seeded)
            seconds = time.process_time() - started
            alone = networks_alone(result.predictor.pair, space)
            found[form].append((100 * accuracy(result.labels, known), 100 * accuracy(alone, known), seconds))
            print(f"seed {seed} {form}: {found[form][-1]}", flush=True)
    print("| form | labels | networks alone | difference to exact: labels | networks | CPU s |")
    print("|---|---|---|---|---|---|")
    for form, rows in found.items():
        here, exact = np.asarray(rows), np.asarray(found[options.forms[0]])
        columns = [*here.T[:2], *(here - exact).T[:2]]
        shown = [f"{column.mean():.2f} ± {column.std():.2f}" for column in columns]
        print(f"| {form} | {' | '.join(shown)} | {here[:, 2].mean():.0f} |")


if __name__ == "__main__":
    main()
