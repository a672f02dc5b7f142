"""Different eyes: what each way of looking at the samples learns of the labels from the others, until they agree.

Heads on the very features that made a clustering know nothing new of it. Another embedding does, and so do the
eigenvectors of its neighbour graph beside the features themselves. That is RUC with a network per embedding, solved in
closed form, and co-training in its first sense (Blum and Mitchell 1998): in each round every eye trusts the half of
each cluster that the neighbourhoods of the *other* eyes agree with most, fits a linear head to it, and judges all
samples by heads that didn't see their own label. The sum of what all eyes say is the next round's labels, with clusters
held near the sizes that they had: without that large clusters would eat the small ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.mapped import row_blocks
from ruc.neighbors.communities import agreement
from ruc.neighbors.eigenvectors import spectral_embedding
from ruc.neighbors.graphs import neighbor_graph
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.principal import Principal, leading_directions
from ruc.runtime import Runtime

MOST_SAMPLES = 100_000  # what the heads see of more takes gigabytes
MOST_MEMBERSHIPS = (
    20_000_000  # samples times clusters: each round costs so much, and holds several such tables
)
# Samples that principal components and the clusters' sizes are found on, and up to which every other sample is looked
# at for the nearest ones along the eigenvectors, not the graph's neighbours alone (experiments/LOG.md, "fifty thousand
# photographs").
MANY = 20_000

# Set on aerial7, blood8, waste6 and stl10 (experiments/LOG.md); half or twice of each changes the mean by half a point.
N_ROUNDS = 10
CLEAN_SHARE = 0.5  # of each cluster is trusted
N_VOTERS = 15
N_COMPONENTS = 256
# As many as there are clusters, within these bounds. Of 100 clusters 64 instead of 32 found 1.2 to 2.7 points more, and
# 128 another 1.5 in twice the time (experiments/LOG.md, "fifty thousand photographs").
FEWEST_EIGENVECTORS, MOST_EIGENVECTORS = 32, 64
PENALTY = 0.1  # of the heads, as a share of the mean variance of their inputs
# How far the sizes of clusters are drawn towards equal ones. Layouts of the graph found the sizes of theirs and keep
# them. Twice as far, and a quarter of the way for layouts, is as good where sizes are alike, and loses up to four
# points where they go down to a tenth (experiments/LOG.md, "consensus of bases, and sizes that are unequal").
EVENNESS = 0.25
# What was made of a graph has a vote of its own, which heads on that graph's eigenvectors add little to: spectral
# clusters of aerial7 lost 2.5 points without it, now they gain 0.3.
OWN_VOTE_OF_GRAPHS = 0.2
# Share of the neighbours that have a sample's own label, in an eye of every embedding, from which these are believed:
# there is hardly an error to mend, and drawing the sizes would make some. k-means on the four sets: 0.69 to 0.91.
AGREED = 0.99
# Of the neighbours beside the heads, which alone overruled what all neighbours of scanned digits agreed on (96.3 to
# 95.8%). By k-means and SCAN on nine sets of features, one embedding: 0, 0.2 and 0.4 add 2.9, 2.9 and 3.0 points in the
# mean, -0.6, +0.5 and +0.5 at least; two embeddings of four sets: 2.8, 2.7 and 2.6.
NEIGHBORS_VOTE = 0.2
# By how many points an eye's neighbours explain more of the labels than its head for them to be heard in its stead: a
# linear head doesn't see clusters of several far parts. It mends those, and changes photographs by 0.1 in the mean.
HEAD_SEES_LITTLE = 0.2
TEMPERATURE = 0.05  # of the heads' summed scores, which are shares of a vote
N_FOLDS = 5
N_BALANCING = 30
ROWS = 4096  # at a time, for the memory
# Share of what the best embedding sees of the labels (adjusted Rand index) from which another one is heard.
LEAST_SEEN = 0.4


@dataclass(frozen=True)
class Eye:
    """One way of looking at the samples.

    Attributes
    ----------
    inputs
        (n_samples, n_inputs) float32, of mean zero: what a linear head sees.
    voters
        (n_samples, n_voters) int64: the nearest neighbours of each sample.
    embedding
        The number of the embedding that it looks at.
    """

    inputs: Tensor
    voters: Tensor
    embedding: int


def can_open_eyes(base: Clustering, n_embeddings: int) -> bool:
    """Whether different eyes could see more than made these labels, and are affordable for so many of them.

    A single embedding's graph is no news to a clustering of that graph, and none is to labels from elsewhere.
    """
    n_samples = len(base.labels)
    is_small = n_samples <= MOST_SAMPLES and n_samples * base.n_clusters <= MOST_MEMBERSHIPS
    return is_small and (base.made_of == "features" or (n_embeddings > 1 and base.made_of != "elsewhere"))


def open_eyes(
    embeddings: Sequence[NDArray[np.float32]],
    neighbors: Sequence[Neighbors],
    runtime: Runtime,
    principal: Principal | None = None,
    n_clusters: int = 0,
) -> list[Eye]:
    """Two eyes for each embedding: its principal components, and the eigenvectors of its neighbour graph.

    Parameters
    ----------
    embeddings
        (n_samples, n_features) unit-norm rows each.
    neighbors
        Of every sample in each embedding, at least 15 where there are so many samples.
    runtime
        The seed, and where to compute.
    principal
        Of a single embedding, where others ask for it too.
    n_clusters
        How many are to be told apart, if that is known: many need more eigenvectors.
    """
    n_eigenvectors = min(max(n_clusters, FEWEST_EIGENVECTORS), MOST_EIGENVECTORS)
    eyes = []
    for number, (features, nearest) in enumerate(zip(embeddings, neighbors, strict=True)):
        eyes.append(_eye(_principal(features, runtime, principal), nearest.indices, number, runtime))
        vectors = _eigenvectors(features, nearest, n_eigenvectors, runtime)
        among = _nearest_along(vectors, nearest, runtime)
        eyes.append(_eye(vectors - vectors.mean(axis=0), among, number, runtime))
    return eyes


def eyes_that_see(base: Clustering, eyes: Sequence[Eye], runtime: Runtime) -> list[Eye]:
    """Those of the embeddings that see enough of the labels: one that sees much less than another would blur them.

    What an embedding sees are the labels that its heads predict, fitted to those of the other samples.
    """
    known = np.flatnonzero(base.labels != UNKNOWN)
    labels = torch.from_numpy(base.labels).to(eyes[0].inputs.device)
    seed, seen = runtime.numpy_seed("eyes/folds"), {}
    for number in sorted({eye.embedding for eye in eyes}):
        heads = [_Heads(eye.inputs, seed) for eye in eyes if eye.embedding == number]
        said = torch.stack([head.judge(labels, labels != UNKNOWN, base.n_clusters) for head in heads])
        found = said.sum(dim=0).argmax(dim=1).cpu().numpy()
        seen[number] = agreement(found[known], base.labels[known])
    enough = min(
        LEAST_SEEN * max(seen.values()), max(seen.values())
    )  # of a few samples nobody may see anything
    return [eye for eye in eyes if seen[eye.embedding] >= enough]


def cotrain(base: Clustering, eyes: Sequence[Eye], runtime: Runtime) -> NDArray[np.float32]:
    """What all eyes together believe of every sample, (n_samples, n_clusters) rows summing to 1.

    Parameters
    ----------
    base
        The labels to start from; -1 is unknown. Clusters that nobody is in stay empty.
    eyes
        At least two, from `open_eyes`. Those of one embedding are selected for by the eyes of the other embeddings;
        where there is a single one, by its other eye.
    runtime
        The seed.

    Where the neighbours agree on nearly every label in each embedding, they are believed as they are.
    """
    device = eyes[0].inputs.device
    present, labels = np.unique(base.labels, return_inverse=True)
    if present[0] == UNKNOWN:
        present, labels = present[1:], labels - 1
    current = torch.from_numpy(np.asarray(labels, np.int64)).to(device)
    n_clusters = len(present)
    shares = torch.bincount(current[current != UNKNOWN], minlength=n_clusters).float()
    evenness = 0.0 if base.made_of == "layouts" else EVENNESS
    sizes = (1 - evenness) * shares / shares.sum() + evenness / n_clusters
    own_vote = OWN_VOTE_OF_GRAPHS if base.made_of in ("graph", "layouts") else 0.0
    own = own_vote * _one_hot(current, n_clusters)
    seed = runtime.numpy_seed("eyes/folds")
    heads = [_Heads(eye.inputs, seed) for eye in eyes]
    heard = torch.tensor(
        [heard_of(current, eye, head, n_clusters) for eye, head in zip(eyes, heads, strict=True)],
        device=device,
    )
    agreeing = [eye for eye in eyes if agreement_of(current, eye, n_clusters) >= AGREED]
    agreed = {eye.embedding for eye in agreeing} == {eye.embedding for eye in eyes}
    believed = torch.stack([vote(current, eye.voters, n_clusters) for eye in agreeing or eyes]).mean(dim=0)
    for _ in range(0 if agreed else N_ROUNDS):
        votes = [vote(current, eye.voters, n_clusters) for eye in eyes]
        said = torch.zeros(len(current), n_clusters, device=device)
        for number, head in enumerate(heads):
            shared = torch.stack([votes[other] for other in _others(eyes, number)]).mean(dim=0)
            said += heard[number, 0] * head.judge(current, typical_half(current, shared), n_clusters)
            said += heard[number, 1] * votes[number]
        seen = said / len(eyes) + own
        believed = balance(seen / TEMPERATURE, sizes).softmax(dim=1)
        current = believed.argmax(dim=1)
    posterior = np.zeros((len(labels), base.n_clusters), np.float32)
    posterior[:, present] = believed.cpu().numpy()
    return posterior


def vote(labels: Tensor, voters: Tensor, n_clusters: int) -> Tensor:
    """(n_samples, n_clusters) share of the voters with each label; at most half the mean cluster size votes."""
    n_voters = min(voters.shape[1], max(1, len(labels) // (2 * n_clusters)))
    voted = labels[voters[:, :n_voters]]
    votes = torch.zeros(len(labels), n_clusters, device=labels.device)
    return votes.scatter_add_(1, voted.clamp_min(0), (voted != UNKNOWN).float()).div_(n_voters)


def heard_of(labels: Tensor, eye: Eye, head: "_Heads", n_clusters: int) -> tuple[float, float]:
    """Weights of an eye's head and of its neighbours, by the share of the labels that either says unseen."""
    known = labels != UNKNOWN
    by_head = head.judge(labels, known, n_clusters).argmax(dim=1)
    by_neighbors = vote(labels, eye.voters, n_clusters).argmax(dim=1)
    explained = [float((said == labels)[known].float().mean()) for said in (by_head, by_neighbors)]
    instead = min(max((explained[1] - explained[0]) / HEAD_SEES_LITTLE, 0.0), 1.0)
    return 1.0 - instead, NEIGHBORS_VOTE + (1.0 - NEIGHBORS_VOTE) * instead


def agreement_of(labels: Tensor, eye: Eye, n_clusters: int) -> float:
    """Mean share of an eye's voters that have the label of the sample they vote on, where that is known."""
    votes = vote(labels, eye.voters, n_clusters)[labels != UNKNOWN]
    return float(votes.gather(1, labels[labels != UNKNOWN, None]).mean())


def typical_half(labels: Tensor, agreement: Tensor) -> Tensor:
    """(n_samples,) bool: of each cluster the half whose labels the others agree with most, at least one sample.

    Of the equally typical those come first that are earlier in order. Unknown labels are never among them.

    Parameters
    ----------
    labels
        (n_samples,) int64, -1 unknown.
    agreement
        (n_samples, n_clusters) how much the others would give each sample each label.
    """
    own = agreement.gather(1, labels.clamp_min(0)[:, None])[:, 0]
    order = torch.argsort(own, descending=True, stable=True)
    order = order[torch.argsort(labels[order], stable=True)]
    ordered = labels[order]
    sizes = torch.bincount(labels + 1)  # the unknown first
    starts = sizes.cumsum(0) - sizes
    rank = torch.arange(len(labels), device=labels.device) - starts[ordered + 1]
    trusted = torch.zeros_like(labels, dtype=torch.bool)
    trusted[order] = (rank < (sizes[ordered + 1] * CLEAN_SHARE).long().clamp_min(1)) & (ordered != UNKNOWN)
    return trusted


def balance(logits: Tensor, sizes: Tensor) -> Tensor:
    """The logits, shifted for each cluster so that its mean probability becomes the given share of the samples.

    The alternate scaling of rows and columns of Sinkhorn and Knopp (1967); of very many samples on evenly spread ones.
    """
    some = logits[:: -(-len(logits) // MANY)]
    shift = torch.zeros_like(sizes)
    for _ in range(N_BALANCING):
        found = (some + shift).softmax(dim=1).mean(dim=0)
        shift = shift + sizes.log() - found.clamp_min(torch.finfo(found.dtype).tiny).log()
    return logits + shift


class _Heads:
    """Linear heads by least squares, one for each fold, that judge the samples of which they saw no label."""

    def __init__(self, inputs: Tensor, seed: int) -> None:
        scale = inputs.square().sum(dim=1).mean().sqrt()
        self.inputs = torch.cat([inputs, scale.expand(len(inputs), 1)], dim=1)  # the last one for the bias
        self.ridge = PENALTY * scale.square() / self.inputs.shape[1]
        fold_of = np.random.default_rng(seed).permutation(np.arange(len(inputs)) % N_FOLDS)
        folds = [np.flatnonzero(fold_of == fold) for fold in range(N_FOLDS)]
        self.folds = [torch.from_numpy(fold).to(inputs.device) for fold in folds if len(fold)]

    def judge(self, labels: Tensor, trusted: Tensor, n_clusters: int) -> Tensor:
        """(n_samples, n_clusters) scores, near 1 for the cluster that a sample belongs to.

        Heads are fitted to the labels that are trusted, each cluster with the same weight in all.
        """
        targets = _one_hot(labels, n_clusters) * trusted[:, None]
        per_cluster = targets.sum(dim=0).clamp_min(1)
        weights = (targets / per_cluster).sum(dim=1, keepdim=True) * per_cluster.mean()
        moments, products = [], []
        for fold in self.folds:
            learned = fold[trusted[fold]]
            inputs, weighted = self.inputs[learned], self.inputs[learned] * weights[learned]
            moments.append(weighted.T @ inputs)
            products.append(weighted.T @ targets[learned])
        moment, product = torch.stack(moments).sum(dim=0), torch.stack(products).sum(dim=0)
        moment = moment + torch.eye(len(moment), device=moment.device) * self.ridge * weights.sum()
        scores = torch.empty_like(targets)
        for fold, own_moment, own_product in zip(self.folds, moments, products, strict=True):
            scores[fold] = self.inputs[fold] @ torch.linalg.solve(moment - own_moment, product - own_product)
        return scores


def _others(eyes: Sequence[Eye], number: int) -> list[int]:
    """The eyes whose neighbourhoods select for this one."""
    own = eyes[number].embedding
    elsewhere = [other for other, eye in enumerate(eyes) if eye.embedding != own]
    return elsewhere or [other for other in range(len(eyes)) if other != number]


def _one_hot(labels: Tensor, n_clusters: int) -> Tensor:
    """(n_samples, n_clusters) float32; rows of unknown labels are zero."""
    known = labels != UNKNOWN
    empty = torch.zeros(len(labels), n_clusters, device=labels.device)
    return empty.scatter_(1, labels.clamp_min(0)[:, None], known.float()[:, None])


def _eye(inputs: NDArray[np.float32], nearest: NDArray[np.int64], embedding: int, runtime: Runtime) -> Eye:
    voters = torch.from_numpy(np.ascontiguousarray(nearest[:, :N_VOTERS]))
    return Eye(torch.from_numpy(inputs).to(runtime.device), voters.to(runtime.device), embedding)


def _principal(
    features: NDArray[np.float32], runtime: Runtime, principal: Principal | None = None
) -> NDArray[np.float32]:
    """The leading principal components, which hold what a linear head can use."""
    n_components = min(N_COMPONENTS, *features.shape)
    if n_components == features.shape[1]:
        return np.asarray(features - features.mean(axis=0), np.float32)
    if principal is not None:
        return np.asarray(principal.components(n_components).cpu().numpy())
    if len(features) > MANY:
        rows = np.random.default_rng(runtime.numpy_seed("eyes")).permutation(len(features))[:MANY]
        some = torch.from_numpy(features[np.sort(rows)]).to(runtime.device)
        along = leading_directions(some, n_components).cpu().numpy()
        seen = np.concatenate([features[part] @ along for part in row_blocks(features, ROWS)])
        return np.asarray(seen - seen.mean(axis=0), np.float32)
    from sklearn.decomposition import PCA  # slow to import: not before the first progress bar

    model = PCA(n_components, random_state=runtime.numpy_seed("eyes"))
    return np.asarray(model.fit_transform(features), np.float32)


def _nearest_along(vectors: NDArray[np.float32], neighbors: Neighbors, runtime: Runtime) -> NDArray[np.int64]:
    """(n_samples, n_voters) the nearest samples along the eigenvectors; of very many among the graph's neighbours."""
    if len(vectors) <= MANY:
        return nearest_neighbors(vectors, min(N_VOTERS, len(vectors) - 1), runtime).indices
    chosen = []
    for part in row_blocks(vectors, ROWS):
        among = neighbors.indices[part]
        nearness = (vectors[part, None, :] * vectors[among]).sum(axis=2)
        best = np.argsort(-nearness, axis=1, kind="stable")[:, :N_VOTERS]
        chosen.append(np.take_along_axis(among, best, axis=1))
    return np.concatenate(chosen)


def _eigenvectors(
    features: NDArray[np.float32], neighbors: Neighbors, n_eigenvectors: int, runtime: Runtime
) -> NDArray[np.float32]:
    """Unit-norm rows of the leading eigenvectors of the neighbour graph, without the first, which is the degrees."""
    affinity = neighbor_graph(features, runtime, neighbors)
    n_vectors = min(n_eigenvectors + 1, len(features))
    _, vectors = spectral_embedding(affinity, n_vectors, runtime)
    rows = vectors[:, 1:] if n_vectors > 1 else vectors
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), np.float32)
