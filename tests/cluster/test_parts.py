"""Parts of a cluster: shapes that k-means cuts, more parts than two, very many samples, too few different ones."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ruc.cluster import parts
from ruc.cluster.parts import divide, found_again
from ruc.runtime import Runtime


def rings(n_each: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Two rings on the sphere, and which."""
    rng = np.random.default_rng(0)
    turn = np.linspace(0, 4 * np.pi, 2 * n_each, endpoint=False) + rng.uniform(0, 0.05, 2 * n_each)
    height = np.repeat([0.0, 0.8], n_each)[:, None]
    around = np.sqrt(1 - height**2) * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([height, around], axis=1).astype(np.float32), np.repeat([0, 1], n_each)


@pytest.mark.parametrize("seed", range(5))
def test_rings_are_kept_whole(seed: int) -> None:
    unit, which = rings()
    labels = divide(unit, 2, Runtime("cpu", seed))
    assert adjusted_rand_score(which, labels) == 1
    assert found_again(unit, labels, Runtime("cpu", seed)) > 0.9


def test_what_has_no_parts_isnt_found_again() -> None:
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(200, 12))
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    labels = divide(unit, 2, Runtime("cpu"))
    assert set(labels.tolist()) == {0, 1}
    assert found_again(unit, labels, Runtime("cpu")) < 0.4


def test_parts_are_numbered_by_size() -> None:
    rng = np.random.default_rng(0)
    which = np.repeat([0, 1, 2], [30, 80, 50])
    unit = np.eye(6)[which] + rng.normal(0, 0.1, (160, 6))
    unit = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).astype(np.float32)
    labels = divide(unit, 3, Runtime("cpu"))
    assert np.bincount(labels).tolist() == [80, 50, 30]
    assert adjusted_rand_score(which, labels) == 1


def test_of_very_many_a_part_is_divided_and_the_others_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_SAMPLES", 120)
    unit, which = rings(150)
    assert adjusted_rand_score(which, divide(unit, 2, Runtime("cpu"))) > 0.95
