"""Linear heads that learn SCAN's loss (Van Gansbeke et al. 2020, arXiv 2005.12320), all at once and in closed form.

Clusters come first and samples last here: a sum over a few clusters is then a sum of long rows, which a CPU does
twenty times as fast as the sum of many short ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ruc.networks.adam import Adam
from ruc.progress import progress
from ruc.runtime import Runtime

N_HEADS = 10  # from different starts, of which the one with the lowest loss is taken
N_EPOCHS = 60  # fewer than theirs: heads on frozen features learn fast; no experiment behind it
BATCH_SIZE = 512  # so that small sets have batches enough; no experiment behind it
LEARNING_RATE = 0.01  # of Adam, for heads alone; theirs is 1e-4 for whole networks
LEAST_AGREEMENT = 1e-8  # of two neighbours, and of a mean probability, so that their logarithms are finite


@dataclass(frozen=True)
class Heads:
    """Several linear heads on standardised features.

    Attributes
    ----------
    weights
        (n_heads, n_features, n_clusters).
    biases
        (n_heads, 1, n_clusters).
    """

    weights: Tensor
    biases: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """(n, n_features) → (n_heads, n, n_clusters)."""
        n_heads, n_features, n_clusters = self.weights.shape
        # One wide product: a narrow one for each head takes half as long again on a CPU.
        together = features @ self.weights.transpose(0, 1).reshape(n_features, n_heads * n_clusters)
        return together.view(len(features), n_heads, n_clusters).transpose(0, 1) + self.biases


class LearningHeads:
    """Heads while they learn, a row of weights for each head and cluster.

    Parameters
    ----------
    weights, biases
        (n_heads, n_clusters, n_features) and (n_heads, n_clusters, 1).
    """

    def __init__(self, weights: Tensor, biases: Tensor, optimizer: Adam | None = None) -> None:
        self.weights, self.biases = weights, biases
        self.optimizer = Adam([weights, biases]) if optimizer is None else optimizer

    def probabilities(self, rows: Tensor) -> Tensor:
        """(n, n_features) → (n_clusters, n_heads, n)."""
        n_heads, n_clusters, n_features = self.weights.shape
        logits = self.weights.view(-1, n_features) @ rows.T
        logits = logits.view(n_heads, n_clusters, len(rows)) + self.biases
        return softmax_of_clusters(logits.transpose(0, 1).contiguous())

    def step(self, rows: Tensor, by_logits: Tensor, learning_rate: float) -> None:
        """Learn from the loss's gradients (n_clusters, n_heads, n) by the logits of these rows."""
        n_heads, n_clusters, _ = self.weights.shape
        by_head = by_logits.transpose(0, 1).reshape(n_heads * n_clusters, len(rows))
        by_weights = (by_head @ rows).view_as(self.weights)
        self.optimizer.step([by_weights, by_head.sum(dim=1).view_as(self.biases)], learning_rate)

    def best(self, kept: Tensor) -> "LearningHeads":
        """Some of the heads, which go on as they would have."""
        weights, biases = self.weights[kept], self.biases[kept]
        return LearningHeads(weights, biases, self.optimizer.of([weights, biases], kept))

    def done(self) -> Heads:
        """As they are now."""
        return Heads(self.weights.transpose(1, 2).contiguous(), self.biases.transpose(1, 2))


def softmax_of_clusters(logits: Tensor) -> Tensor:
    """Probabilities over the first dimension, computed in place."""
    probabilities = logits.sub_(logits.amax(dim=0)).exp_()
    return probabilities.div_(probabilities.sum(dim=0))


def scan_loss(probabilities: Tensor, neighbor_probabilities: Tensor, entropy_weight: float) -> Tensor:
    """Loss of SCAN (equation 2 of the paper), for each head.

    ``-mean(log <p_i, p_neighbour>) - entropy_weight * entropy(mean p)``.

    Parameters
    ----------
    probabilities, neighbor_probabilities
        (n_heads, n, n_clusters) of samples, and of one neighbour of each.
    entropy_weight
        Weight of the entropy of the mean prediction.

    Returns
    -------
    Tensor
        (n_heads,).
    """
    agreement = (probabilities * neighbor_probabilities).sum(dim=2).clamp_min(LEAST_AGREEMENT)
    mean = probabilities.mean(dim=1).clamp_min(LEAST_AGREEMENT)
    entropy = -(mean * mean.log()).sum(dim=1)
    return -agreement.log().mean(dim=1) - entropy_weight * entropy


def gradient_of_logits(probabilities: Tensor, entropy_weight: float) -> Tensor:
    """How `scan_loss` changes with the logits of samples and neighbours: what autograd finds, in a few passes.

    With ``r = p_i * p_neighbour / <p_i, p_neighbour>`` it's ``p - r`` for both, and for samples from the entropy
    ``entropy_weight * p * (log m - <p, log m>)``, m being the mean of p; all over the number of samples.

    Parameters
    ----------
    probabilities
        (n_clusters, n_heads, 2 * n): of n samples, then of a neighbour of each.

    Returns
    -------
    Tensor
        Of the same shape.
    """
    n_samples = probabilities.shape[2] // 2
    own, others = torch.split(probabilities, n_samples, dim=2)
    joint = own * others
    agreement = joint.sum(dim=0)
    least = agreement.clamp_min(LEAST_AGREEMENT)
    shared = joint.div_(least)  # sums to 1 over the clusters, but where the agreement is below the least
    logs = own.mean(dim=2, keepdim=True).clamp_min_(LEAST_AGREEMENT).log_()
    centred = logs - (own * logs).sum(dim=0)
    gradient = torch.empty_like(probabilities)
    scale = agreement.div_(least)
    torch.mul(own, centred.mul_(entropy_weight).add_(scale), out=gradient[:, :, :n_samples])
    torch.mul(others, scale, out=gradient[:, :, n_samples:])
    gradient[:, :, :n_samples] -= shared
    gradient[:, :, n_samples:] -= shared
    return gradient.div_(n_samples)


def train_heads(
    features: Tensor,
    neighbor_indices: Tensor,
    n_clusters: int,
    runtime: Runtime,
    entropy_weight: float,
    n_learning: Sequence[int] = (N_HEADS,),
) -> tuple[Heads, Tensor]:
    """Train several heads at once, each from its own start.

    Parameters
    ----------
    features
        (n_samples, n_features), standardised.
    neighbor_indices
        (n_samples, n_neighbors).
    n_learning
        How many heads learn in each of so many parts of the epochs: the best by then go on.

    Returns
    -------
    heads
        Those that were trained to the end.
    losses
        Of each, see `losses_of_heads`.
    """
    n_samples, n_features = features.shape
    generator = runtime.generator("scan")
    bound = n_features**-0.5
    weights = (2.0 * torch.rand(n_learning[0], n_features, n_clusters, generator=generator) - 1.0) * bound
    heads = LearningHeads(
        weights.transpose(1, 2).contiguous().to(features.device),
        torch.zeros(n_learning[0], n_clusters, 1, device=features.device),
    )
    batch_size = min(max(BATCH_SIZE, 10 * n_clusters), n_samples)  # the entropy needs several of each cluster
    n_batches = n_samples // batch_size
    going_on = {number * N_EPOCHS // len(n_learning): n_heads for number, n_heads in enumerate(n_learning)}
    with progress("SCAN heads", N_EPOCHS, "epochs", runtime.verbose) as advance:
        for epoch in range(N_EPOCHS):
            if epoch > 0 and epoch in going_on:
                losses = _losses(heads.done(), features, neighbor_indices, entropy_weight)
                heads = heads.best(losses.argsort()[: going_on[epoch]])
            order = torch.randperm(n_samples, generator=generator)
            places = torch.randint(neighbor_indices.shape[1], (n_samples,), generator=generator)
            order, places = order.to(features.device), places.to(features.device)
            for batch in range(n_batches):
                part = slice(batch * batch_size, (batch + 1) * batch_size)
                rows, others = order[part], neighbor_indices[order[part], places[part]]
                shown = features.index_select(0, torch.cat([rows, others]))
                gradient = gradient_of_logits(heads.probabilities(shown), entropy_weight)
                done = (epoch + batch / n_batches) / N_EPOCHS
                heads.step(shown, gradient, LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * done)))
            advance(1)
    trained = heads.done()
    return trained, _losses(trained, features, neighbor_indices, entropy_weight)


def _losses(heads: Heads, features: Tensor, neighbor_indices: Tensor, entropy_weight: float) -> Tensor:
    return losses_of_heads(heads.logits(features).softmax(dim=2), neighbor_indices, entropy_weight)


def losses_of_heads(probabilities: Tensor, neighbor_indices: Tensor, entropy_weight: float) -> Tensor:
    """(n_heads,) loss of each over all samples and all their neighbours: no label is needed to pick one.

    Parameters
    ----------
    probabilities
        (n_heads, n_samples, n_clusters).
    neighbor_indices
        (n_samples, n_neighbors).
    entropy_weight
        As in `scan_loss`.
    """
    by_column = [
        scan_loss(probabilities, probabilities[:, column], entropy_weight) for column in neighbor_indices.T
    ]
    return torch.stack(by_column).mean(dim=0)
