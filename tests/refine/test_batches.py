"""Which samples make a batch."""

import numpy as np
import torch

from ruc.neighbors.search import Neighbors
from ruc.refine.batches import batches
from ruc.refine.spaces import FeatureSpace
from ruc.refine.trust import Trust
from ruc.runtime import Runtime


def problem() -> tuple[Trust, FeatureSpace]:
    neighbors = Neighbors(np.zeros((103, 1), np.int64), np.ones((103, 1), np.float32))
    trust = Trust.at_start(torch.arange(103) % 5, torch.arange(103) % 3 > 0)
    return trust, FeatureSpace(np.eye(103, dtype=np.float32), neighbors, Runtime("cpu"))


def test_an_epoch_of_a_part_draws_anew_each_time() -> None:
    trust, space = problem()
    generator = torch.Generator().manual_seed(0)
    drawn = [
        torch.cat([part.rows for part in batches(trust, space, 25, generator, 40)]).tolist() for _ in range(2)
    ]
    assert [len(set(rows)) for rows in drawn] == [40, 40]
    assert set(drawn[0]) != set(drawn[1])
    assert len(torch.cat([part.rows for part in batches(trust, space, 25, generator, 1000)])) == 103


def test_every_row_is_in_one_batch_and_none_is_too_large() -> None:
    trust, space = problem()
    is_clean = trust.is_clean
    parts = list(batches(trust, space, 25, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat([part.rows for part in parts]).tolist()) == list(range(103))
    assert [len(part.rows) for part in parts] == [21, 21, 21, 20, 20]
    for part in parts:
        assert torch.equal(is_clean[part.rows].nonzero().squeeze(1), part.clean)
        assert torch.equal((~is_clean[part.rows]).nonzero().squeeze(1), part.unclean)
        assert torch.equal(part.labels, part.rows[part.clean] % 5)
        assert torch.equal(part.plain.argmax(dim=1), part.rows)
        assert not torch.equal(part.weak_a, part.weak_b)
