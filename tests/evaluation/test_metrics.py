import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn import metrics as sklearn_metrics

from ruc.errors import InputError
from ruc.evaluation.metrics import (
    accuracy,
    adjusted_rand_index,
    confusion_matrix,
    contingency,
    match_clusters,
    normalized_mutual_information,
    per_cluster_scores,
    purity,
    share_by_chance,
)
from ruc.evaluation.truth import encode_truth

SHAPES = [(1, 1, 1), (2, 1, 2), (60, 1, 4), (60, 4, 1), (200, 5, 5), (200, 9, 4), (200, 3, 7), (500, 10, 10)]


def random_partitions(n_samples, n_clusters, n_classes, seed):
    random = np.random.default_rng(seed)
    truth = random.integers(n_classes, size=n_samples)
    noise = random.integers(n_clusters, size=n_samples)
    return np.where(random.random(n_samples) < 0.6, (truth * 7 + 3) % n_clusters, noise), truth


def accuracy_by_permutations(clusters, truth):
    """Best accuracy over every injective map between clusters and classes: no matching algorithm at all."""
    from itertools import permutations

    groups, classes = sorted(set(clusters)), sorted(set(truth))
    if len(groups) > len(classes):
        classes = classes + [None] * (len(groups) - len(classes))
    best = 0
    for chosen in permutations(classes, len(groups)):
        means = dict(zip(groups, chosen, strict=True))
        best = max(best, sum(means[c] == t for c, t in zip(clusters, truth, strict=True)))
    return best / len(truth)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_nmi_ari_and_purity_agree_with_sklearn(shape, seed):
    clusters, truth = random_partitions(*shape, seed)
    table = sklearn_metrics.cluster.contingency_matrix(truth, clusters)
    assert normalized_mutual_information(clusters, truth) == pytest.approx(
        sklearn_metrics.normalized_mutual_info_score(truth, clusters), abs=1e-12
    )
    assert adjusted_rand_index(clusters, truth) == pytest.approx(
        sklearn_metrics.adjusted_rand_score(truth, clusters), abs=1e-12
    )
    assert purity(clusters, truth) == pytest.approx(table.max(axis=0).sum() / len(truth))


@pytest.mark.parametrize("shape", [(12, 1, 3), (12, 3, 1), (30, 4, 4), (30, 6, 3), (30, 3, 5)])
@pytest.mark.parametrize("seed", range(4))
def test_accuracy_is_the_best_of_all_permutations(shape, seed):
    clusters, truth = random_partitions(*shape, seed)
    assert accuracy(clusters, truth) == pytest.approx(
        accuracy_by_permutations(clusters.tolist(), truth.tolist())
    )


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
def test_torchmetrics_agrees():
    import torch
    from torchmetrics.functional.clustering import adjusted_rand_score, normalized_mutual_info_score

    clusters, truth = random_partitions(300, 8, 5, seed=5)
    pair = torch.from_numpy(clusters), torch.from_numpy(truth)
    assert normalized_mutual_information(clusters, truth) == pytest.approx(
        float(normalized_mutual_info_score(*pair)), abs=1e-5
    )
    assert adjusted_rand_index(clusters, truth) == pytest.approx(float(adjusted_rand_score(*pair)), abs=1e-5)


def test_worked_by_hand():
    clusters = [0, 0, 0, 1, 1, 2, 2, 2]
    truth = list("aabbbccb")
    # one-to-one: 0→a (2), 1→b (2), 2→c (2)
    assert contingency(clusters, truth).tolist() == [[2, 1, 0], [0, 2, 0], [0, 1, 2], [0, 0, 0]]
    assert accuracy(clusters, truth) == 6 / 8
    first, second, third = per_cluster_scores(clusters, truth)
    assert (first.matched_class, first.precision, first.recall) == ("a", 2 / 3, 1.0)
    assert (second.matched_class, second.precision, second.recall) == ("b", 1.0, 0.5)
    assert (third.matched_class, third.size, third.majority_share) == ("c", 3, 2 / 3)


def test_more_clusters_than_classes_one_to_one_and_purity():
    clusters, truth = [0, 0, 1, 1, 2, 2], ["x", "x", "x", "y", "y", "y"]
    assert accuracy(clusters, truth) == 4 / 6
    assert purity(clusters, truth) == 5 / 6
    unmatched = [score for score in per_cluster_scores(clusters, truth) if score.matched_class is None]
    assert [score.cluster for score in unmatched] == [1]
    assert np.isnan(unmatched[0].precision)


def test_agreement_by_chance_is_a_permutation_test():
    from scipy.stats import kstest

    shares = [share_by_chance(*random_partitions(80, 4, 4, seed)[::-1]) for seed in range(5)]
    assert shares == [0.01] * 5  # none of 99 shuffled truths agrees as well
    random = np.random.default_rng(0)
    unrelated = [
        share_by_chance(random.integers(4, size=300), random.integers(4, size=300)) for _ in range(60)
    ]
    assert kstest(unrelated, "uniform").pvalue > 1e-3
    assert (
        share_by_chance([0, 1, 2], ["a", "b", "c"]) == 1
    )  # with one image a class nothing could agree worse


def test_one_cluster():
    clusters, truth = [0] * 5, ["a", "a", "a", "b", "c"]
    assert accuracy(clusters, truth) == purity(clusters, truth) == 3 / 5
    assert normalized_mutual_information(clusters, truth) == adjusted_rand_index(clusters, truth) == 0.0
    assert normalized_mutual_information([0, 0], ["a", "a"]) == adjusted_rand_index([0, 0], ["a", "a"]) == 1.0


def test_a_cluster_number_without_images_is_kept():
    scores = per_cluster_scores([0, 0, 2], ["a", "a", "b"])
    assert [score.size for score in scores] == [2, 0, 1]
    assert accuracy([0, 0, 2], ["a", "a", "b"]) == 1.0


@pytest.mark.parametrize("unknown", [-1, "", None, float("nan"), "-1"])
def test_missing_truth_is_left_out(unknown):
    truth = np.array(["a", "a", "b", unknown, "b", unknown], dtype=object)
    clusters = [0, 0, 1, 0, 0, 1]
    assert accuracy(clusters, truth) == 3 / 4
    assert contingency(clusters, truth).sum() == 4
    assert encode_truth(truth).is_known.sum() == 4


def test_numbers_and_text_mean_the_same_class():
    clusters = [0, 1, 2, 0, 1]
    assert accuracy(clusters, [3, 10, 2, 3, 10]) == accuracy(clusters, ["3", "10", "2", "3", "10"]) == 1.0
    assert encode_truth([10, 2, 3]).classes == encode_truth(["10", "2", "3"]).classes == ("2", "3", "10")
    assert encode_truth([2.0, float("nan"), 1.0]).classes == ("1", "2")


def test_text_clusters():
    assert accuracy(["cat", "cat", "dog", ""], [0, 0, 1, 1]) == 3 / 4


def test_images_without_a_cluster_are_wrong():
    clusters, truth = [0, 0, -1, 1, -1], [0, 0, 0, 1, 1]
    assert accuracy(clusters, truth) == purity(clusters, truth) == 3 / 5
    assert accuracy([-1, -1], [0, 1]) == 0.0
    assert adjusted_rand_index(clusters, truth) == pytest.approx(
        sklearn_metrics.adjusted_rand_score(truth, clusters)
    )


def test_nothing_to_measure_says_so():
    with pytest.raises(InputError, match="none of the 0 images has a known truth"):
        accuracy([], [])
    with pytest.raises(InputError, match="none of the 2 images"):
        normalized_mutual_information([0, 1], [-1, -1])
    with pytest.raises(InputError, match="3 clusters but 2 true labels"):
        accuracy([0, 1, 1], [0, 1])
    with pytest.raises(InputError, match="shape"):
        accuracy([0, 1], [[0], [1]])


def test_matching_agrees_with_scipy_on_a_square_table():
    table = np.random.default_rng(0).integers(50, size=(6, 6))
    matching = match_clusters(np.vstack([table, np.zeros((1, 6), dtype=int)]))
    assert matching.tolist() == linear_sum_assignment(-table)[1].tolist()


@pytest.mark.parametrize("seed", range(3))
def test_per_cluster_scores_agree_with_sklearn(seed):
    clusters, truth = random_partitions(300, 6, 6, seed)
    matching = match_clusters(contingency(clusters, truth))
    expected = sklearn_metrics.precision_recall_fscore_support(truth, matching[clusters], labels=matching)
    scores = per_cluster_scores(clusters, truth)
    assert [score.precision for score in scores] == pytest.approx(expected[0])
    assert [score.recall for score in scores] == pytest.approx(expected[1])


def test_confusion_matrix_agrees_with_sklearn_and_has_its_matches_on_the_diagonal():
    clusters, truth = random_partitions(300, 6, 6, seed=1)
    matching = match_clusters(contingency(clusters, truth))
    counts, columns = confusion_matrix(clusters, truth)
    assert counts.tolist() == sklearn_metrics.confusion_matrix(truth, matching[clusters]).tolist()
    assert matching[columns].tolist() == list(range(6))


def test_confusion_matrix_puts_the_unmatched_and_the_unplaced_last():
    counts, columns = confusion_matrix([0, 0, 1, 2, 2, -1], ["b", "b", "b", "a", "a", "a"])
    assert columns.tolist() == [2, 0, 1, -1]
    assert counts.tolist() == [[2, 0, 0, 1], [0, 2, 1, 0]]


def test_the_import_is_light():
    heavy = "('scipy', 'sklearn', 'torch', 'matplotlib')"
    code = f"import sys, ruc.evaluation.metrics; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
