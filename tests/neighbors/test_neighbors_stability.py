"""Groups that are there are found again from any start."""

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score

from ruc.neighbors.communities import shared_information
from ruc.neighbors.stability import stability
from ruc.runtime import Runtime


@pytest.mark.parametrize("seed", range(5))
def test_shared_information_is_scikit_learns(seed):
    generator = np.random.default_rng(seed)
    one, other = generator.integers(0, 5, 60), generator.integers(0, 3, 60)
    assert shared_information(one, other) == pytest.approx(normalized_mutual_info_score(one, other))
    assert shared_information(one, one) == pytest.approx(1)
    assert shared_information(np.zeros(5, np.int64), np.zeros(5, np.int64)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_more_stable_than_a_cloud(seed):
    generator = np.random.default_rng(seed)
    cloud = generator.normal(size=(400, 16))
    groups = 1.2 * np.eye(16)[np.arange(400) % 8] + 0.2 * cloud
    cloud, groups = (
        (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32) for rows in (cloud, groups)
    )
    runtime = Runtime("cpu", seed)
    assert stability(groups, runtime) > 0.9 > 0.6 > stability(cloud, runtime)
