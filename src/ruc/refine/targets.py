"""What the student is asked to predict: guesses for the unclean, refined labels for the clean, MixUp of both.

All probabilities are (n, n_clusters) rows summing to 1. Source: Park et al. 2021, section 3.2; MixMatch
(Berthelot et al. 2019) for sharpening, guessing and MixUp.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ruc.refine.probabilities import softmax
from ruc.runtime import to_device


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """Make a distribution more decided: `p ** (1 / temperature)`, normalised."""
    powered = probabilities ** (1 / temperature)
    return powered / powered.sum(dim=1, keepdim=True)


def one_hot(labels: Tensor, n_clusters: int) -> Tensor:
    """All of the probability on the label, float32."""
    return torch.zeros(len(labels), n_clusters, device=labels.device).scatter_(1, labels.unsqueeze(1), 1.0)


def guess(logits: Sequence[Tensor], temperature: float) -> Tensor:
    """Targets of unclean samples: the sharpened mean of several predictions (both networks, both weak views)."""
    return sharpen(torch.stack([softmax(each) for each in logits]).mean(dim=0), temperature)


def refine_labels(labels: Tensor, peer_logits: Tensor, peer_weight: Tensor, temperature: float) -> Tensor:
    """Targets of clean samples: their pseudo-label, moved towards the peer's opinion as far as the peer is sure.

    `peer_weight` (n,) is in [0, 1].
    """
    weight = peer_weight.unsqueeze(1)
    own = one_hot(labels, peer_logits.shape[1])
    return sharpen((1 - weight) * own + weight * softmax(peer_logits), temperature)


def smooth_labels(labels: Tensor, n_clusters: int, epsilon: float) -> Tensor:
    """One-hot labels of which a share `epsilon` is spread evenly over all clusters."""
    return (1 - epsilon) * one_hot(labels, n_clusters) + epsilon / n_clusters


def mix_up(
    inputs: Tensor, targets: Tensor, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix every row with a randomly chosen other one; the row itself keeps the larger share.

    One λ ~ Beta(alpha, alpha) for the batch, replaced by max(λ, 1 - λ).
    """
    share = draw_share(alpha, generator)
    (partner,) = to_device(inputs.device, torch.randperm(len(inputs), generator=generator))
    mixed_inputs = torch.lerp(inputs.index_select(0, partner), inputs, share)
    return mixed_inputs, torch.lerp(targets.index_select(0, partner), targets, share)


def draw_share(alpha: float, generator: torch.Generator) -> float:
    """max(λ, 1 - λ) with λ ~ Beta(alpha, alpha)."""
    seed = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    return max(share, 1 - share)
