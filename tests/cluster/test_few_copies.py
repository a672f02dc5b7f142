import numpy as np
import pytest

from ruc.cluster import few_copies as module
from ruc.cluster.few_copies import few_copies
from ruc.labels.clustering import Clustering


def test_case_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COPIES", 2)
    few = few_copies(np.array([[1.0], [2.0], [1.0], [1.0], [3.0], [1.0]]))
    assert few is not None
    assert few.kept.tolist() == [0, 1, 2, 4]
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]], np.float32)
    found = few.of_all(Clustering(np.array([0, 1, 0, 1]), probabilities, 2, "graph", "layouts"))
    assert found.labels.tolist() == [0, 1, 0, 0, 1, 0]
    assert found.probabilities is not None
    np.testing.assert_array_equal(found.probabilities, probabilities[[0, 1, 2, 0, 3, 0]])
    assert few.of_all(Clustering(np.array([0, 1, 0, 1]), None, 2, "spectral", "graph")).probabilities is None


def test_few_copies_are_all_kept() -> None:
    assert few_copies(np.repeat(np.eye(3), module.MOST_COPIES, axis=0)) is None
    assert few_copies(np.repeat(np.eye(3), module.MOST_COPIES + 1, axis=0)) is not None
