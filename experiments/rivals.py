"""Rivals of the bases, written anew from what their papers say and made small enough for a processor: see `RIVALS`.

    python experiments/matrix.py --bases kmeans graph scan temi "temi, centred" turtle "anchors of kmeans"

They are bases of the matrix as any other, there and nowhere else. What they bring is in RESULTS.md.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from ruc.belief.eyes import vote
from ruc.cluster.auto import cluster
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors
from ruc.runtime import Runtime
from ruc.side_by_side import join

Parts = Sequence[NDArray[np.float32]]

# TEMI: Adaloglou, Michels, Kalisch and Kollmann (BMVC 2023, arXiv 2303.17896). Theirs are 50 heads of two layers, 50
# neighbours, a momentum of .996 and 200 epochs of 50,000 images: 20,000 steps. Here heads are linear, and take 400 to
# 600 steps; rate and momentum are the best of two each on aerial7 and stl10, seed 0.
BETA, MARGINAL_MOMENTUM = 0.6, 0.9  # theirs
N_HEADS, N_NEIGHBORS, N_EPOCHS, BATCH, RATE, MOMENTUM = 10, 20, 100, 256, 0.003, 0.9
N_SINKHORN = 3  # as in SwAV and DINOv2

# TURTLE: Gadetsky, Jiang and Brbić (ICML 2024). Its weight of the entropy, inner steps and rate; it takes 6,000 steps,
# on whole features: here it's fewer, on their principal components.
GAMMA, N_INNER, TURTLE_RATE, N_OUTER, N_COMPONENTS = 10.0, 10, 0.001, 1000, 256

# After DCBoost: Li, Jia, Liu and Hou (NeurIPS 2025, arXiv 2511.21193), as far as its abstract tells.
N_ROUNDS, N_VOTERS, QUOTA = 10, 15, 0.5


def temi(
    parts: Parts, n_clusters: int, neighbors: Neighbors, runtime: Runtime, centred: bool = False
) -> Clustering:
    """Heads by weighted pointwise mutual information of neighbours, a slow teacher for each student.

    The student's loss of a pair is ``-w log sum_c (s_c(x) t_c(x'))**beta / p_c``, both ways; p is the running mean of
    the teachers' predictions, and w how alike these find the pair, mean over heads: false pairs count less. The head of
    the lowest loss is taken. `centred`: the teacher's batch is scaled to clusters of one size by Sinkhorn and Knopp.
    """
    features, generator = _scaled(join(parts)), runtime.generator("temi")
    n_samples, n_features = features.shape
    nearest = torch.from_numpy(np.ascontiguousarray(neighbors.indices[:, :N_NEIGHBORS]))
    weights = torch.randn(N_HEADS, n_features, n_clusters, generator=generator) / (2 * n_features**0.5)
    teacher, weights = weights.clone(), weights.requires_grad_()
    marginal = torch.full((N_HEADS, 1, n_clusters), 1 / n_clusters)
    optimizer = torch.optim.Adam([weights], lr=RATE)
    n_batches = max(n_samples // BATCH, 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, N_EPOCHS * n_batches)
    total = torch.zeros(N_HEADS)
    for epoch in range(N_EPOCHS):
        order = torch.randperm(n_samples, generator=generator)[: n_batches * BATCH].chunk(n_batches)
        for rows in order:
            places = torch.randint(nearest.shape[1], (len(rows),), generator=generator)
            both = features[torch.cat([rows, nearest[rows, places]])]
            taught = _said(teacher, both)
            marginal = MARGINAL_MOMENTUM * marginal + (1 - MARGINAL_MOMENTUM) * taught.mean(
                dim=1, keepdim=True
            )
            first, second = (_evened(taught) if centred else taught).chunk(2, dim=1)
            mine, other = _said(weights, both).chunk(2, dim=1)
            weight = (first * second).sum(dim=2).mean(dim=0)
            information = _information(mine, second, marginal) + _information(other, first, marginal)
            losses = -(weight * information).mean(dim=1) / 2
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
            schedule.step()
            teacher = MOMENTUM * teacher + (1 - MOMENTUM) * weights.detach()
            total += losses.detach() * (epoch == N_EPOCHS - 1)
    best = int(total.argmin())
    probabilities = _said(teacher[best : best + 1], features)[0].numpy()
    return Clustering(probabilities.argmax(axis=1), probabilities, n_clusters, "temi", "features")


def _weights(directions: Tensor, lengths: Tensor) -> Tensor:
    return lengths * torch.nn.functional.normalize(directions, dim=1)


def _said(weights: Tensor, rows: Tensor) -> Tensor:
    """(n_heads, n, n_clusters) probabilities."""
    return (rows @ weights).softmax(dim=2)


def _information(student: Tensor, teacher: Tensor, marginal: Tensor) -> Tensor:
    return ((student * teacher) ** BETA / marginal).sum(dim=2).clamp_min(1e-8).log()


def _evened(probabilities: Tensor) -> Tensor:
    for _ in range(N_SINKHORN):
        probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
        probabilities = probabilities / probabilities.sum(dim=2, keepdim=True)
    return probabilities


def turtle(parts: Parts, n_clusters: int, neighbors: Neighbors, runtime: Runtime) -> Clustering:
    """The labelling that linear heads learn best in every space: a search on two levels.

    The labelling is the mean of a softmax in each space. Within, a head in each space learns it for ten steps; without,
    the labelling moves to where these heads are less wrong, and its clusters stay of like size by their entropy.
    """
    spaces = torch.stack([_components(part) for part in parts])
    n_spaces, n_samples, n_columns = spaces.shape
    generator = runtime.generator("turtle")
    directions = torch.randn(n_spaces, n_columns, n_clusters, generator=generator) / (2 * n_columns**0.5)
    lengths = directions.norm(dim=1, keepdim=True).requires_grad_()
    directions.requires_grad_()
    shifts = torch.zeros(n_spaces, 1, n_clusters).requires_grad_()
    heads = torch.zeros(n_spaces, n_columns, n_clusters).requires_grad_()
    inner = torch.optim.Adam([heads], lr=TURTLE_RATE)
    outer = torch.optim.Adam([directions, lengths, shifts], lr=TURTLE_RATE)
    for _ in range(N_OUTER):
        each = (spaces @ _weights(directions, lengths) + shifts).softmax(dim=2)
        labels = each.mean(dim=0)
        for _ in range(N_INNER):
            wrong = (spaces @ heads.detach()).softmax(dim=2) - labels.detach()
            heads.grad = spaces.transpose(1, 2) @ wrong / n_samples
            inner.step()
        error = -(labels * (spaces @ heads.detach()).log_softmax(dim=2)).sum(dim=2).mean(dim=1).sum()
        evenness = torch.special.entr(each.mean(dim=1)).sum()
        outer.zero_grad()
        (error - GAMMA * evenness).backward()
        outer.step()
    probabilities = labels.detach().numpy()
    return Clustering(probabilities.argmax(axis=1), probabilities, n_clusters, "turtle", "features")


def _components(features: NDArray[np.float32]) -> Tensor:
    """(n_samples, n_components) of mean zero, of mean variance 1."""
    rows = _scaled(features)
    _, _, axes = torch.linalg.svd(rows, full_matrices=False)
    return _scaled((rows @ axes[:N_COMPONENTS].T).numpy())


def _scaled(features: NDArray[np.float32]) -> Tensor:
    """Of mean zero, and of mean variance 1."""
    rows = torch.from_numpy(features - features.mean(axis=0))
    return rows / rows.square().mean().sqrt()


def anchors(
    parts: Parts, n_clusters: int, neighbors: Neighbors, runtime: Runtime, start: str = "kmeans"
) -> Clustering:
    """A clustering boosted by its anchors: those whose neighbours agree with them most, as many of each cluster.

    What brings anchors of one cluster together and those of different ones apart is found in closed form, by Fisher's
    discriminants of the anchors; all samples are labelled by these, and are chosen from anew.
    """
    rows = np.column_stack([_components(part).numpy() for part in parts])
    labels = cluster(join(parts), n_clusters, start, runtime, neighbors).labels
    nearest = torch.from_numpy(np.ascontiguousarray(neighbors.indices[:, :N_VOTERS]))
    for _ in range(N_ROUNDS):
        agreed = vote(torch.from_numpy(labels), nearest, n_clusters).numpy()[np.arange(len(labels)), labels]
        order = np.lexsort((-agreed, labels))
        sizes = np.bincount(labels, minlength=n_clusters)
        quota = max(int(QUOTA * len(labels) / n_clusters), 2)
        ranks = np.arange(len(labels)) - (sizes.cumsum() - sizes)[labels[order]]
        chosen = order[ranks < quota]
        present = np.unique(labels)
        model = LinearDiscriminantAnalysis(
            "lsqr", shrinkage="auto", priors=np.full(len(present), 1 / len(present))
        )
        probabilities = np.zeros((len(labels), n_clusters), np.float32)
        probabilities[:, present] = model.fit(rows[chosen], labels[chosen]).predict_proba(rows)
        labels = probabilities.argmax(axis=1)
    return Clustering(labels, probabilities, n_clusters, f"anchors of {start}", "features")


def _anchors_of(start: str) -> Callable[[Parts, int, Neighbors, Runtime], Clustering]:
    return lambda parts, n_clusters, neighbors, runtime: anchors(parts, n_clusters, neighbors, runtime, start)


RIVALS: dict[str, Callable[[Parts, int, Neighbors, Runtime], Clustering]] = {
    "temi": temi,
    "temi, centred": lambda *given: temi(*given, centred=True),
    "turtle": turtle,
    "anchors of kmeans": _anchors_of("kmeans"),
    "anchors of scan": _anchors_of("scan"),
}
