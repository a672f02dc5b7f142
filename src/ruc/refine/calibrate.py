"""Confidence as the probability that a sample is in the right cluster, estimated without a single label.

The softmax of the retrained networks is under-confident, because they were taught smoothed labels. What the
neighbours say of a sample is not: it is as mixed as the clusters are. So the logits are divided by the
temperature at which the networks are, on the whole, as sure as the neighbours.
"""

import torch
from torch import Tensor

__all__ = ["fit_temperature"]

LOWEST, HIGHEST = 0.05, 20.0
N_STEPS = 60


def fit_temperature(logits: Tensor, believed: Tensor) -> float:
    """The temperature at which `softmax(logits / temperature)` is closest to what is believed, in cross-entropy.

    Parameters
    ----------
    logits
        (n_samples, n_clusters).
    believed
        (n_samples, n_clusters) probabilities from another source than the networks.

    Returns
    -------
    float
        In [0.05, 20]: dividing by it keeps the order of the clusters, and each row sums to 1.
    """
    low, high = torch.tensor(LOWEST).log().item(), torch.tensor(HIGHEST).log().item()
    golden = (5**0.5 - 1) / 2

    def loss(log_temperature: float) -> float:
        scaled = logits / torch.tensor(log_temperature).exp()
        return float(-(believed * scaled.log_softmax(dim=1)).sum(dim=1).mean())

    # Cross-entropy is convex in 1/temperature, hence has one valley in its logarithm too.
    left, right = high - golden * (high - low), low + golden * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    for _ in range(N_STEPS):
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - golden * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + golden * (high - low)
            loss_right = loss(right)
    return float(torch.tensor((low + high) / 2).exp())
