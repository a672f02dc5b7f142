"""What is printed at the end of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ruc.edits import Merge, Rename, Split, apply_edits
from ruc.run_folder import Run
from ruc.summary import edited_lines, made_lines, sizes_line, summary_lines


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
    assert lines[0].startswith("4 images in 2 clusters, and 1 empty")
    assert "sizes: cats: 2, dogs: 2, owls: 0" in lines
    assert "most doubtful: d (doubt 40%), c (doubt 30%), b (doubt 20%), a (doubt 10%)" in lines


def test_doubt_also_knows_the_neighbours() -> None:
    """As in review.csv and in the report, not as the confidence alone would have it."""
    run = replace(make_run(), marks={"doubt": np.array([0.55, 0.2, 0.3, 0.4], np.float32)})
    lines = summary_lines(run, Path("run"))
    assert "most doubtful: a (doubt 55%), d (doubt 40%), c (doubt 30%), b (doubt 20%)" in lines


def test_names_are_shown_and_not_obeyed() -> None:
    run = replace(make_run(), file_names=("a", "b", "c", "é\x1b[2J\n👩‍🚀.png"))
    assert any(
        line.startswith("most doubtful: é\\x1b[2J\\n👩‍🚀.png (doubt")
        for line in summary_lines(run, Path("run"))
    )


def test_of_many_clusters_the_largest_are_listed() -> None:
    cluster = np.repeat(np.arange(12), np.arange(12, 24))
    n = len(cluster)
    run = Run(
        settings={},
        file_names=tuple(str(row) for row in range(n)),
        cluster=cluster,
        confidence=np.ones(n, np.float32),
        initial_cluster=cluster,
        was_clean=np.ones(n, bool),
        is_clean=np.ones(n, bool),
        probabilities=np.eye(12, dtype=np.float32)[cluster],
        features=np.ones((n, 1), np.float32),
        cluster_names=tuple(str(number) for number in range(12)),
    )
    largest = ", ".join(f"{number}: {12 + number}" for number in range(11, 1, -1))
    assert f"sizes: {largest}, and 2 more" in summary_lines(run, Path("run"))
    merged = apply_edits(run, [Merge((0, 1)), Rename(0, "both")])
    assert "in 11 clusters" in summary_lines(merged, Path("run"))[0]
    divided = apply_edits(merged, [Split(5, (("83", "84"),))])
    assert edited_lines(divided)[0].startswith("5: 15, 12: 2, both: 25, 11: 23")
    assert sizes_line(merged) == f"both: 25, {largest.removesuffix(', 2: 14')}, and 1 more"


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
    assert summary_lines(run, Path("run"))[1:3] == [
        "number of clusters: 3 clusters, quite sure: all agree",
        "another number N takes seconds: ruc cut run -k N -o new/",
    ]


def test_embedders_side_by_side_are_named_as_the_command_takes_them() -> None:
    run = make_run()
    for given, shown in ((["lite0", "lite2"], "lite0+lite2"), ("lite0", "lite0")):
        made = made_lines(replace(run, settings={**run.settings, "embedder": given}))
        assert made[1].startswith(f"embedder: {shown}   base: ")
