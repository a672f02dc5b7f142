"""How far a given label can be believed, from the labels of the other samples.

RUC throws an unclean label away. That is right when it came from the features in the first place (k-means:
the label knows nothing that the features don't), and wasteful when it came from elsewhere (people, another
model): among features that tell classes apart badly, nearly every right label would be thrown away. So the
share of wrong labels is estimated together with what the features say, and both are weighed by Bayes' rule.
The model is that of noisy labels with a transition matrix (Patrini et al. 2017, *forward correction*), whose
predictor never sees the label that it judges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.belief.eyes import can_open_eyes, cotrain, eyes_that_see, open_eyes
from ruc.belief.field import fit_field
from ruc.belief.opinion import weigh_opinions, weigh_votes_among
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.propagation import find_candidates, is_large, propagate
from ruc.neighbors.search import Neighbors
from ruc.refine.settings import RefineSettings
from ruc.runtime import Runtime

WELL_EXPLAINED = 0.75
FEWEST_WEIGHED = (
    3  # labels of each cluster, in the mean: fewer can't be judged by each other (experiments/LOG.md)
)
MOST_WEIGHED = 100_000_000  # samples times clusters
KEEPS_A_LABEL = 0.02  # more belief than in others: a label that nothing speaks for or against stays
OF_THE_GRAPH = ("graph", "layouts")  # what clusterings are made of that are smooth on it already


@dataclass(frozen=True)
class Evidence:
    """What is believed of every sample before any network is trained.

    Attributes
    ----------
    posterior
        (n_samples, n_clusters) float32: the probability of each cluster, from a sample's own label and from its
        neighbours'. Where `columns` are given, (n_samples, m): of these clusters alone.
    reliability
        (n_clusters, n_clusters) float32: row y is how samples of cluster y are labelled. None where the labels
        weren't weighed.
    explained
        Share of the labels that the features predict, relative to the best possible at this reliability.
    settled
        Whether networks on the same features would know no better.
    n_clusters, columns
        How many clusters there are, and (n_samples, m) int64 which of them the columns of `posterior` are, where a
        full table would be too large.
    """

    posterior: NDArray[np.float32]
    reliability: NDArray[np.float32] | None
    explained: float = 1.0
    settled: bool = False
    n_clusters: int = 0
    columns: NDArray[np.int64] | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n_samples,) the likeliest cluster of each sample."""
        best = np.asarray(self.posterior.argmax(axis=1), np.int64)
        if self.columns is None:
            return best
        return np.asarray(np.take_along_axis(self.columns, best[:, None], axis=1)[:, 0], np.int64)

    def belief_in(self, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n_samples,) the probability of these labels, of which -1 is none."""
        asked = np.where(labels == UNKNOWN, 0, labels)[:, None]
        if self.columns is None:
            belief = np.take_along_axis(self.posterior, asked, axis=1)[:, 0]
        else:
            belief = (self.posterior * (self.columns == asked)).sum(axis=1)
        return np.where(labels == UNKNOWN, np.float32(0), belief)

    @cached_property
    def prior(self) -> NDArray[np.float32]:
        """(n_clusters,) how large each cluster is believed to be, as a share of all samples."""
        if self.columns is None:
            return np.asarray(self.posterior.mean(axis=0, dtype=np.float64), np.float32)
        weights = self.posterior.ravel().astype(np.float64)
        sums = np.bincount(self.columns.ravel(), weights=weights, minlength=self.n_clusters)
        return np.asarray(sums / len(self.posterior), np.float32)

    def remarks(self, base: Clustering, n_clean: int) -> tuple[str, ...]:
        """What to say of labels that were weighed, of which so many are trusted."""
        if self.reliability is None:
            return ()
        of = "the given labels" if base.made_of == "elsewhere" else f"the labels of {base.name!r}"
        right = float(self.reliability.diagonal().mean())
        weighed = (
            f"{of} are weighed against the features, which contradict about {1 - right:.0%} of them; "
            f"{n_clean} of {int((base.labels != UNKNOWN).sum())} are used for learning"
        )
        if self.explained >= WELL_EXPLAINED:
            return (weighed,)
        return (
            weighed,
            f"the features explain {self.explained:.0%} of {of}: of the others they can't tell whether they are right, "
            "and confidence takes them for right; better features would show more",
        )

    def of(self, rows: Tensor) -> Tensor:
        """(len(rows), n_clusters) probabilities of these samples, on their device."""
        posterior = torch.from_numpy(self.posterior[rows.cpu().numpy()]).to(rows.device)
        if self.columns is None:
            return posterior
        columns = torch.from_numpy(self.columns[rows.cpu().numpy()]).to(rows.device)
        return posterior.new_zeros(len(rows), self.n_clusters).scatter_add_(1, columns, posterior)


def gather_evidence(
    base: Clustering,
    neighbors: Neighbors | None,
    settings: RefineSettings,
    runtime: Runtime,
    features: NDArray[np.floating] | None = None,
    parts: Sequence[NDArray[np.floating]] = (),
) -> Evidence | None:
    """What the features add to the labels: weighed where these know more than the features, else seen by other eyes.

    Labels given from outside know more than the features do, as long as there are enough of them to judge each other,
    and so does a clustering of something else (a network on images) that the features don't explain. What was made of
    the features is learned from by different eyes (`belief.eyes`); what was made of their neighbour graph is so where
    there are several embeddings (`parts`, each with its own neighbours), and is else smoothed over that graph, as is
    what is too large. None where the settings ask for the labels as they are, or where
    there are no neighbours.
    """
    if neighbors is None or len(np.unique(base.labels[base.labels != UNKNOWN])) < 2:
        return None
    large = is_large(base)
    enough = (base.labels != UNKNOWN).sum() >= FEWEST_WEIGHED * base.n_clusters
    can_know_more = base.made_of == "elsewhere" or (base.made_of == "network" and not large)
    if settings.weigh_given and can_know_more and enough:
        too_many = len(base.labels) * base.n_clusters > MOST_WEIGHED
        evidence = (
            weigh_among_candidates(base, neighbors, runtime)
            if too_many
            else weigh_evidence(base, neighbors, runtime, features)
        )
        if base.made_of == "elsewhere" or evidence.explained < WELL_EXPLAINED:
            return evidence
    if settings.different_eyes and features is not None and can_open_eyes(base, len(parts)):
        eyes = open_eyes(parts or [features], neighbors.parts or [neighbors], runtime)
        eyes = eyes_that_see(base, eyes, runtime)
        if base.made_of == "features" or len({eye.embedding for eye in eyes}) > 1:
            return Evidence(cotrain(base, eyes, runtime), None, settled=True)
    if not settings.propagation:
        return None
    return smooth_evidence(base, neighbors, settings.propagation)


def unrelated_evidence(base: Clustering) -> Evidence:
    """Of labels that have nothing to do with the samples: hardly more likely right than any other."""
    posterior = np.full((len(base.labels), base.n_clusters), 1 / base.n_clusters, np.float32)
    known = np.flatnonzero(base.labels != UNKNOWN)
    posterior *= 1 - KEEPS_A_LABEL
    posterior[known, base.labels[known]] += KEEPS_A_LABEL
    posterior /= posterior.sum(axis=1, keepdims=True)
    chance = np.full((base.n_clusters, base.n_clusters), 1 / base.n_clusters, np.float32)
    return Evidence(posterior, chance, explained=0.0)


def smooth_evidence(base: Clustering, neighbors: Neighbors, share: float) -> Evidence:
    """The labels as the neighbour graph smooths them, believed as far as it agrees with itself.

    A clustering of that very graph is smooth on it already: half of the belief stays with its own labels. Of so many
    samples and clusters that a number for each pair is too much, a few clusters of each sample are looked at.
    """
    columns = find_candidates(base.labels, neighbors) if is_large(base) else None
    believed = propagate(base, neighbors, share, columns)
    if base.made_of in OF_THE_GRAPH:
        known = np.flatnonzero(base.labels != UNKNOWN)
        believed[known] /= 2
        believed[known, base.labels[known] if columns is None else 0] += 0.5
    possible = None if columns is None else np.maximum(columns, 0)
    return Evidence(believed, None, 1.0, base.made_of == "layouts", base.n_clusters, possible)


def weigh_evidence(
    base: Clustering, neighbors: Neighbors, runtime: Runtime, features: NDArray[np.floating] | None = None
) -> Evidence:
    """Estimate the reliability of the labels and the probability of every cluster for every sample.

    Where the features explain the labels well, each pair of clusters has its own chance to be confused (`fit_field`).
    Where they don't, what looks like confused labels is confused features: all pairs are taken as alike, and a linear
    classifier of the features is asked beside the neighbours (`weigh_opinions`).
    """
    known = base.labels != UNKNOWN
    labels = base.labels[known]
    field = fit_field(base, neighbors, runtime)
    opinion, reliability = field.opinion, field.reliability
    if _explained(opinion[known], reliability, labels) < WELL_EXPLAINED:
        opinion, reliability = weigh_opinions(base, neighbors, runtime, features)
    posterior = opinion.copy()
    posterior[known] *= reliability.T[labels]
    posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return Evidence(posterior, reliability, _explained(opinion[known], reliability, labels))


def weigh_among_candidates(base: Clustering, neighbors: Neighbors, runtime: Runtime) -> Evidence:
    """As `weigh_evidence` by the neighbours' votes, for so many samples that a few clusters of each must do."""
    columns = find_candidates(base.labels, neighbors)
    opinion, reliability = weigh_votes_among(base, neighbors, runtime, columns)
    known = base.labels != UNKNOWN
    possible = np.maximum(columns, 0)
    posterior = opinion.copy()
    posterior[known] *= reliability[possible[known], base.labels[known, None]]
    posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    predicted = np.take_along_axis(columns, opinion.argmax(axis=1)[:, None], axis=1)[:, 0]
    explained = (predicted == base.labels)[known].mean() / reliability.diagonal().mean()
    return Evidence(posterior, reliability, float(explained), False, base.n_clusters, possible)


def _explained(
    opinion: NDArray[np.float32], reliability: NDArray[np.float32], labels: NDArray[np.int64]
) -> float:
    predicted = (opinion @ reliability).argmax(axis=1)
    return float((predicted == labels).mean() / reliability.diagonal().mean())
