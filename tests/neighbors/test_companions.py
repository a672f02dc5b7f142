"""Images that stand for each other: who may, and how often they do."""

import numpy as np
import torch

from ruc.neighbors.companions import draw_companions, find_companions, replace_some
from ruc.runtime import Runtime


def test_companions_are_mutual_neighbours_or_the_image_itself() -> None:
    # On a circle: 0 and 10 degrees are each other's nearest; 25's nearest is 10, which does not return it.
    angles = np.radians([0.0, 10.0, 25.0])
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert find_companions(features, 1, Runtime()).tolist() == [[1], [0], [2]]


def test_views_are_replaced_as_often_as_the_chance_says() -> None:
    rows, companions = torch.arange(1000), torch.arange(1000, 2000)[:, None]
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(replace_some(rows, companions, 0.0, generator), rows)
    assert torch.equal(replace_some(rows, companions, 1.0, generator), rows + 1000)
    replaced = replace_some(rows, companions, 0.3, generator) != rows
    assert 250 < int(replaced.sum()) < 350


def test_each_companion_is_drawn_and_no_other() -> None:
    companions = torch.tensor([[0, 0], [2, 3], [1, 1], [1, 3]])
    rows = torch.tensor([1, 2]).repeat(50)
    drawn = draw_companions(rows, companions, torch.Generator().manual_seed(0))
    assert set(drawn[rows == 1].tolist()) == {2, 3}
    assert set(drawn[rows == 2].tolist()) == {1}
