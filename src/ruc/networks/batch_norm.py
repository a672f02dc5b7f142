"""Statistics of batch normalisation, as the images have them that are predicted."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ruc.runtime import Runtime


@torch.no_grad()
def settle_statistics(network: nn.Module, batches: Iterable[Tensor], runtime: Runtime) -> None:
    """Measure the mean and variance of each batch normalisation anew, with the weights as they are.

    While a network learns they are running averages over views, over weights that have changed since, and of few
    batches when there are few images: its predictions can then be those of another network, though its loss is low.
    This is "precise batch normalisation" (Wu and Johnson 2021, arXiv 2105.07576, section 3).

    Parameters
    ----------
    network
        Its statistics are replaced; nothing else changes.
    batches
        Inputs as they'll be predicted, of like size; each counts the same.
    runtime
        The precision.
    """
    layers = [each for each in network.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    learning, momenta = network.training, [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # torch: the plain mean over the batches
    network.train()
    for batch in batches:
        with runtime.autocast():
            network(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.train(learning)
