"""The three terms of the objective (Park et al. 2021, section 3.2). Each is a mean over its rows, 0 without any."""

from torch import Tensor

from ruc.refine.probabilities import log_softmax, softmax


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy against soft targets: the clean loss, and the smoothing loss."""
    return -(targets * log_softmax(logits)).sum() / max(len(logits), 1)


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows and clusters of the squared difference of softmax and target: the unclean loss."""
    return (softmax(logits) - targets).square().sum() / max(logits.numel(), 1)
