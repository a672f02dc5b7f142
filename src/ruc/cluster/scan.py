"""SCAN: linear heads that give neighbours the same cluster (Van Gansbeke et al. 2020, arXiv 2005.12320)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.cluster.few_copies import few_copies
from ruc.cluster.inputs import unit_features
from ruc.cluster.scan_heads import LEARNING_RATE, Heads, train_heads
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.networks.adam import Adam
from ruc.runtime import Runtime

N_NEIGHBORS = 20  # Van Gansbeke et al. 2020, section 3.1
# Heads that learn in each quarter of the epochs, the best by then: successive halving (Jamieson and Talwalkar 2016).
# Accuracy is that of all ten to the end, though it's not always the same head that wins (experiments/LOG.md).
N_LEARNING = (10, 5, 3, 2)
ENTROPY_WEIGHT = 5.0  # Van Gansbeke et al. 2020, section 3.1
SELF_LABEL_THRESHOLD = 0.99  # the same, section 3.1
SELF_LABEL_EPOCHS = 20  # fewer than theirs, as above
SELF_LABEL_SAMPLES = 1024  # in each of them: noise for all of them takes longer than all else


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
    heads, losses = train_heads(inputs, indices, n_clusters, runtime, entropy_weight, N_LEARNING)
    best = int(losses.argmin())
    chosen = Heads(heads.weights[best : best + 1], heads.biases[best : best + 1])
    chosen = self_label(chosen, inputs, runtime)
    probabilities = chosen.logits(inputs)[0].softmax(dim=1).cpu().numpy()
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return Clustering(probabilities.argmax(axis=1), probabilities, n_clusters, "scan", "features")


def self_label(heads: Heads, features: Tensor, runtime: Runtime) -> Heads:
    """Train one head on, on confident predictions alone, with noise and dropout for the paper's strong augmentation.

    Classes are weighted so that each counts the same; a class without a confident sample leaves the head as it is.
    """
    generator = runtime.generator("scan self-labelling")
    trained = Heads(heads.weights.clone(), heads.biases.clone())
    weights, biases = trained.weights[0], trained.biases[0]
    optimizer = Adam([weights, biases])
    n_clusters = weights.shape[1]
    for _ in range(SELF_LABEL_EPOCHS):
        confidence, targets = trained.logits(features)[0].softmax(dim=1).max(dim=1)
        confident = (confidence > SELF_LABEL_THRESHOLD).nonzero().squeeze(1)
        sizes = torch.bincount(targets[confident], minlength=n_clusters)
        if bool((sizes == 0).any()):
            break
        drawn = torch.randperm(len(confident), generator=generator)[:SELF_LABEL_SAMPLES].to(confident.device)
        chosen = confident[drawn]
        rows, labels = features[chosen], targets[chosen]
        kept = (torch.rand(rows.shape, generator=generator) > 0.1).to(rows.device)
        noisy = kept * rows + 0.1 * torch.randn(rows.shape, generator=generator).to(rows.device)
        of_class = sizes.sum() / (n_clusters * sizes.float())
        of_sample = of_class[labels] / of_class[labels].sum()
        by_logits = trained.logits(noisy)[0].softmax(dim=1)
        by_logits[torch.arange(len(rows), device=rows.device), labels] -= 1.0
        by_logits *= of_sample[:, None]  # the gradient of the weighted cross-entropy
        optimizer.step([noisy.T @ by_logits, by_logits.sum(dim=0, keepdim=True)], LEARNING_RATE / 10.0)
    return trained
