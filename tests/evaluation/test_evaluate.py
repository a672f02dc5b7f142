import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom
from sklearn.metrics import adjusted_rand_score, log_loss, normalized_mutual_info_score

from ruc.errors import InputError
from ruc.evaluation.calibration import coverage_curve, expected_calibration_error
from ruc.evaluation.evaluate import Evaluation, evaluate
from ruc.evaluation.metrics import accuracy, purity
from ruc.evaluation.tables import NUMBERS, evaluation_lines


def noisy(truth, share_right, seed, n_clusters=4):
    """Cluster numbers (classes turned by one) of which a share is right, and probabilities with the same argmax."""
    random = np.random.default_rng(seed)
    clusters = np.where(
        random.random(len(truth)) < share_right,
        (truth + 1) % n_clusters,
        random.integers(n_clusters, size=len(truth)),
    )
    probabilities = random.dirichlet(np.ones(n_clusters), size=len(truth)) * 0.4
    probabilities[np.arange(len(truth)), clusters] += 0.6
    return clusters, probabilities


@pytest.fixture
def pair():
    truth = np.random.default_rng(0).integers(4, size=500)
    base, base_probabilities = noisy(truth, 0.6, 1)
    refined, refined_probabilities = noisy(truth, 0.8, 2)
    return truth, base, base_probabilities, refined, refined_probabilities


def test_the_numbers_are_those_of_the_metrics_and_of_other_libraries(pair):
    truth, base, base_probabilities, refined, probabilities = pair
    found = evaluate(refined, truth, probabilities=probabilities, initial_clusters=base,
                     initial_probabilities=base_probabilities, n_resamples=50)  # fmt: skip
    for scores, clusters, of_clusters in (
        (found.base, base, base_probabilities),
        (found.refined, refined, probabilities),
    ):
        numbers = {name: estimate.value for name, estimate in scores.numbers.items()}
        right = (truth + 1) % 4 == clusters
        confidence = of_clusters.max(axis=1)
        assert set(numbers) == set(NUMBERS)
        assert numbers["accuracy"] == pytest.approx(accuracy(clusters, truth)) == pytest.approx(right.mean())
        assert numbers["purity"] == pytest.approx(purity(clusters, truth))
        assert numbers["nmi"] == pytest.approx(normalized_mutual_info_score(truth, clusters))
        assert numbers["ari"] == pytest.approx(adjusted_rand_score(truth, clusters))
        assert numbers["ece"] == pytest.approx(expected_calibration_error(confidence, right))
        assert numbers["ece_equal_mass"] == pytest.approx(
            expected_calibration_error(confidence, right, equal_mass=True)
        )
        assert numbers["nll"] == pytest.approx(log_loss((truth + 1) % 4, of_clusters), rel=1e-6)
        for estimate in scores.numbers.values():
            assert estimate.low <= estimate.value <= estimate.high
    assert found.difference["accuracy"].value == pytest.approx(
        accuracy(refined, truth) - accuracy(base, truth)
    )
    assert found.difference["accuracy"].low > 0


def test_the_interval_of_accuracy_is_about_the_binomial_one():
    truth = np.random.default_rng(3).integers(4, size=400)
    clusters, _ = noisy(truth, 0.7, 4)
    estimate = evaluate(clusters, truth, n_resamples=2000).refined.numbers["accuracy"]
    low, high = binom.interval(0.95, 400, estimate.value)
    assert estimate.low == pytest.approx(low / 400, abs=0.01)
    assert estimate.high == pytest.approx(high / 400, abs=0.01)


def test_the_interval_holds_the_value_though_resampled_images_agree_better():
    random = np.random.default_rng(0)
    clusters, truth = random.integers(6, size=(2, 100))
    estimate = evaluate(clusters, truth, n_resamples=200).refined.numbers["nmi"]
    assert estimate.low < estimate.value < estimate.high


def test_intervals_end_where_the_number_does_not_at_0_or_1():
    """Worse than chance ARI is negative, and Brier's score of who is sure and wrong is 2."""
    found = evaluate([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1] * 2, n_resamples=200).refined.numbers["ari"]
    assert found.low <= found.value < 0
    certain = np.tile([1.0, *[0.0] * 9], (100, 1))
    numbers = evaluate(
        np.zeros(100, int), np.arange(100) % 10, probabilities=certain, n_resamples=200
    ).refined.numbers
    assert numbers["brier"].value == pytest.approx(1.8)
    assert 1.5 < numbers["brier"].low <= 1.8 <= numbers["brier"].high <= 2
    assert numbers["accuracy"].low >= 0


def test_the_paired_difference_is_narrower_than_its_parts(pair):
    truth, base, *_ = pair
    nearly = base.copy()
    nearly[:10] = (truth[:10] + 1) % 4
    found = evaluate(nearly, truth, initial_clusters=base, n_resamples=300)
    width = {
        name: e.high - e.low
        for name, e in (
            ("difference", found.difference["accuracy"]),
            ("accuracy", found.refined.numbers["accuracy"]),
        )
    }
    assert width["difference"] < width["accuracy"] / 2


def test_the_seed_decides(pair):
    truth, base, *_ = pair
    once, again, other = (
        evaluate(base, truth, n_resamples=20, seed=seed).refined.numbers["nmi"] for seed in (0, 0, 1)
    )
    assert once == again != other


def test_no_base_no_probabilities_no_resamples():
    found = evaluate([0, 0, 1, 1], ["a", "a", "b", "a"], n_resamples=0)
    assert found.base is None
    assert found.difference == {}
    assert found.changes is None
    assert set(found.refined.numbers) == {"accuracy", "purity", "nmi", "ari"}


def test_changes_by_hand():
    truth = [0, 0, 0, 0, 1, 1, 1, 1]
    base = [0, 0, 0, 1, 1, 1, 1, 0]
    refined = [0, 0, 0, 0, 1, 1, 0, 0]
    changes = evaluate(refined, truth, initial_clusters=base, n_resamples=0).changes
    assert (changes.n_changed, changes.n_mended, changes.n_broken, changes.n_still_wrong) == (2, 1, 1, 0)
    assert changes.n_placed == 0
    base[:2] = [-1, -1]  # what had no label isn't changed
    refined[0] = 1
    found = evaluate(refined, truth, initial_clusters=base, n_resamples=0)
    changes = found.changes
    assert (changes.n_changed, changes.n_mended, changes.n_broken, changes.n_still_wrong) == (2, 1, 1, 0)
    assert (changes.n_placed, changes.n_placed_right) == (2, 1)
    assert evaluation_lines(found)[1:] == [
        "2 labels were changed: 1 mended, 1 broken, 0 wrong before and after.",
        "2 images had no label and were placed: 1 right.",
    ]


def test_unknown_truth_is_left_out_everywhere(pair):
    truth, base, base_probabilities, refined, probabilities = pair
    partly = truth.astype(object)
    partly[100:] = ""

    def measure(rows, truth):
        return evaluate(
            refined[rows],
            truth[rows],
            probabilities=probabilities[rows],
            initial_clusters=base[rows],
            initial_probabilities=base_probabilities[rows],
            clean_sets={"start": (base == refined)[rows]},
            n_resamples=20,
        )

    found, alone = measure(slice(None), partly), measure(slice(100), truth)
    assert (found.n_images, found.n_with_truth) == (500, 100)
    assert json.dumps({**found.to_dict(), "n_images": 100}) == json.dumps(alone.to_dict())


def test_more_clusters_than_classes_and_empty_last_cluster():
    truth = np.repeat([0, 1], 30)
    clusters = np.r_[np.zeros(20, int), np.full(10, 2), np.ones(30, int)]
    probabilities = np.full((60, 5), 0.02)
    probabilities[np.arange(60), clusters] = 0.92
    found = evaluate(clusters, truth, probabilities=probabilities, n_resamples=20)
    assert found.n_clusters == 5
    assert found.refined.numbers["accuracy"].value == pytest.approx(50 / 60)
    assert found.refined.numbers["purity"].value == 1.0
    assert found.refined.confusion.tolist() == [[20, 0, 10], [0, 30, 0]]
    assert found.refined.numbers["nll"].value > 0


def test_one_cluster_and_unplaced_images():
    found = evaluate([0, 0, 0, -1], ["a", "a", "b", "b"], n_resamples=20)
    assert found.refined.numbers["accuracy"].value == 0.5
    found = evaluate([-1, -1], ["a", "b"], initial_clusters=[0, 1], n_resamples=20)
    assert found.refined.numbers["accuracy"].value == 0.0
    assert found.difference["accuracy"].value == -1.0


def test_clean_sets_and_epochs_by_hand():
    truth = [0, 0, 0, 1, 1, 1]
    initial, final = [0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 0]
    since = [0, 0, 2, 0, 1, -1]
    found = evaluate(final, truth, initial_clusters=initial, clean_since=since, n_resamples=0,
                     clean_sets={"start": [1, 1, 0, 1, 0, 0], "end": [1, 1, 1, 1, 1, 0]})  # fmt: skip
    assert found.clean_sets["start"].precision == 1.0
    assert found.clean_sets["start"].recall == 3 / 4
    assert found.clean_sets["end"].recall == 1.0
    assert found.clean_sets["end"].precision == 1.0  # of the clusters now: initially one was wrong
    assert [scores.recall for scores in found.clean_by_epoch] == [3 / 5, 4 / 5, 1.0]
    found = evaluate(final, truth, initial_clusters=initial, clean_since=since, n_epochs=4, n_resamples=0)
    assert len(found.clean_by_epoch) == 5


def test_to_dict_is_plain_json(pair):
    truth, base, _, refined, probabilities = pair
    found = evaluate(
        refined,
        truth,
        probabilities=probabilities,
        initial_clusters=base,
        clean_sets={"none": np.zeros(500)},
        n_resamples=5,
    )
    content = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert content["refined"]["numbers"]["accuracy"]["value"] == accuracy(refined, truth)
    assert content["clean_sets"]["none"]["precision"] is None
    assert len(content["refined"]["reliability"]["count"]) == 15


def test_confidence_may_differ_from_the_largest_probability(pair):
    truth, _, _, refined, probabilities = pair
    found = evaluate(refined, truth, probabilities=probabilities, confidence=np.full(500, 0.5), n_resamples=0)
    assert found.refined.numbers["ece"].value == pytest.approx(accuracy(refined, truth) - 0.5)


def test_coverage_by_hand():
    shares, kept_accuracy = coverage_curve([0.9, 0.1, 0.5, 0.5], [True, False, True, False])
    assert shares.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert kept_accuracy.tolist() == [1.0, 0.75, pytest.approx(2 / 3), 0.5]
    assert len(coverage_curve(np.linspace(0, 1, 5000), np.ones(5000))[0]) == 100


@pytest.mark.parametrize(
    "convert",
    [np.float64, lambda numbers: pd.Series(numbers, dtype="Int64"), lambda n: [str(one) for one in n]],
)
def test_numbers_of_any_type_are_their_columns(convert):
    probabilities = [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.1, 0.1, 0.8], [0.9, 0.05, 0.05]]
    found, expected = (
        evaluate(clusters, [0, 1, 1, 0], probabilities=probabilities, initial_clusters=clusters,
                 initial_probabilities=probabilities, n_resamples=0).to_dict()
        for clusters in (convert([0, 2, 2, 0]), np.array([0, 2, 2, 0]))
    )  # fmt: skip
    assert found == expected
    assert found["refined"]["confusion_clusters"] == [0, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"initial_clusters": list("abab"), "initial_probabilities": np.full((4, 2), 0.5)},
            "such as 'a' given",
        ),
        ({"probabilities": np.full((3, 2), 0.5)}, "probabilities has 3 rows for 4 true labels"),
        ({"probabilities": np.full((4, 2), 0.4)}, "sum to 0.8"),
        ({"probabilities": np.full(4, 0.5)}, "row per image"),
        ({"probabilities": np.ones((4, 1))}, r"shape \(4, 1\) for 2 clusters"),
        ({"confidence": np.full(4, 7.0)}, r"expected probabilities in \[0, 1\]"),
        ({"initial_clusters": [0, 1]}, "initial_clusters has 2 rows"),
        ({"clean_sets": {"start": [True]}}, "start has 1 rows"),
    ],
)
def test_arrays_that_do_not_fit_say_so(arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate([0, 0, 1, 1], [0, 0, 1, 1], n_resamples=0, **arguments)


def test_the_result_cannot_be_changed(pair):
    found: Evaluation = evaluate(pair[1], pair[0], n_resamples=0)
    with pytest.raises(AttributeError):
        found.n_images = 3


def test_the_door_from_python_stays_open():
    """Importing the package of the same name must not hide the function."""
    import ruc
    import ruc.evaluation.metrics

    for _ in range(2):
        found = ruc.evaluate([0, 0, 1], ["a", "a", "b"], n_resamples=0)
        assert isinstance(found, Evaluation) and found.refined.numbers["accuracy"].value == 1.0
    from ruc import evaluate as door

    assert door([0, 1], ["a", "b"], n_resamples=0).n_clusters == 2


def test_a_name_is_the_same_cluster_before_and_after() -> None:
    truth = ["cat", "dog", "dog", "owl"]
    found = evaluate(["b", "c", "c", "c"], truth, initial_clusters=["a", "c", "b", "c"], n_resamples=0)
    assert found.changes is not None and found.changes.n_changed == 2


def test_a_level_that_is_no_share_is_refused() -> None:
    with pytest.raises(InputError, match="level=95 given; expected a share"):
        evaluate([0, 1], [0, 1], level=95)
