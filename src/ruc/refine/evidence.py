"""How far a given label can be believed, from the labels around it alone.

RUC throws an unclean label away. That is right when it came from the features in the first place (k-means:
the label knows nothing that the features don't), and wasteful when it came from elsewhere (people, another
model): among features that tell classes apart badly, nearly every right label would be thrown away. So the
share of wrong labels is estimated together with what the features say, and both are weighed by Bayes' rule.
The model is that of noisy labels with a transition matrix (Patrini et al. 2017, *forward correction*), with
the neighbours as the only, and hence out-of-sample, predictor.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ruc.cluster.clustering import UNKNOWN, Clustering
from ruc.embed.neighbors import Neighbors
from ruc.refine.field import fit_field
from ruc.refine.propagate import is_large, propagate, propagate_among_candidates
from ruc.refine.settings import RefineSettings

__all__ = [
    "MOST_NEIGHBORS",
    "WELL_EXPLAINED",
    "Evidence",
    "gather_evidence",
    "smooth_evidence",
    "weigh_evidence",
]

SCALES = (3, 10, 30, 100)  # how many neighbours vote; the fit weighs the scales
MOST_NEIGHBORS = SCALES[-1]
PRIOR_STRENGTH = 5.0  # so many observations speak for every label being right
WELL_EXPLAINED = 0.75
MADE_OF_THE_GRAPH = ("graph", "density", "spectral")  # clusterings of the neighbour graph
SETTLED = ("graph", "density")
MADE_OF_THE_FEATURES = (*MADE_OF_THE_GRAPH, "kmeans", "mixture")  # they can't know more than the features do
SHARPEST = 5.0
N_STEPS = 60


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
        Whether networks on the same features would know no better: the labels are dense regions of the neighbour graph,
        or what several layouts of it agree on.
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

    @property
    def prior(self) -> NDArray[np.float32]:
        """(n_clusters,) how large each cluster is believed to be, as a share of all samples."""
        if self.columns is None:
            return np.asarray(self.posterior.mean(axis=0, dtype=np.float64), np.float32)
        weights = self.posterior.ravel().astype(np.float64)
        sums = np.bincount(self.columns.ravel(), weights=weights, minlength=self.n_clusters)
        return np.asarray(sums / len(self.posterior), np.float32)

    def of(self, rows: Tensor) -> Tensor:
        """(len(rows), n_clusters) probabilities of these samples, on their device."""
        posterior = torch.from_numpy(self.posterior[rows.cpu().numpy()]).to(rows.device)
        if self.columns is None:
            return posterior
        columns = torch.from_numpy(self.columns[rows.cpu().numpy()]).to(rows.device)
        return posterior.new_zeros(len(rows), self.n_clusters).scatter_add_(1, columns, posterior)


def gather_evidence(
    base: Clustering, neighbors: Neighbors | None, settings: RefineSettings
) -> Evidence | None:
    """What the neighbours add to the labels: weighed where these know more than the features, smoothed where not.

    Labels given from outside know more than the features do, and so does a clustering of something else (a network on
    images) that the features don't explain. None where the settings ask for the labels as they are, or where there are
    no neighbours.
    """
    if neighbors is None or len(np.unique(base.labels[base.labels != UNKNOWN])) < 2:
        return None
    large = is_large(base)
    can_know_more = base.name == "given" or (base.name not in MADE_OF_THE_FEATURES and not large)
    if settings.weigh_given and can_know_more:
        evidence = weigh_evidence(base, neighbors)
        if base.name == "given" or evidence.explained < WELL_EXPLAINED:
            return evidence
    if not settings.propagation:
        return None
    smooth = smooth_among_candidates if large else smooth_evidence
    evidence = smooth(base, neighbors, settings.propagation)
    return replace(evidence, settled=base.name in SETTLED and settings.calibrate_by == "neighbors")


def smooth_evidence(base: Clustering, neighbors: Neighbors, share: float) -> Evidence:
    """The labels as the neighbour graph smooths them, believed as far as it agrees with itself.

    A clustering of that very graph is smooth on it already: half of the belief stays with its own labels.
    """
    smooth = propagate(base, neighbors, share)
    assert smooth.probabilities is not None
    believed = smooth.probabilities
    if base.name in MADE_OF_THE_GRAPH:
        known = np.flatnonzero(base.labels != UNKNOWN)
        believed[known] /= 2
        believed[known, base.labels[known]] += 0.5
    return Evidence(believed, None)


def smooth_among_candidates(base: Clustering, neighbors: Neighbors, share: float) -> Evidence:
    """As `smooth_evidence`, for so many samples and clusters that only a few clusters of each sample are looked at."""
    columns, believed = propagate_among_candidates(base, neighbors, share)
    if base.name in MADE_OF_THE_GRAPH:
        believed /= 2
        believed[:, 0] += 0.5
    return Evidence(believed, None, n_clusters=base.n_clusters, columns=columns)


def weigh_evidence(base: Clustering, neighbors: Neighbors) -> Evidence:
    """Estimate the reliability of the labels and the probability of every cluster for every sample.

    Where the features explain the labels well, each pair of clusters has its own chance to be confused (`fit_field`).
    Where they don't, what looks like confused labels is confused features: all pairs are taken as alike, and the
    fit decides how far the neighbours' votes count.
    """
    known = base.labels != UNKNOWN
    labels = base.labels[known]
    field = fit_field(base, neighbors)
    opinion, reliability = field.opinion, field.reliability
    if _explained(opinion[known], reliability, labels) < WELL_EXPLAINED:
        opinion, reliability = _fit_votes(_votes(base, neighbors), known, torch.as_tensor(labels))
    posterior = opinion.copy()
    posterior[known] *= reliability.T[labels]
    posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return Evidence(posterior, reliability, _explained(opinion[known], reliability, labels))


def _explained(
    opinion: NDArray[np.float32], reliability: NDArray[np.float32], labels: NDArray[np.int64]
) -> float:
    predicted = (opinion @ reliability).argmax(axis=1)
    return float((predicted == labels).mean() / reliability.diagonal().mean())


def _votes(base: Clustering, neighbors: Neighbors) -> Tensor:
    """(n_scales, n_samples, n_clusters) numbers of neighbours with each label."""
    most = max(1, len(base.labels) // (2 * base.n_clusters))
    scales = sorted({min(scale, most, neighbors.indices.shape[1]) for scale in SCALES})
    counts = np.zeros((len(scales), len(base.labels), base.n_clusters), np.float32)
    for number, scale in enumerate(scales):
        voters = base.labels[neighbors.indices[:, :scale]]
        rows, columns = np.nonzero(voters != UNKNOWN)
        np.add.at(counts[number], (rows, voters[rows, columns]), 1.0)
    return torch.from_numpy(counts)


def _fit_votes(
    votes: Tensor, known: NDArray[np.bool_], labels: Tensor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Opinion and reliability of the likeliest model in which all confusions are alike.

    The opinion is a product of the votes' shares and of their likelihood, each scale trusted as far as it helps to
    predict the labels.
    """
    n_clusters = votes.shape[2]
    prior = (torch.bincount(labels, minlength=n_clusters) + 1) / (len(labels) + n_clusters)
    shares = ((votes + prior) / (votes.sum(dim=2, keepdim=True) + 1)).log()
    trust_shares = torch.full((len(votes),), np.log(0.3).item(), requires_grad=True)
    trust_votes = torch.full((len(votes),), np.log(0.05).item(), requires_grad=True)
    wrong_logit = torch.tensor([-3.0], requires_grad=True)
    own = torch.as_tensor(known)
    mine = torch.arange(len(labels))
    right = torch.eye(n_clusters)

    def reliability() -> Tensor:
        wrong = wrong_logit.sigmoid()
        return ((1 - wrong) * right + wrong * (1 - right) / max(n_clusters - 1, 1)).clamp_min(1e-6)

    def opinion(shares: Tensor, votes: Tensor) -> Tensor:
        # Each vote is itself a noisy label: its likelihood under cluster y is reliability[y, vote].
        soft = torch.einsum("s,snk->nk", trust_shares.exp().clamp_max(SHARPEST), shares)
        hard = torch.einsum("s,snk->nk", trust_votes.exp().clamp_max(SHARPEST), votes) @ reliability().log().T
        return (soft + hard).softmax(dim=1)

    optimizer = torch.optim.LBFGS(
        [trust_shares, trust_votes, wrong_logit], max_iter=N_STEPS, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        believed = reliability()
        expected = (opinion(shares[:, own], votes[:, own]) @ believed)[mine, labels]
        prior_loss = -PRIOR_STRENGTH / len(labels) * believed.diagonal().log().sum()
        loss = prior_loss - expected.clamp_min(1e-9).log().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        return opinion(shares, votes).numpy(), reliability().numpy()
