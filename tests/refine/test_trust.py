"""Who is trusted, and since when."""

import torch

from ruc.refine.trust import Trust


def test_promotion_by_hand() -> None:
    trust = Trust.at_start(torch.tensor([0, 1, 2, 0]), torch.tensor([True, False, False, False]))
    confidence, opinion = torch.tensor([0.999, 0.99, 0.991, 0.5]), torch.tensor([2, 2, 1, 2])
    trust.promote(confidence, opinion, 0.99, epoch=4)
    # The clean one keeps its label whatever is said of it, and the threshold itself is not enough.
    assert trust.pseudo_labels.tolist() == [0, 1, 1, 0]
    assert trust.is_clean.tolist() == [True, False, True, False]
    trust.promote(torch.zeros(4), opinion, 0.99, epoch=5)
    assert trust.is_clean.tolist() == [True, False, True, False]  # for good
    assert trust.clean_since.tolist() == [0, -1, 5, -1]
