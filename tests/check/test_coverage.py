"""Sets of clusters that hold the right one as often as promised."""

from dataclasses import replace

import numpy as np
import pytest
from runs import make_checkable

from ruc.check.checked import COVERAGE, POSSIBLE
from ruc.check.coverage import least_probability, possible_clusters
from ruc.edits import Answer, apply_edits, undo_edits


def test_by_hand() -> None:
    # Nine answers, nine in ten: the tenth part of ten may lie below, so all nine must reach it.
    of_right = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert least_probability(of_right, 0.9) == 0.1
    assert least_probability(of_right, 0.5) == 0.5
    assert least_probability(of_right, 0.95) == 0.0  # nine can't promise that
    assert least_probability(np.zeros(0), 0.5) == 0.0
    assert (
        least_probability(np.array([0.9] * 30 + [0.0] * 20), 0.9) == 0.0
    )  # who is wrong doesn't say where it belongs


def test_names_likeliest_first() -> None:
    rows = np.array([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]])
    assert possible_clusters(rows, 0.25, ("a", "b", "c")).tolist() == ["b | c", "a"]
    assert possible_clusters(rows, 0.95, ("a", "b", "c")).tolist() == ["b", "a"]  # never none
    assert possible_clusters(rows, 0.0, ("a", "b", "c")).tolist() == ["b | c | a", "a | b | c"]


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("sharpness", [0.5, 3.0])
def test_the_promise_is_kept_whatever_the_probabilities_are_worth(coverage: float, sharpness: float) -> None:
    """Probabilities too sure or too doubtful by far; over 300 draws of 50 answers each."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 4, 2000)
    logits = random.standard_normal((2000, 4)) + 1.5 * np.eye(4)[truth]
    said = np.exp(sharpness * logits)
    of_right = (said / said.sum(axis=1, keepdims=True))[np.arange(2000), truth]
    held = []
    for _ in range(300):
        asked = random.permutation(2000)[:50]
        rest = np.setdiff1d(np.arange(2000), asked)
        held.append((of_right[rest] >= least_probability(of_right[asked], coverage)).mean())
    assert coverage - 0.01 < np.mean(held) < coverage + 0.04


def test_a_run_gets_a_column_that_keeps_the_promise() -> None:
    run, is_right = make_checkable(1000)
    second = (run.cluster + 1) % 4  # where those that are wrong belong
    asked = np.random.default_rng(0).permutation(1000)[:100]
    edits = [
        Answer(
            run.file_names[row],
            int(run.cluster[row]),
            int(run.cluster[row] if is_right[row] else second[row]),
        )
        for row in asked
    ]
    after = apply_edits(replace(run, notes={COVERAGE: 0.9}), edits)
    sets = [text.split(" | ") for text in after.marks[POSSIBLE]]
    right = np.where(is_right, run.cluster, second)
    rest = np.setdiff1d(np.arange(1000), asked)
    held = np.mean([str(right[row]) in sets[row] for row in rest])
    assert 0.85 < held < 0.97
    assert all(sets[row] == [str(right[row])] for row in asked)
    assert POSSIBLE not in undo_edits(after).marks
