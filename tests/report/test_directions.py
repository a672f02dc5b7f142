"""Features in few directions: cosines stay, however many images there are."""

import numpy as np
import pytest

from ruc.report import directions as module
from ruc.report.directions import in_few_directions


def test_cosines_are_kept() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 50))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    few = in_few_directions(features).astype(float)
    assert few.shape == (300, 32)
    few /= np.linalg.norm(few, axis=1, keepdims=True)
    np.testing.assert_allclose(few @ few.T, features @ features.T, atol=0.03)


def test_fewer_directions_of_more_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUDGET", 1000)
    features = np.eye(50, dtype=np.float32)
    assert in_few_directions(features).shape == (50, 20)
    assert in_few_directions(np.tile(features, (4, 1))).shape == (200, 0)
    assert in_few_directions(features[:, :3]).shape == (50, 3)
    assert in_few_directions(features[:0]).shape[0] == 0
