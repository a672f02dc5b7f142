"""How many of the errors left are among the first 5% of the images to review, by several rankings.

    python experiments/review.py run/ --truth DATA/mnist5k/truth.csv
    python experiments/review.py runs/*/ --truth truth.csv --share 0.05

Errors are images whose cluster isn't their class under the best one-to-one matching. `doubt` is what review.csv is
ranked by; the others are what it could have been. inside: share of all errors that are in the list; hits: share of the
list that is errors; AUROC: of errors against the rest. Means over runs.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ruc.evaluation.metrics import contingency, correct_under, match_clusters
from ruc.evaluation.truth import read_truth
from ruc.neighbors.search import nearest_neighbors
from ruc.run_folder import Run, read_run
from ruc.runtime import Runtime


def rankings(run: Run) -> dict[str, NDArray[np.float64]]:
    """Name to (n,) scores, the most doubtful highest."""
    neighbors = nearest_neighbors(run.features, 30, Runtime("cpu")).indices
    ordered = -np.sort(-run.probabilities, axis=1)
    sure, margin = ordered[:, 0], ordered[:, 0] - ordered[:, 1]
    same = run.cluster[neighbors] == run.cluster[:, None]
    shared = run.probabilities[neighbors].mean(axis=1)[np.arange(len(sure)), run.cluster]
    return {
        "doubt": run.marks["doubt"].astype(float),
        "1 - confidence": 1 - sure,
        "margin of the two best": -margin,
        "margin × neighbours": -margin * (0.5 + 0.5 * same[:, :10].mean(axis=1)),
        "10 neighbours": 1 - same[:, :10].mean(axis=1),
        "30 neighbours": 1 - same.mean(axis=1),
        "confidence × neighbours' probability": 1 - sure * shared,
        "at random": np.random.default_rng(0).random(len(sure)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.05)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float, float]]] = {}
    possible, shares = [], []
    for folder in options.runs:
        run = read_run(folder)
        truth = read_truth(options.truth, run.file_names)
        right = correct_under(
            match_clusters(contingency(run.cluster, truth)), run.cluster, np.asarray(truth.codes)
        )
        wrong = ~right & (truth.codes >= 0)
        n_listed = int(np.ceil(options.share * len(wrong)))
        shares.append(wrong.mean())
        possible.append(min(1.0, n_listed / wrong.sum()))
        for name, score in rankings(run).items():
            listed = np.argsort(-score, kind="stable")[:n_listed]
            row = (
                wrong[listed].sum() / wrong.sum(),
                wrong[listed].mean(),
                float(roc_auc_score(wrong, score)),
            )
            found.setdefault(name, []).append(row)
    print(
        f"{len(options.runs)} runs: {np.mean(shares):.1%} wrong; at most {np.mean(possible):.0%} can be inside"
    )
    print("| ranking | inside | hits | AUROC |\n|---|---|---|---|")
    for name, rows in found.items():
        inside, hits, area = (100 * value for value in np.mean(rows, axis=0))
        print(f"| {name} | {inside:.0f} | {hits:.0f} | {area:.1f} |")


if __name__ == "__main__":
    main()
