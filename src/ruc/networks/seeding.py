"""Reproducible initial weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Initialise modules made inside from `seed`, and leave the global generator as it was.

    torch's modules draw their initial weights from the global CPU generator and take no other.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
