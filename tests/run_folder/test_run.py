"""A run in memory: what counts as changed."""

import numpy as np

from ruc.run_folder import Run


def test_what_was_unknown_is_placed_and_not_changed(run: Run) -> None:
    np.testing.assert_array_equal(run.initial_cluster, [1, 1, -1])
    np.testing.assert_array_equal(run.cluster, [1, 0, 1])
    np.testing.assert_array_equal(run.changed, [False, True, False])
