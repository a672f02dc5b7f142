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
from ruc.belief.opinion import weigh_opinions
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.propagation import all_clusters, find_candidates, is_large, possible_clusters, propagate
from ruc.neighbors.search import Neighbors
from ruc.principal import Principal
from ruc.refine.settings import RefineSettings
from ruc.runtime import Runtime

# Of the labels, by the features (experiments/LOG.md, "Given labels: when confusions are believed"): from 0.75 on
# networks are heard beside the evidence; from 0.9 on pairs of clusters may have chances of their own to be confused, or
# from 0.75 on where that explains a tenth more of the labels than one chance for all does.
WELL_EXPLAINED, CLEARLY_EXPLAINED, MORE_EXPLAINED = 0.75, 0.9, 0.1
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
        (n_samples, m) float32: the probability of some clusters of each sample, from its own label and from its
        neighbours'; that of all others is 0.
    columns
        (n_samples, m) int64: which clusters these are.
    n_clusters
        How many there are in all.
    share_right
        How many of the labels are right, of those that were weighed; None where they weren't.
    explained
        Share of the labels that the features predict, relative to the best possible where so many are right.
    settled
        Whether networks on the same features would know no better.
    support
        (n_samples,) how probable each label is by the others alone, that didn't see it; None where none were weighed.
    """

    posterior: NDArray[np.float32]
    columns: NDArray[np.int64]
    n_clusters: int
    share_right: float | None = None
    explained: float = 1.0
    settled: bool = False
    support: NDArray[np.float32] | None = None

    @staticmethod
    def of_all(posterior: NDArray[np.float32], settled: bool = False) -> "Evidence":
        """With the probability of every cluster, (n_samples, n_clusters)."""
        return Evidence(posterior, all_clusters(*posterior.shape), posterior.shape[1], settled=settled)

    @property
    def labels(self) -> NDArray[np.int64]:
        """(n_samples,) the likeliest cluster of each sample."""
        best = self.posterior.argmax(axis=1)[:, None]
        return np.asarray(np.take_along_axis(self.columns, best, axis=1)[:, 0], np.int64)

    def belief_in(self, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n_samples,) the probability of these labels, of which -1 is none."""
        return np.asarray((self.posterior * (self.columns == labels[:, None])).sum(axis=1), np.float32)

    @cached_property
    def prior(self) -> NDArray[np.float32]:
        """(n_clusters,) how large each cluster is believed to be, as a share of all samples."""
        weights = self.posterior.ravel().astype(np.float64)
        sums = np.bincount(self.columns.ravel(), weights=weights, minlength=self.n_clusters)
        return np.asarray(sums / len(self.posterior), np.float32)

    def remarks(self, base: Clustering, n_clean: int) -> tuple[str, ...]:
        """What to say of labels that were weighed, of which so many are trusted.

        The features contradict a label that is more likely wrong than right, itself counted. They support one that they
        would call likelier than all others together without having seen it. Of the rest they can't tell.
        """
        if self.support is None:
            return ()
        known = base.labels != UNKNOWN
        contradicted = known & (self.belief_in(base.labels) <= 0.5)
        supported = known & ~contradicted & (self.support > 0.5)
        n_known, n_against, n_for = int(known.sum()), int(contradicted.sum()), int(supported.sum())
        n_open = n_known - n_against - n_for
        of = "given labels" if base.made_of == "elsewhere" else f"labels of {base.name!r}"
        weighed = (
            f"of {n_known} {of} the features support {n_for}, contradict {n_against}, and can't tell of {n_open}; "
            f"{n_clean} are used for learning"
        )
        if self.explained >= WELL_EXPLAINED:
            return (weighed,)
        return (
            weighed,
            "where the features can't tell, the label is kept and its confidence rests on it alone; better features "
            "would show more",
        )

    def of(self, rows: Tensor) -> Tensor:
        """(len(rows), n_clusters) probabilities of these samples, on their device."""
        chosen = rows.cpu().numpy()
        posterior = torch.from_numpy(self.posterior[chosen]).to(rows.device)
        columns = torch.from_numpy(self.columns[chosen]).to(rows.device)
        return posterior.new_zeros(len(rows), self.n_clusters).scatter_add_(1, columns, posterior)


def gather_evidence(
    base: Clustering,
    neighbors: Neighbors | None,
    settings: RefineSettings,
    runtime: Runtime,
    features: NDArray[np.floating] | None = None,
    parts: Sequence[NDArray[np.floating]] = (),
    principal: Principal | None = None,
) -> Evidence | None:
    """What the features add to the labels: weighed where these know more than the features, else seen by other eyes.

    Labels given from outside know more than the features do, as long as there are enough of them to judge each other,
    and so does a clustering of something else (a network on images) that the features don't explain. What was made of
    the features is learned from by different eyes (`belief.eyes`); what was made of their neighbour graph is so where
    there are several embeddings (`parts`, each with its own neighbours), and is else smoothed over that graph, as is
    what is too large. None where the settings ask for the labels as they are, or where
    there are no neighbours.

    `principal`: of `features`, where others ask for it too.
    """
    if neighbors is None or len(np.unique(base.labels[base.labels != UNKNOWN])) < 2:
        return None
    enough = (base.labels != UNKNOWN).sum() >= FEWEST_WEIGHED * base.n_clusters
    can_know_more = base.made_of == "elsewhere" or (base.made_of == "network" and not is_large(base))
    if settings.weigh_given and can_know_more and enough:
        evidence = weigh_evidence(base, neighbors, runtime, features)
        if base.made_of == "elsewhere" or evidence.explained < WELL_EXPLAINED:
            return evidence
    if settings.different_eyes and features is not None and can_open_eyes(base, len(parts)):
        seen, nearest = parts or [features], neighbors.parts or [neighbors]
        eyes = open_eyes(seen, nearest, runtime, principal, base.n_clusters)
        eyes = eyes_that_see(base, eyes, runtime)
        if base.made_of == "features" or len({eye.embedding for eye in eyes}) > 1:
            return Evidence.of_all(cotrain(base, eyes, runtime), settled=True)
    if not settings.propagation:
        return None
    return smooth_evidence(base, neighbors, settings.propagation)


def unrelated_evidence(base: Clustering, neighbors: Neighbors) -> Evidence:
    """Of labels that have nothing to do with the samples: hardly more likely right than any other."""
    columns = possible_clusters(base, neighbors)
    posterior = np.where(columns == UNKNOWN, 0, (1 - KEEPS_A_LABEL) / base.n_clusters)
    posterior += KEEPS_A_LABEL * ((columns == base.labels[:, None]) & (columns != UNKNOWN))
    posterior /= posterior.sum(axis=1, keepdims=True)
    chance = 1 / base.n_clusters
    return Evidence(
        posterior.astype(np.float32), np.maximum(columns, 0), base.n_clusters, chance, explained=0.0
    )


def smooth_evidence(base: Clustering, neighbors: Neighbors, share: float) -> Evidence:
    """The labels as the neighbour graph smooths them, believed as far as it agrees with itself.

    A clustering of that very graph is smooth on it already: half of the belief stays with its own labels. Of so many
    samples and clusters that a number for each pair is too much, a few clusters of each sample are looked at.
    """
    columns = find_candidates(base.labels, neighbors) if is_large(base) else None
    believed = propagate(base, neighbors, share, columns)
    columns = all_clusters(*believed.shape) if columns is None else columns
    if base.made_of in OF_THE_GRAPH:
        known = base.labels != UNKNOWN
        own = (columns == base.labels[:, None])[known].astype(np.float32)
        believed[known] = believed[known] / 2 + own / 2
    settled = base.made_of == "layouts"
    return Evidence(believed, np.maximum(columns, 0), base.n_clusters, settled=settled)


def weigh_evidence(
    base: Clustering, neighbors: Neighbors, runtime: Runtime, features: NDArray[np.floating] | None = None
) -> Evidence:
    """Estimate the reliability of the labels and the probability of every cluster for every sample.

    Where the features explain the labels well, each pair of clusters has its own chance to be confused (`fit_field`).
    Where they don't, or no better so, what looks like confused labels is confused features: all pairs are taken as
    alike, and a linear classifier of the features is asked beside the neighbours (`weigh_opinions`). Of so many samples
    and clusters that a number for each pair is too much, a few clusters of each sample are looked at, and the
    neighbours alone are asked.
    """
    if len(base.labels) * base.n_clusters > MOST_WEIGHED:
        columns = find_candidates(base.labels, neighbors)
        return _weighed(base, columns, *weigh_opinions(base, neighbors, runtime, columns))
    columns = all_clusters(len(base.labels), base.n_clusters)
    field = _weighed(base, columns, *fit_field(base, neighbors, runtime))
    # A few labels reach all the others along the graph alone.
    most_are_unknown = np.mean(base.labels == UNKNOWN) > 0.5
    if field.explained >= (WELL_EXPLAINED if most_are_unknown else CLEARLY_EXPLAINED):
        return field
    alike = _weighed(base, columns, *weigh_opinions(base, neighbors, runtime, columns, features))
    needed = max(WELL_EXPLAINED, alike.explained + MORE_EXPLAINED)
    return field if field.explained >= needed else alike


def _weighed(
    base: Clustering,
    columns: NDArray[np.int64],
    opinion: NDArray[np.float32],
    reliability: NDArray[np.float32],
) -> Evidence:
    """What the others say of each sample, (n_samples, m), and its own label, by Bayes' rule."""
    known, possible = base.labels != UNKNOWN, np.maximum(columns, 0)
    posterior = opinion.copy()
    posterior[known] *= reliability[possible[known], base.labels[known, None]]
    posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    share_right = float(reliability.diagonal().mean())
    predicted = np.take_along_axis(columns, opinion.argmax(axis=1)[:, None], axis=1)[:, 0]
    explained = float((predicted == base.labels)[known].mean() / share_right)
    support = (opinion * (columns == base.labels[:, None])).sum(axis=1)
    return Evidence(posterior, possible, base.n_clusters, share_right, explained, support=support)
