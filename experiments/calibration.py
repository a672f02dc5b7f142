"""What confidence is worth before anybody has looked, and after fifty answers.

    python experiments/calibration.py FEATURES --sets aerial7 blood8 steel6
    python experiments/calibration.py FEATURES --sets stl10 --embedders lite0 --draws 200 --seed 1

FEATURES is a folder of `<set>_<embedder>.npy` (`ruc embed --embedder lite0`) with `<set>_names.txt`, the file name of
each row; the truth is that of the sets (DATA.md). Each set is clustered by `auto` with as many clusters as it has
classes, and repaired, on what `ruc cluster` takes for photographs: Lite0 and Lite2, seen from the mean of the images.
Three tables with a row for each set, all in % but for sizes:

before answers   confidence minus accuracy; ECE; AUROC of right against wrong by confidence, by the base's probability,
                 by the networks' softmax; area under the risk-coverage curve (the mean share of wrong among the surest)
after 50 answers ECE (15 bins of equal width) of the images that weren't asked about, mean and worst of the draws; how
                 often the 95% interval of the accuracy held the truth; the ECE of a curve that is right but for its
                 level, which the answers have to tell: with fifty, none can be nearer
learned          accuracy with the answered images alone in their right clusters, and after `ruc refine RUN` (mean and
                 least of the draws); ECE and AUROC then; how often the interval printed then held the truth, and how
                 wide it was; the same once fifty further answers judge what was learned
--coverage 90%   how often the right cluster was possible for images that weren't asked about (mean of the draws), and
                 how many clusters were; after 50 and 100 answers, and after learning from 50
Answers say whether an image is right under the best one-to-one matching of clusters and classes. Sets that constants
were chosen on are marked.
"""

import argparse
import csv
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from addon import DATA_FOLDER, Labels
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ruc.belief.calibration import pinned
from ruc.check.calibrate import LEVEL_SPREAD, N_STEPS, fit_answers, without_its_answer
from ruc.check.checked import HELD_OUT_WORTH
from ruc.check.coverage import least_probability
from ruc.check.design import draw, strata
from ruc.check.estimate import Share, estimate_share, share_with_known
from ruc.check.lesson import held_out, learn
from ruc.cluster.auto import cluster
from ruc.evaluation.calibration import expected_calibration_error
from ruc.evaluation.metrics import contingency, correct_under, match_clusters
from ruc.evaluation.truth import encode_truth
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import find_neighbors, repair
from ruc.runtime import Runtime
from ruc.side_by_side import join

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


def load(folder: Path, name: str, embedders: list[str]) -> tuple[list[NDArray[np.float32]], Labels]:
    """Unit-norm features of each embedder, seen from their mean, and true labels."""
    names = (folder / f"{name}_names.txt").read_text().splitlines()
    with (DATA_FOLDER / name / "truth.csv").open(newline="") as file:
        label_of = {row["file_name"]: row["label"] for row in csv.DictReader(file)}
    known = np.array([each in label_of for each in names])
    truth = np.unique([label_of[each] for each in names if each in label_of], return_inverse=True)[1]
    parts = [np.load(folder / f"{name}_{each}.npy").astype(np.float32) for each in embedders]
    parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    parts = [part - part.mean(axis=0) for part in parts]
    return [(part / np.linalg.norm(part, axis=1, keepdims=True))[known] for part in parts], truth.astype(
        np.int64
    )


def run(parts: list[NDArray[np.float32]], truth: Labels, seed: int) -> Outcome:
    runtime, settings, features = Runtime("cpu", seed), RefineSettings(), join(parts)
    neighbors = find_neighbors(features, settings, runtime, parts)
    base = cluster(features, int(truth.max()) + 1, "auto", runtime, neighbors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        n_first = parts[0].shape[1] if len(parts) > 1 else None
        space = FeatureSpace(features, neighbors, runtime, n_first=n_first)
        result = repair(space, base, neighbors, settings, runtime)
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
class Answered:
    """One draw of answers: the rows, their right clusters, what the run says of all images once it knows them, and what
    of each of these once it knows others of them.
    """

    rows: NDArray[np.int64]
    right: Labels
    confidence: NDArray[np.float32]
    said: NDArray[np.float32]
    unseen: NDArray[np.float32]


def answered(found: Outcome, n_answers: int, seed: int) -> Answered:
    n = len(found.cluster)
    stratum = strata(found.confidence, n_answers)
    rows = draw(stratum, found.cluster, np.ones(n, bool), n_answers, seed)
    sizes = np.bincount(stratum)
    weights = (sizes / np.bincount(stratum[rows], minlength=len(sizes)))[stratum[rows]]
    asked = (
        found.confidence[rows],
        found.cluster[rows],
        found.is_right[rows],
        weights,
        found.probabilities.shape[1],
    )
    confidence = fit_answers(*asked)(found.confidence, found.cluster)
    unseen = pinned(found.probabilities[rows], found.cluster[rows], without_its_answer(*asked))
    said = pinned(found.probabilities, found.cluster, confidence)
    return Answered(rows, found.right_cluster[rows], confidence, said, unseen)


@dataclass(frozen=True)
class Learned:
    """Means over the draws, in [0, 1]: see the columns above."""

    placed: float
    accuracy: float
    least: float
    error: float
    auroc: float
    inside: float
    width: float
    inside_again: float
    width_again: float
    covered: float
    n_possible: float  # clusters


def after_learning(found: Outcome, n_draws: int) -> Learned:
    """What `ruc refine RUN` makes of fifty answers that name the right cluster, and fifty others say of it."""
    n, outcomes = len(found.cluster), []
    stratum = strata(found.confidence, 50)
    sizes = np.bincount(stratum)
    for seed in range(n_draws):
        given = answered(found, 50, seed)
        rows, right, said = given.rows, given.right, given.said
        is_open = np.ones(n, bool)
        is_open[rows] = False
        taught = learn(said[rows], found.features[rows], right)(said, found.features)
        cluster = taught.argmax(axis=1)
        cluster[rows] = right
        is_right = cluster == found.right_cluster
        held = held_out(said[rows], found.features[rows], right, given.unseen)
        judged, worth = held.argmax(axis=1) == right, np.full(50, HELD_OUT_WORTH)

        def share_of(
            rows: Labels, judged: NDArray[np.bool_], worth: NDArray[np.float64], accuracy: float
        ) -> tuple[bool, float]:
            known = np.bincount(stratum[rows], minlength=len(sizes))
            share = share_with_known(judged, stratum[rows], worth, sizes, known, len(rows))
            return holds(share, accuracy), share.high - share.low

        more = draw(stratum, cluster, is_open, 50, n_draws + seed)
        placed = is_right.copy()
        placed[more] = True
        rest = np.flatnonzero(is_open)
        sure = taught[rest, cluster[rest]]
        sets = possible(taught[rest], held[np.arange(50), right], found.right_cluster[rest])
        outcomes.append(
            (
                found.is_right.mean() + (~found.is_right[rows]).sum() / n,
                is_right.mean(),
                expected_calibration_error(sure, is_right[rest]),
                roc_auc_score(is_right[rest], sure),
                *share_of(rows, judged, worth, is_right.mean()),
                *share_of(
                    np.concatenate([rows, more]),
                    np.concatenate([judged, is_right[more]]),
                    np.concatenate([worth, np.ones(50)]),
                    placed.mean(),
                ),
                *sets,
            )
        )
    means = np.mean(outcomes, axis=0)
    return Learned(means[0], means[1], min(one[1] for one in outcomes), *means[2:])


def holds(share: Share, accuracy: float) -> bool:
    """Whether the interval does, as far as floating numbers go."""
    return bool(share.low - 1e-9 <= accuracy <= share.high + 1e-9)


def possible(
    probabilities: NDArray[np.float32], of_right: NDArray[np.floating], right: Labels
) -> tuple[float, float]:
    """How often the right cluster is among those `--coverage 90%` calls possible, and how many these are."""
    is_possible = probabilities >= least_probability(of_right, 0.9)
    rows = np.arange(len(right))
    is_possible[rows, probabilities.argmax(axis=1)] = True
    return float(is_possible[rows, right].mean()), float(is_possible.sum(axis=1).mean())


def coverage(found: Outcome, n_answers: int, n_draws: int) -> tuple[float, float]:
    """`possible` after so many answers, of the images that weren't asked about: means over the draws."""
    outcomes = []
    for seed in range(n_draws):
        given = answered(found, n_answers, seed)
        rest = np.setdiff1d(np.arange(len(found.cluster)), given.rows)
        of_right = given.unseen[np.arange(n_answers), given.right]
        outcomes.append(possible(given.said[rest], of_right, found.right_cluster[rest]))
    covered, n_possible = np.mean(outcomes, axis=0)
    return float(covered), float(n_possible)


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
    errors, inside = [], 0
    stratum = strata(found.confidence, 50)
    sizes = np.bincount(stratum)
    for seed in range(n_draws):
        given = answered(found, 50, seed)
        rest = np.setdiff1d(np.arange(len(stratum)), given.rows)
        errors.append(expected_calibration_error(given.confidence[rest], found.is_right[rest]))
        share = estimate_share(found.is_right[given.rows], stratum[given.rows], sizes)
        inside += holds(share, found.is_right.mean())
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
    parser.add_argument("--embedders", nargs="+", default=["lite0", "lite2"])
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables: list[list[str]] = [[], [], []]
    for name in options.sets:
        found = run(*load(options.features, name, options.embedders), options.seed)
        title = f"| {name}{' (tuned on)' if name in TUNED else ''} | "
        for table, cells in zip(tables, rows_of(found, options.draws), strict=True):
            table.append(title + " | ".join(cells) + " |")
            print(table[-1], flush=True)
    for columns, table in zip(COLUMNS, tables, strict=True):
        print(f"\n| set | {columns} |\n" + "|---" * (columns.count("|") + 2) + "|\n" + "\n".join(table))


COLUMNS = (
    "accuracy | confidence minus accuracy | ECE | AUROC | AUROC base | AUROC networks "
    "| area under risk-coverage (networks) | ECE after 50 answers | least possible | worst draw | interval holds",
    "before | answered ones placed | learned | worst draw | ECE | AUROC | interval holds | width "
    "| 50 more: interval holds | width",
    "50 answers: holds | clusters | 100 answers: holds | clusters | learned from 50: holds | clusters",
)


def rows_of(found: Outcome, n_draws: int) -> tuple[list[str], list[str], list[str]]:
    """The cells of a set in the three tables."""
    right = found.is_right
    ranked = [
        np.nan if score is None else 100 * roc_auc_score(right, score)
        for score in (found.confidence, found.base, found.network)
    ]
    error = 100 * expected_calibration_error(found.confidence, right)
    mean, worst, inside = (100 * value for value in after_answers(found, n_draws))
    risks = [100 * risk_coverage(score, right) for score in (found.confidence, found.network)]
    least, taught = 100 * least_error(found, n_draws), after_learning(found, n_draws)
    sets = coverage(found, 50, n_draws), coverage(found, 100, n_draws), (taught.covered, taught.n_possible)
    learned = (
        taught.placed, taught.accuracy, taught.least, taught.error, taught.auroc,
        taught.inside, taught.width, taught.inside_again, taught.width_again,
    )  # fmt: skip
    return (
        [
            f"{100 * right.mean():.1f}",
            f"{100 * (found.confidence.mean() - right.mean()):+.1f}",
            *(f"{value:.1f}" for value in (error, *ranked)),
            f"{risks[0]:.1f} ({risks[1]:.1f})",
            *(f"{value:.1f}" for value in (mean, least, worst, inside)),
        ],
        [f"{100 * value:.1f}" for value in (right.mean(), *learned)],
        [text for held, n in sets for text in (f"{100 * held:.1f}", f"{n:.1f}")],
    )


if __name__ == "__main__":
    main()
