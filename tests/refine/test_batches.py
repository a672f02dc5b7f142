"""Which samples make a batch."""

import numpy as np
import torch

from ruc.neighbors.search import Neighbors
from ruc.refine.batches import batches
from ruc.refine.spaces import FeatureSpace
from ruc.refine.trust import Trust
from ruc.runtime import Runtime


def test_every_row_is_in_one_batch_and_none_is_too_large() -> None:
    is_clean = torch.arange(103) % 3 > 0
    trust = Trust.at_start(torch.arange(103) % 5, is_clean)
    space = FeatureSpace(
        np.eye(103, dtype=np.float32),
        Neighbors(np.zeros((103, 1), np.int64), np.ones((103, 1), np.float32)),
        Runtime("cpu"),
    )
    parts = list(batches(trust, space, 25, torch.Generator().manual_seed(0)))
    assert sorted(torch.cat([part.rows for part in parts]).tolist()) == list(range(103))
    assert [len(part.rows) for part in parts] == [21, 21, 21, 20, 20]
    for part in parts:
        assert torch.equal(is_clean[part.rows].nonzero().squeeze(1), part.clean)
        assert torch.equal((~is_clean[part.rows]).nonzero().squeeze(1), part.unclean)
        assert torch.equal(part.labels, part.rows[part.clean] % 5)
        assert torch.equal(part.plain.argmax(dim=1), part.rows)
        assert not torch.equal(part.weak_a, part.weak_b)
