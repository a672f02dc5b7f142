"""The batches of a pass: which samples, which of them are clean, and their views."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ruc.refine.spaces import Space
from ruc.refine.trust import Trust
from ruc.runtime import to_device


class Batch(NamedTuple):
    """The samples of a batch, at which places in it there are clean and unclean ones, and views of all of them."""

    rows: Tensor
    clean: Tensor
    unclean: Tensor
    labels: Tensor  # (n_clean,) pseudo-labels
    plain: Tensor
    weak_a: Tensor
    weak_b: Tensor


def batches(
    trust: Trust, space: Space, batch_size: int, generator: torch.Generator, n_drawn: int | None = None
) -> Iterator[Batch]:
    """All samples, or `n_drawn` of them, in random order, in batches of nearly equal size of at most `batch_size`."""
    device = trust.is_clean.device
    is_clean = trust.is_clean.cpu()  # the device is waited for once in a pass, not in each batch
    order = torch.randperm(len(is_clean), generator=generator)[:n_drawn]
    for drawn in order.tensor_split(-(-len(order) // batch_size)):
        chosen = is_clean[drawn]
        parts = drawn, chosen.nonzero().squeeze(1), (~chosen).nonzero().squeeze(1)
        rows, clean, unclean = to_device(device, *parts)
        views = space.plain(rows), space.weak(rows, generator), space.weak(rows, generator)
        yield Batch(rows, clean, unclean, trust.pseudo_labels[rows[clean]], *views)
