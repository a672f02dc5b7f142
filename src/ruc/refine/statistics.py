"""BatchNorm's statistics taken anew: networks that learned from mixed and strong views are asked about plain ones."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from ruc.networks import ImageNetwork
from ruc.refine.spaces import Space
from ruc.runtime import Runtime

MOST_SEEN = 20_000  # samples: more don't change the averages


def settle_statistics(networks: Sequence[nn.Module], space: Space, batch_size: int, runtime: Runtime) -> None:
    """Average each layer's means and variances over plain views, as after weight averaging (Izmailov et al. 2018).

    In training a network sees mixtures and strong views; the running averages are theirs, and where they're too few
    not even that. Networks that are heads alone are left as they are.

    `networks`: changed in place. `space`: supplies the plain views.
    """
    generator = runtime.generator("refine/statistics")
    order = torch.randperm(space.n_samples, generator=generator)[:MOST_SEEN].to(runtime.device)
    batches = order.tensor_split(-(-len(order) // batch_size))
    for network in networks:
        if isinstance(network, ImageNetwork):
            update_bn((space.plain(rows) for rows in batches), network)
