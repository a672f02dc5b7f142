"""A run in memory: what counts as changed."""

import numpy as np

from ruc.run_folder import Run


def test_what_was_unknown_is_placed_and_not_changed(run: Run) -> None:
    np.testing.assert_array_equal(run.initial_cluster, [1, 1, -1])
    np.testing.assert_array_equal(run.cluster, [1, 0, 1])
    np.testing.assert_array_equal(run.changed, [False, True, False])


def test_a_run_is_printed_in_a_few_lines(run: Run) -> None:
    assert (
        repr(run).splitlines()[0] == f"Run of 3 {'samples' if run.is_of_features else 'images'} in 2 clusters"
    )
    assert len(repr(run).splitlines()) == 3 and "1 changed" in repr(run)
