"""What confidence is worth before anybody has looked, and after fifty answers.

    python experiments/calibration.py FEATURES --sets aerial7 blood8 steel6
    python experiments/calibration.py FEATURES --sets stl10 --draws 200 --seed 1

FEATURES is a folder of `<set>_lite0.npy` (`ruc embed --embedder lite0`) with `<set>_names.txt`, the file name of each
row; the truth is that of the sets (DATA.md). Each set is clustered by `auto` with as many clusters as it has classes,
and repaired. A row a set, all in %:

before answers   confidence minus accuracy; AUROC of right against wrong by confidence, by the base's probability, by
                 the networks' softmax; area under the risk-coverage curve (the mean share of wrong among the surest)
after 50 answers ECE (15 bins of equal width) of the images that weren't asked about, mean and worst of the draws; how
                 often the 95% interval of the accuracy held the truth; the ECE of a curve that is right but for its
                 level, which the answers have to tell: with fifty, none can be nearer
learned          accuracy with the answered images alone in their right clusters, and after `ruc refine RUN` (mean and
                 least of the draws); ECE and AUROC then; how often the interval printed then held the truth
Answers say whether an image is right under the best one-to-one matching of clusters and classes. Sets that constants
were chosen on are marked.
"""

import argparse
import csv
import warnings
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from addon import DATA_FOLDER, Labels
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ruc.belief.calibration import pinned
from ruc.check.calibrate import LEVEL_SPREAD, N_STEPS, fit_answers
from ruc.check.design import draw, strata
from ruc.check.estimate import estimate_share
from ruc.check.lesson import held_out, learn
from ruc.cluster.auto import cluster
from ruc.evaluation.calibration import expected_calibration_error
from ruc.evaluation.metrics import contingency, correct_under, match_clusters
from ruc.evaluation.truth import encode_truth
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import find_neighbors, repair
from ruc.runtime import Runtime

TUNED = ("aerial7", "blood8", "waste6", "stl10", "mnist5k", "cifar10_5k", "messy_photos")
UNTUNED = ("grocery43", "steel6", "butterfly10")


@dataclass(frozen=True)
class Outcome:
    """One set, clustered and repaired: (n_samples,) of each."""

    cluster: Labels
    confidence: NDArray[np.float32]
    base: NDArray[np.float32] | None
    network: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    right_cluster: Labels
    is_right: NDArray[np.bool_]


def load(folder: Path, name: str) -> tuple[NDArray[np.float32], Labels]:
    """Unit-norm features and true labels."""
    names = (folder / f"{name}_names.txt").read_text().splitlines()
    with (DATA_FOLDER / name / "truth.csv").open(newline="") as file:
        label_of = {row["file_name"]: row["label"] for row in csv.DictReader(file)}
    rows = np.load(folder / f"{name}_lite0.npy").astype(np.float32)
    truth = np.unique([label_of[each] for each in names], return_inverse=True)[1]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), truth.astype(np.int64)


def run(features: NDArray[np.float32], truth: Labels, seed: int) -> Outcome:
    runtime, settings = Runtime("cpu", seed), RefineSettings()
    neighbors = find_neighbors(features, settings, runtime)
    base = cluster(features, int(truth.max()) + 1, "auto", runtime, neighbors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = repair(FeatureSpace(features, neighbors, runtime), base, neighbors, settings, runtime)
    labels, rows, known = result.labels, np.arange(len(features)), encode_truth(truth)
    matched = match_clusters(contingency(labels, known))
    cluster_of = np.full(len(matched), -1)
    cluster_of[matched] = np.arange(len(matched))
    networks = result.predictor.logits(torch.from_numpy(features)).softmax(dim=1).numpy()
    return Outcome(
        cluster=labels,
        confidence=result.probabilities[rows, labels],
        base=None if base.probabilities is None else base.probabilities[rows, labels],
        network=networks[rows, labels],
        probabilities=result.probabilities,
        features=features,
        right_cluster=cluster_of[known.codes],
        is_right=correct_under(matched, labels, known.codes),
    )


@dataclass(frozen=True)
class Learned:
    """Means over the draws, in [0, 1]: see the columns above."""

    placed: float
    accuracy: float
    least: float
    error: float
    auroc: float
    inside: float


def after_learning(found: Outcome, n_draws: int) -> Learned:
    """What `ruc refine RUN` makes of fifty answers that name the right cluster."""
    n, outcomes = len(found.cluster), []
    stratum = strata(found.confidence, 50)
    sizes, everyone = np.bincount(stratum), np.ones(n, bool)
    for seed in range(n_draws):
        rows = draw(stratum, found.cluster, everyone, 50, seed)
        right, rest = found.right_cluster[rows], np.setdiff1d(np.arange(n), rows)
        weights = (sizes / np.bincount(stratum[rows], minlength=len(sizes)))[stratum[rows]]
        curve = fit_answers(
            found.confidence[rows],
            found.cluster[rows],
            found.is_right[rows],
            weights,
            found.probabilities.shape[1],
        )
        said = pinned(found.probabilities, found.cluster, curve(found.confidence, found.cluster))
        taught = learn(said[rows], found.features[rows], right)(said, found.features)
        cluster = taught.argmax(axis=1)
        cluster[rows] = right
        is_right = cluster == found.right_cluster
        held = held_out(said[rows], found.features[rows], right).argmax(axis=1) == right
        share = estimate_share(held, stratum[rows], sizes)
        sure = taught[rest, cluster[rest]]
        outcomes.append(
            (
                found.is_right.mean() + (~found.is_right[rows]).sum() / n,
                is_right.mean(),
                expected_calibration_error(sure, is_right[rest]),
                roc_auc_score(is_right[rest], sure),
                share.low <= is_right.mean() <= share.high,
            )
        )
    means = np.mean(outcomes, axis=0)
    return Learned(means[0], means[1], min(one[1] for one in outcomes), *means[2:])


def least_error(found: Outcome, n_draws: int) -> float:
    """ECE of the curve that all labels give, where fifty answers drawn from it have to tell its level."""
    n, n_clusters = len(found.cluster), found.probabilities.shape[1]
    curve = fit_answers(found.confidence, found.cluster, found.is_right, np.ones(n), n_clusters)
    truth = curve(found.confidence, found.cluster).astype(np.float64)
    odds, random, errors = np.log(truth) - np.log1p(-truth), np.random.default_rng(0), []
    stratum = strata(found.confidence, 50)
    for seed in range(n_draws):
        rows = draw(stratum, found.cluster, np.ones(n, bool), 50, seed)
        is_right, level = random.random(50) < truth[rows], 0.0
        for _ in range(N_STEPS):
            said = 1 / (1 + np.exp(-odds[rows] - level))
            slope = (said - is_right).sum() + level / LEVEL_SPREAD**2
            level -= float(np.clip(slope / ((said * (1 - said)).sum() + 1 / LEVEL_SPREAD**2), -2, 2))
        said = 1 / (1 + np.exp(-odds - level))
        bins = np.minimum((said * 15).astype(int), 14)
        errors.append(np.abs(np.bincount(bins, said - truth)).sum() / n)
    return float(np.mean(errors))


def after_answers(found: Outcome, n_draws: int) -> tuple[float, float, float]:
    """ECE, mean and worst of the draws, and how often the interval held the truth."""
    n_clusters, errors, inside = int(found.cluster.max()) + 1, [], 0
    stratum = strata(found.confidence, 50)
    sizes, everyone = np.bincount(stratum), np.ones(len(stratum), bool)
    for seed in range(n_draws):
        rows = draw(stratum, found.cluster, everyone, 50, seed)
        right = found.is_right[rows]
        weights = (sizes / np.bincount(stratum[rows], minlength=len(sizes)))[stratum[rows]]
        curve = fit_answers(found.confidence[rows], found.cluster[rows], right, weights, n_clusters)
        rest = np.setdiff1d(np.arange(len(stratum)), rows)
        said = curve(found.confidence[rest], found.cluster[rest])
        errors.append(expected_calibration_error(said, found.is_right[rest]))
        share = estimate_share(right, stratum[rows], sizes)
        inside += share.low <= found.is_right.mean() <= share.high
    return float(np.mean(errors)), float(np.max(errors)), inside / n_draws


def risk_coverage(score: NDArray[np.floating], is_right: NDArray[np.bool_]) -> float:
    """Mean share of wrong images among the surest, over all numbers of these."""
    wrong = ~is_right[np.argsort(-score, kind="stable")]
    return float((wrong.cumsum() / np.arange(1, len(wrong) + 1)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features", type=Path)
    parser.add_argument("--sets", nargs="+", default=[*UNTUNED, *TUNED])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| set | accuracy | confidence minus accuracy | AUROC | AUROC base | AUROC networks | area under risk-coverage "
        "(networks) | ECE after 50 answers | least possible | worst draw | interval holds | answered ones right "
        "| learned | worst draw | ECE | AUROC | interval holds |"
    )
    print("|---" * 17 + "|")
    for name in options.sets:
        found = run(*load(options.features, name), options.seed)
        right = found.is_right
        ranked = [
            np.nan if score is None else 100 * roc_auc_score(right, score)
            for score in (found.confidence, found.base, found.network)
        ]
        mean, worst, inside = (100 * value for value in after_answers(found, options.draws))
        risks = [100 * risk_coverage(score, right) for score in (found.confidence, found.network)]
        least, taught = 100 * least_error(found, options.draws), after_learning(found, options.draws)
        tuned = " (tuned on)" if name in TUNED else ""
        print(
            f"| {name}{tuned} | {100 * right.mean():.1f} | {100 * (found.confidence.mean() - right.mean()):+.1f} | "
            + " | ".join(f"{value:.1f}" for value in ranked)
            + f" | {risks[0]:.1f} ({risks[1]:.1f}) | {mean:.1f} | {least:.1f} | {worst:.1f} | {inside:.1f} | "
            + " | ".join(f"{100 * value:.1f}" for value in astuple(taught))
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
