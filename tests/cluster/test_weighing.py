"""Copies count as one sample that weighs as much: groups that are nothing but copies, and blanks among real groups."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ruc.cluster.auto import cluster
from ruc.cluster.weighing import weighed_graph
from ruc.neighbors.copies import find_copies
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.search import nearest_neighbors
from ruc.runtime import Runtime

CPU = Runtime("cpu")


def groups_and_blanks(n_blanks: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres, kind = rng.normal(size=(6, 16)) * 5, np.repeat(np.arange(6), 25)
    features = np.concatenate(
        [centres[kind] + rng.normal(size=(150, 16)), np.tile(rng.normal(size=16) * 5, (n_blanks, 1))]
    )
    return features.astype(np.float32), np.concatenate([kind, np.full(n_blanks, 6)])


@pytest.mark.parametrize("method", ["auto", "graph", "spectral", "kmeans"])
def test_vectors_many_times_each_are_a_cluster_each(method: str) -> None:
    kind = np.repeat(np.arange(6), 100)
    vectors = np.random.default_rng(0).normal(size=(6, 32)).astype(np.float32)
    found = cluster(vectors[kind], 6, method, CPU)
    assert adjusted_rand_score(kind, found.labels) == 1.0


@pytest.mark.parametrize("n_blanks", [10, 60])
def test_blanks_are_a_cluster_of_their_own(n_blanks: int) -> None:
    features, kind = groups_and_blanks(n_blanks)
    found = cluster(features, 7, "auto", CPU)
    assert adjusted_rand_score(kind, found.labels) > 0.99
    assert len(set(found.labels[150:].tolist())) == 1


def test_copies_within_a_group_stay_in_it() -> None:
    features, kind = groups_and_blanks(0)
    features = np.concatenate([features, np.tile(features[3], (20, 1)), np.tile(features[7], (20, 1))])
    found = cluster(features, 6, "graph", CPU)
    assert adjusted_rand_score(np.concatenate([kind, np.zeros(40, int)]), found.labels) > 0.99


def test_what_nobody_counts_among_its_neighbours_keeps_what_it_has_to_give() -> None:
    features, _ = groups_and_blanks(5)
    copies = find_copies(features)
    assert copies is not None
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    plain = neighbor_graph(unit[copies.firsts], CPU)
    made = weighed_graph(unit, copies, CPU)
    np.testing.assert_allclose(made.affinity.toarray(), plain.toarray(), atol=1e-4)
    np.testing.assert_allclose(made.weighed[:150, :150].toarray(), plain[:150, :150].toarray(), atol=1e-4)
    assert made.weighed[150, 150] == pytest.approx(4 * plain[150].sum(), rel=1e-3)
    again = weighed_graph(unit, copies, CPU, nearest_neighbors(features, 40, CPU))
    np.testing.assert_allclose(again.weighed.toarray(), made.weighed.toarray(), atol=1e-3)
