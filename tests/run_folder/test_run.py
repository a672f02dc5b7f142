"""A run in memory: what counts as changed, and what its settings say."""

from dataclasses import replace

import numpy as np

from ruc.run_folder import Run
from ruc.settings import Settings


def test_what_was_unknown_is_placed_and_not_changed(run: Run) -> None:
    np.testing.assert_array_equal(run.initial_cluster, [1, 1, -1])
    np.testing.assert_array_equal(run.cluster, [1, 0, 1])
    np.testing.assert_array_equal(run.changed, [False, True, False])


def test_a_run_is_printed_in_a_few_lines(run: Run) -> None:
    assert (
        repr(run).splitlines()[0] == f"Run of 3 {'samples' if run.is_of_features else 'images'} in 2 clusters"
    )
    assert len(repr(run).splitlines()) == 3 and "1 changed" in repr(run)


def test_what_the_settings_leave_out_is_as_by_default(run: Run) -> None:
    bare = replace(run, settings={})
    assert (run.seed, bare.seed, bare.review_share) == (3, Settings().seed, Settings().review)
