"""What `--embedder auto` takes, and beside it how good the base clustering is on what it could have taken.

    python experiments/embedder_choice.py DATA ... [--embedders lite0+lite2,pixels,scratch] [--cache DIR]

DATA is a folder with `images/` and `truth.csv`. The choice never sees the truth; the accuracies do. A choice is right
where the embedder that was taken is the one with the best accuracy of `--base graph`, in %. "scratch" takes minutes.
"""

import argparse
from pathlib import Path

from ruc.cache import Cache
from ruc.cluster.auto import cluster
from ruc.embedding import EmbedTask, chosen_embedders, embed_images
from ruc.evaluation.metrics import accuracy
from ruc.evaluation.truth import read_truth
from ruc.images.reading import Reading
from ruc.images.source import find_images
from ruc.images.survey import survey
from ruc.refine.settings import RefineSettings
from ruc.repair import find_neighbors
from ruc.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--embedders", default="lite0+lite2,pixels,scratch")
    parser.add_argument("--cache", type=Path, default=Path(".ruc_cache"))
    given = parser.parse_args()
    runtime, cache = Runtime("cpu"), Cache(given.cache)
    for data in given.data:
        source = survey(find_images(data / "images"), Reading())
        taken, why = chosen_embedders(source, ("auto",), runtime, cache)
        print(f"{data.name}: {why}", flush=True)
        scores = {}
        for name in filter(None, given.embedders.split(",")):
            embedded = embed_images(
                EmbedTask(source, runtime, None, 0.2, cache=cache, is_centered=True), name.split("+")
            )
            truth = read_truth(data / "truth.csv", embedded.file_names)
            neighbors = find_neighbors(embedded.features, RefineSettings(), runtime, embedded.parts)
            n_clusters = len(truth.classes)
            found = cluster(embedded.features, n_clusters, "graph", runtime, neighbors)
            known = truth.is_known
            scores[name] = 100 * accuracy(found.labels[known], truth.codes[known])
        shown = ", ".join(f"{name} {score:.1f}" for name, score in scores.items())
        best = max(scores, key=scores.__getitem__, default="")
        verdict = "" if not scores else ("right" if best == "+".join(taken) else f"wrong: {best} is better")
        print(f"  takes {'+'.join(taken)}; {shown}; {verdict}", flush=True)


if __name__ == "__main__":
    main()
