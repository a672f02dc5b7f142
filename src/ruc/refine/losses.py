"""The three terms of the objective (Park et al. 2021, section 3.2). Each is a mean over its rows, 0 without any."""

from torch import Tensor


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy against soft targets: the clean loss, and the smoothing loss."""
    return -(targets * logits.log_softmax(dim=1)).sum() / max(len(logits), 1)


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows and clusters of the squared difference of softmax and target: the unclean loss."""
    return (logits.softmax(dim=1) - targets).square().sum() / max(logits.numel(), 1)
