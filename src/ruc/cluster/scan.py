"""SCAN: linear heads that give neighbours the same cluster (Van Gansbeke et al. 2020, arXiv 2005.12320)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.cluster.few_copies import few_copies
from ruc.cluster.inputs import unit_features
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.networks import set_learning_rate
from ruc.progress import progress
from ruc.runtime import Runtime

N_NEIGHBORS = 20  # Van Gansbeke et al. 2020, section 3.1
N_HEADS = 10  # trained from different starts, of which the one with the lowest loss is taken
# Heads that learn in the second half of the epochs. In ten runs the best head in the end was among them in all
# (experiments/LOG.md, "heads in fewer directions"); one round of successive halving (Jamieson and Talwalkar 2016).
N_FINALISTS = 5
N_EPOCHS = 60  # fewer than theirs: heads on frozen features learn fast; no experiment behind it
BATCH_SIZE = 512  # so that small sets have batches enough; no experiment behind it
LEARNING_RATE = 0.01  # of Adam, for heads alone; theirs is 1e-4 for whole networks
ENTROPY_WEIGHT = 5.0  # Van Gansbeke et al. 2020, section 3.1
SELF_LABEL_THRESHOLD = 0.99  # the same, section 3.1
SELF_LABEL_EPOCHS = 20  # fewer than theirs, as above


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


def scan(
    features: NDArray[np.floating],
    n_clusters: int,
    runtime: Runtime,
    neighbors: Neighbors | None = None,
    entropy_weight: float = ENTROPY_WEIGHT,
) -> Clustering:
    """Cluster by SCAN on frozen features: the head with the lowest loss, then self-labelling.

    Of copies of one sample at most 15 count.

    Parameters
    ----------
    features
        (n_samples, n_features).
    n_clusters
        Number of clusters.
    runtime
        The seed, and where to compute.
    neighbors
        Neighbours that were found already; the nearest 20 count, found here when there are fewer.
    entropy_weight
        How strongly clusters of like size are preferred; lower it for unequal ones.

    Returns
    -------
    Clustering
        With the head's probabilities.
    """
    unit = unit_features(features, n_clusters)
    few = few_copies(features)
    if few is not None:
        return few.of_all(scan(features[few.kept], n_clusters, runtime, entropy_weight=entropy_weight))
    wanted = min(N_NEIGHBORS, len(unit) - 1)
    if neighbors is None or neighbors.indices.shape[1] < wanted:
        neighbors = nearest_neighbors(unit, wanted, runtime)
    spread = unit - unit.mean(axis=0)
    inputs = torch.from_numpy(spread / max(float(spread.std()), 1e-12)).to(runtime.device)
    indices = torch.from_numpy(np.ascontiguousarray(neighbors.indices[:, :wanted])).to(runtime.device)
    heads, losses = train_heads(inputs, indices, n_clusters, runtime, entropy_weight, N_FINALISTS)
    best = int(losses.argmin())
    chosen = Heads(heads.weights[best : best + 1], heads.biases[best : best + 1])
    chosen = self_label(chosen, inputs, runtime)
    probabilities = chosen.logits(inputs)[0].softmax(dim=1).cpu().numpy()
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Clustering(probabilities.argmax(axis=1), probabilities, n_clusters, "scan", "features")


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
    agreement = (probabilities * neighbor_probabilities).sum(dim=2).clamp_min(1e-8)
    mean = probabilities.mean(dim=1).clamp_min(1e-8)
    entropy = -(mean * mean.log()).sum(dim=1)
    return -agreement.log().mean(dim=1) - entropy_weight * entropy


def train_heads(
    features: Tensor,
    neighbor_indices: Tensor,
    n_clusters: int,
    runtime: Runtime,
    entropy_weight: float,
    n_finalists: int = N_HEADS,
) -> tuple[Heads, Tensor]:
    """Train several heads at once, each from its own start; so many, the best by then, beyond half of the epochs.

    Returns
    -------
    heads
        The heads that were trained to the end.
    losses
        (n_finalists,), see `losses_of_heads`.
    """
    n_samples, n_features = features.shape
    generator = runtime.generator("scan")
    bound = n_features**-0.5
    weights = (2.0 * torch.rand(N_HEADS, n_features, n_clusters, generator=generator) - 1.0) * bound
    heads = Heads(weights.to(features.device), torch.zeros(N_HEADS, 1, n_clusters, device=features.device))
    batch_size = min(max(BATCH_SIZE, 10 * n_clusters), n_samples)  # the entropy needs several of each cluster
    n_batches = n_samples // batch_size
    optimizer = _optimizer(heads)
    with progress("SCAN heads", N_EPOCHS, "epochs", runtime.verbose) as advance:
        for epoch in range(N_EPOCHS):
            if epoch == N_EPOCHS // 2 and n_finalists < N_HEADS:
                best = _losses(heads, features, neighbor_indices, entropy_weight).argsort()[:n_finalists]
                heads, optimizer = _kept(best, heads, optimizer)
            order = torch.randperm(n_samples, generator=generator)
            places = torch.randint(neighbor_indices.shape[1], (n_samples,), generator=generator)
            order, places = order.to(features.device), places.to(features.device)
            for batch in range(n_batches):
                part = slice(batch * batch_size, (batch + 1) * batch_size)
                rows, others = order[part], neighbor_indices[order[part], places[part]]
                both = heads.logits(features[torch.cat([rows, others])]).softmax(dim=2)
                loss = scan_loss(both[:, : len(rows)], both[:, len(rows) :], entropy_weight).sum()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                done = (epoch + batch / n_batches) / N_EPOCHS
                set_learning_rate(optimizer, LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * done)))
                optimizer.step()
            advance(1)
    trained = Heads(heads.weights.detach(), heads.biases.detach())
    return trained, _losses(trained, features, neighbor_indices, entropy_weight)


def _optimizer(heads: Heads) -> torch.optim.Adam:
    return torch.optim.Adam([heads.weights.requires_grad_(), heads.biases.requires_grad_()], LEARNING_RATE)


def _kept(kept: Tensor, heads: Heads, optimizer: torch.optim.Adam) -> tuple[Heads, torch.optim.Adam]:
    """Some of the heads, and an optimiser that remembers what it did of them."""
    some = Heads(heads.weights.detach()[kept], heads.biases.detach()[kept])
    before = optimizer.state_dict()
    moments = {
        number: {name: value if name == "step" else value[kept] for name, value in state.items()}
        for number, state in before["state"].items()
    }
    after = _optimizer(some)
    after.load_state_dict({**before, "state": moments})
    return some, after


@torch.no_grad()
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


def self_label(heads: Heads, features: Tensor, runtime: Runtime) -> Heads:
    """Train on, on confident predictions alone, with noise and dropout for the paper's strong augmentation.

    Classes are weighted so that each counts the same; a class without a confident sample leaves the heads as they are.
    """
    generator = runtime.generator("scan self-labelling")
    weights, biases = heads.weights.clone().requires_grad_(), heads.biases.clone().requires_grad_()
    trained = Heads(weights, biases)
    optimizer = torch.optim.Adam([weights, biases], lr=LEARNING_RATE / 10.0)
    n_clusters = weights.shape[2]
    for _ in range(SELF_LABEL_EPOCHS):
        with torch.no_grad():
            confidence, targets = trained.logits(features)[0].softmax(dim=1).max(dim=1)
        confident = confidence > SELF_LABEL_THRESHOLD
        sizes = torch.bincount(targets[confident], minlength=n_clusters)
        if bool((sizes == 0).any()):
            break
        rows = features[confident]
        kept = (torch.rand(rows.shape, generator=generator) > 0.1).to(rows.device)
        noisy = kept * rows + 0.1 * torch.randn(rows.shape, generator=generator).to(rows.device)
        class_weights = sizes.sum() / (n_clusters * sizes.float())
        logits = trained.logits(noisy)[0]
        loss = torch.nn.functional.cross_entropy(logits, targets[confident], weight=class_weights)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return Heads(weights.detach(), biases.detach())
