"""A run in memory: what counts as changed, and rows that move together."""

from dataclasses import replace

import numpy as np

from ruc.run_folder import Run, by_file_name


def test_what_was_unknown_is_placed_and_not_changed(run: Run) -> None:
    np.testing.assert_array_equal(run.initial_cluster, [1, 1, -1])
    np.testing.assert_array_equal(run.cluster, [1, 0, 1])
    np.testing.assert_array_equal(run.changed, [False, True, False])


def test_sorting_moves_whole_rows(run: Run) -> None:
    base, network = run.probabilities, run.probabilities[:, ::-1]
    ordered = by_file_name(replace(run, initial_probabilities=base, network_probabilities=network))
    np.testing.assert_array_equal(ordered.cluster, [0, 1, 1])
    np.testing.assert_array_equal(ordered.features, run.features[[1, 2, 0]])
    np.testing.assert_array_equal(ordered.initial_probabilities, base[[1, 2, 0]])
    np.testing.assert_array_equal(ordered.network_probabilities, network[[1, 2, 0]])
    assert list(ordered.marks["copy_of"]) == ["", "a.png", ""]
