"""What every base clustering asks of its features."""

import numpy as np
import pytest

from ruc.cluster.inputs import check_clusterable, count_different
from ruc.errors import InputError, NothingToClusterError


def test_rows_that_differ_are_counted_as_numpy_does_and_no_further_than_asked() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(7, 3)).astype(np.float32)[random.integers(7, size=50)]
    n_different = len(np.unique(rows, axis=0))
    assert [count_different(rows, at_most) for at_most in (2, 6, 60)] == [2, 6, n_different]
    assert count_different(np.array([[0.0, 1.0], [-0.0, 1.0]]), 2) == 1


def test_copies_are_too_few_samples() -> None:
    rows = np.eye(3)[np.arange(10) % 3]
    check_clusterable(rows, 3)
    with pytest.raises(InputError, match="only 3 different samples for 4 clusters; lower the number"):
        check_clusterable(rows, 4)
    with pytest.raises(
        NothingToClusterError, match="all 10 samples have the same features; expected some that"
    ):
        check_clusterable(np.ones((10, 3)), 4)
