"""Which cut of the layouts is taken."""

from itertools import combinations

import numpy as np
from sklearn.metrics import adjusted_rand_score

from ruc.cluster.graph import _choose, _Cut, graph
from ruc.runtime import Runtime


def cut(resolution: float, labels: list[np.ndarray]) -> _Cut:
    return _Cut(resolution, labels, 4.0, np.eye(len(labels)))


def test_a_cut_with_splinters_that_no_layout_finds_again_is_not_taken() -> None:
    """Four classes of which two are near each other; pairs of samples agree better where these two are one."""
    generator = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 100)
    near = np.flatnonzero(truth < 2)
    fine, coarse = [], []
    for _ in range(4):
        moved = generator.choice(near, 12, replace=False)
        fine.append(truth.copy())
        fine[-1][moved] = 1 - truth[moved]
        splinter = generator.choice(near, 6, replace=False)
        coarse.append(np.where(truth == 1, 0, truth))
        coarse[-1][splinter] = 1
    by_pairs = [
        np.mean([adjusted_rand_score(*pair) for pair in combinations(labels, 2)]) for labels in (fine, coarse)
    ]
    assert by_pairs[1] > by_pairs[0] + 0.02
    assert (
        _choose([cut(1.4, fine), cut(1.0, fine), cut(0.7, coarse), cut(0.5, coarse)], 4, None).labels is fine
    )
    assert (
        _choose([cut(1.4, coarse), cut(1.0, coarse), cut(0.7, fine), cut(0.5, fine)], 4, None).labels is fine
    )


def test_more_clusters_than_the_graph_has_by_itself_are_no_single_samples() -> None:
    """One cloud: at a resolution that wants fewer clusters merging would stop with many that nothing has joined."""
    cloud = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    sizes = np.bincount(graph(cloud, 40, Runtime()).labels, minlength=40)
    assert sizes.min() >= 3
    assert sizes.max() <= 25
