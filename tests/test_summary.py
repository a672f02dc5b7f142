"""What is printed at the end of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ruc.run_folder import Run
from ruc.summary import summary_lines


def make_run() -> Run:
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.3, 0], [0.4, 0.6, 0]], np.float32)
    return Run(
        settings={"source": "photos"},
        file_names=tuple("abcd"),
        cluster=np.array([0, 1, 0, 1]),
        confidence=probabilities.max(axis=1),
        initial_cluster=np.array([0, 1, 1, -1]),
        was_clean=np.array([True, True, False, False]),
        is_clean=np.array([True, True, True, False]),
        probabilities=probabilities,
        features=np.eye(4, dtype=np.float32),
        cluster_names=("cats", "dogs", "owls"),
    )


def test_what_was_unknown_is_placed_and_not_changed() -> None:
    lines = summary_lines(make_run(), Path("run"))
    assert "labels changed: 1 (25.0%); 1 unknown placed" in lines
    assert "sizes: cats: 2, dogs: 2, owls: 0" in lines
    assert "most doubtful: d (60%), c (70%), b (80%), a (90%)" in lines


def test_what_is_worth_knowing_is_no_warning() -> None:
    run = replace(make_run(), notes={"remarks": ["labels are weighed"], "warnings": ["few images"]})
    lines = summary_lines(run, Path("run"))
    assert "note: labels are weighed" in lines
    assert "warning: few images" in lines


def test_a_cluster_that_dominates_has_a_remedy_that_exists() -> None:
    run = replace(make_run(), cluster=np.array([0, 1, 0, 0]))
    assert "warning: cluster cats holds 75%: try a larger -k" in summary_lines(run, Path("run"))
    refined = replace(run, settings={"source": "photos", "labels": "labels.csv"})
    assert "warning: cluster cats holds 75%: divide it with `ruc split RUN cats`" in summary_lines(
        refined, Path("run")
    )


def test_an_estimated_number_says_how_sure_it_is() -> None:
    run = replace(make_run(), notes={"k_curve": {"confidence": "3 clusters, quite sure: all agree"}})
    assert summary_lines(run, Path("run"))[1] == "number of clusters: 3 clusters, quite sure: all agree"
