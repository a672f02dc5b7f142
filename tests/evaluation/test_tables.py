"""An evaluation in words, worked by hand."""

import numpy as np
import pytest

from ruc.evaluation.evaluate import evaluate
from ruc.evaluation.tables import compare, evaluation_lines, evaluation_rows

TRUTH = ["a", "a", "a", "a", "b", "b", "b", "b"]
BASE = [0, 0, 1, 1, 1, 1, 0, 0]  # 4 of 8 right
REFINED = [0, 0, 0, 0, 1, 1, 1, 0]  # 7 of 8
PROBABILITIES = np.where(np.eye(2)[REFINED] == 1, 0.9, 0.1)


def test_rows_without_a_base_or_intervals():
    rows = evaluation_rows(evaluate([0, 0, 1, 1], ["a", "a", "b", "a"], n_resamples=0))
    assert rows[0] == ("accuracy", "–", "75.0", "–")
    assert [row[0] for row in rows] == ["accuracy", "purity (many-to-one)", "NMI", "ARI"]


def test_rows_with_a_base_and_clean_sets():
    found = evaluate(REFINED, TRUTH, probabilities=PROBABILITIES, initial_clusters=BASE, n_resamples=0,
                     clean_sets={"start": np.arange(8) < 3})  # fmt: skip
    rows = {row[0]: row[1:] for row in evaluation_rows(found)}
    assert rows["accuracy"] == ("50.0", "87.5", "+37.5")
    assert rows["mean confidence"] == ("–", "90.0", "–")
    assert rows["ECE, 15 equal-width bins"] == ("–", "2.5", "–")
    assert rows["Brier score"] == ("–", f"{(7 * 0.02 + 1.62) / 8:.3f}", "–")
    assert rows["clean set, start"] == ("precision 66.7", "recall 50.0", "F1 57.1")


def test_intervals_stand_beside_their_number():
    found = evaluate(REFINED, TRUTH, initial_clusters=BASE, n_resamples=200)
    estimate = found.refined.numbers["accuracy"]
    expected = f"87.5 [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
    assert evaluation_rows(found)[0][2] == expected
    assert evaluation_rows(found)[0][3].startswith("+37.5 [+")


def test_lines():
    found = evaluate(REFINED, TRUTH, initial_clusters=BASE, n_resamples=0)
    assert evaluation_lines(found) == [
        "8 of 8 images have a known truth: 2 classes, 2 clusters. Intervals: 95%, bootstrap over images.",
        "3 labels were changed: 3 mended, 0 broken, 0 wrong before and after.",
    ]


def test_compare_sets_runs_side_by_side():
    runs = {
        "a": evaluate(BASE, TRUTH, n_resamples=0),
        "b": evaluate(REFINED, TRUTH, probabilities=PROBABILITIES, initial_clusters=BASE, n_resamples=0),
    }
    rows = compare(runs)
    assert rows[:4] == [
        ("", "a", "b"), ("images with truth", "8", "8"), ("clusters", "2", "2"), ("base accuracy", "–", "50.0"),
    ]  # fmt: skip
    table = {row[0]: row[1:] for row in rows}
    assert table["accuracy"] == ("50.0", "87.5")
    assert table["ECE, 15 equal-width bins"] == ("–", "2.5")


@pytest.mark.parametrize("clusters", [[-1] * 8, [0] * 8])
def test_nothing_found_is_worded_too(clusters):
    rows = evaluation_rows(evaluate(clusters, TRUTH, n_resamples=0))
    assert rows[0][2] == ("0.0" if clusters[0] < 0 else "50.0")
