"""What RUC adds in image space on a packaged network, beside feature space, from the same base.

    python experiments/last_blocks.py DATA ... [--images 600] [--embedder lite0] [--bases kmeans graph]

DATA is a folder with `images/` and `truth.csv`; `--images` takes the first so many. Printed of each base: accuracy in %
before → after and ECE (15 bins), in feature space and in image space, in this the accuracy of the two networks alone
too; seconds of processor time, and in brackets of the clock, of the maps, which are made once for all bases and seeds,
and of each repair. How long a whole set takes on two cores: `--threads 2 --bases kmeans` on a quiet machine.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from addon import calibration_error, score

from ruc.cache import Cache
from ruc.cluster.auto import cluster
from ruc.embedding import Embedding, EmbedTask, embed_images
from ruc.evaluation.truth import read_truth
from ruc.image_space import packaged_names, space_of_packaged
from ruc.images.reading import Reading
from ruc.images.source import find_images
from ruc.images.survey import survey
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace, Space
from ruc.repair import find_neighbors, repair
from ruc.run_folder import Checkpoints
from ruc.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--images", type=int)
    parser.add_argument("--embedder", default="lite0")
    parser.add_argument("--bases", nargs="+", default=["kmeans", "graph"])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--side", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=Path(".ruc_cache"))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(given.threads)
    for data in given.data:
        source = survey(find_images(data / "images"), Reading())
        source = source.take(range(min(given.images or len(source), len(source))))
        runtime = Runtime("cpu")
        names = given.embedder.split("+")
        embedded = embed_images(
            EmbedTask(source, runtime, None, 0.2, cache=Cache(given.cache), is_centered=True), names
        )
        started = now()
        images = source.take(embedded.rows)
        maps = space_of_packaged(packaged_names(embedded), images, given.side, runtime, Checkpoints())
        print(f"{data.name}, {len(images)} images, {given.embedder}: maps {since(started)}", flush=True)
        for base_name in given.bases:
            for seed in range(given.seeds):
                measure(data, embedded, maps, base_name, Runtime("cpu", seed), given)


def measure(
    data: Path,
    embedded: Embedding,
    maps: Space,
    base_name: str,
    runtime: Runtime,
    given: argparse.Namespace,
) -> None:
    """One line for a base and a seed."""
    truth = read_truth(data / "truth.csv", embedded.file_names)
    known, codes = truth.is_known, truth.codes[truth.is_known]
    neighbors = find_neighbors(embedded.features, RefineSettings(), runtime, embedded.parts)
    base = cluster(embedded.features, len(truth.classes), base_name, runtime, neighbors)
    line = f"  {base_name}, seed {runtime.seed}: base {score(codes, base.labels[known]):.1f}"
    n_first = next(iter(embedded.embeddings.values()), None)
    heads = FeatureSpace(embedded.features, neighbors, runtime, n_first=n_first)
    for where, space in (("feature", heads), ("image", maps)):
        settings = RefineSettings()
        if where == "image":
            settings = RefineSettings(n_epochs=given.epochs, learning_rate=given.rate)
        started = now()
        found = repair(space, base, neighbors, settings, runtime)
        seconds = since(started)
        error = calibration_error(codes, found.labels[known], found.probabilities[known])
        line += f"; {where} space {score(codes, found.labels[known]):.1f}, ECE {error:.1f}"
        if where == "image":
            rows = torch.arange(space.n_samples).split(500)
            alone = [found.predictor.pair.logits(space.plain(part)).argmax(dim=1).numpy() for part in rows]
            line += f", networks alone {score(codes, np.concatenate(alone)[known]):.1f}"
        line += f", {seconds}"
    print(line, flush=True)


def now() -> tuple[float, float]:
    return time.process_time(), time.perf_counter()


def since(started: tuple[float, float]) -> str:
    processor, clock = (after - before for after, before in zip(now(), started, strict=True))
    return f"{processor:.0f} s ({clock:.0f})"


if __name__ == "__main__":
    main()
