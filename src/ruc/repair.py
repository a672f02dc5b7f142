"""Repair a clustering: believe → refine → the last word.

The labels are weighed against their neighbours (`belief.evidence`), two networks are retrained on those that can be
trusted (`refine`, the paper), and what the networks say is weighed with what was believed (`belief.last_word`).
The pipeline and the estimators both come through here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ruc.belief.association import Association, associate
from ruc.belief.confidence import find_confidence
from ruc.belief.evidence import Evidence, gather_evidence, unrelated_evidence
from ruc.belief.last_word import as_sure_as, last_word
from ruc.belief.opinion import MOST_NEIGHBORS
from ruc.belief.predictor import Predictor
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.neighbors.search import Neighbors, affordable_neighbors, nearest_neighbors
from ruc.networks import State
from ruc.refine.narrow import narrow, principal_of, widen
from ruc.refine.processes import refine_together
from ruc.refine.select import CleanSelection, select_clean
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import Space
from ruc.refine.trained import Epoch
from ruc.runtime import Runtime

NEVER = -1  # the epoch in which a label that isn't trusted became so


@dataclass(frozen=True)
class Repaired:
    """Repaired clusters and what is needed to predict new samples.

    Attributes
    ----------
    labels
        (n_samples,) int64: the cluster of every sample.
    probabilities
        (n_samples, n_clusters) float32 (float16 beyond a quarter of a billion of them); the largest of a row is the
        confidence: of a clustering see `belief.confidence`, of given labels how likely each is right, as they and their
        neighbours have it.
    stability
        (n_samples,) float32: how many samples stay together when the clustering is made again; None for given labels.
    predictor
        Names the same clusters of the same samples, and what it can of new ones.
    clean_since
        (n_samples,) int64: the epoch, counted from 1, at whose end each sample became trusted; 0: trusted from the
        start, -1: never.
    history
        One record for each epoch.
    remarks, warnings
        One line for each thing worth knowing, and for each that may need a hand.
    """

    labels: NDArray[np.int64]
    probabilities: NDArray[np.floating]
    stability: NDArray[np.float32] | None
    predictor: Predictor
    clean_since: NDArray[np.int64]
    history: tuple[Epoch, ...]
    remarks: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def was_clean(self) -> NDArray[np.bool_]:
        """(n_samples,) bool: trusted at the start."""
        return np.equal(self.clean_since, 0)

    @property
    def is_clean(self) -> NDArray[np.bool_]:
        """(n_samples,) bool: trusted at the end."""
        return np.greater_equal(self.clean_since, 0)


def repair(
    space: Space,
    base: Clustering,
    neighbors: Neighbors | None,
    settings: RefineSettings,
    runtime: Runtime,
    on_epoch: Callable[[Epoch, Callable[[], State]], None] | None = None,
    resume: State | None = None,
) -> Repaired:
    """Keep the labels that can be trusted, retrain two networks on them, and relabel the rest.

    Parameters
    ----------
    space
        Supplies the two networks and the views of the samples.
    base
        The initial clustering; its labels are taken as noisy.
    neighbors
        Nearest neighbours in an independent embedding, see `find_neighbors`; None: the base's own confidence decides.
        How far the base can be right is judged on their features; without these the confidence is only as good as the
        clustering is.
    on_epoch, resume
        See `refine`.
    """
    settings = settings.filled(space.defaults)
    if base.made_of == "elsewhere" and settings.weigh_given and neighbors is not None:
        link = associate(base, neighbors, runtime)
        if link is not None and not link.is_beyond_chance:
            return _unrelated(space, base, neighbors, settings, runtime, link)
    features = None if neighbors is None else neighbors.features
    parts = (
        [] if neighbors is None else [part.features for part in neighbors.parts if part.features is not None]
    )
    principal = principal_of(space)
    evidence = gather_evidence(base, neighbors, settings, runtime, features, parts, principal)
    start = choose_start(base, neighbors, evidence, settings)
    narrowed = narrow(space, principal)
    trained = refine_together(narrowed, start, settings, runtime, on_epoch, resume)
    pair = widen(narrowed, trained.pair)
    word = last_word(space, pair, base, evidence, features, settings, runtime)
    sure = None
    if base.made_of != "elsewhere" and features is not None and neighbors is not None:
        sure = find_confidence(word.labels, base, features, neighbors, pair.n_clusters, runtime, principal)
        word = as_sure_as(word, sure.confidence)
    return Repaired(
        labels=word.labels,
        probabilities=word.probabilities,
        stability=None if sure is None else sure.stability,
        predictor=word.predictor,
        clean_since=trained.clean_since,
        history=trained.history,
        remarks=start.remarks,
        warnings=start.warnings,
    )


def _unrelated(
    space: Space,
    base: Clustering,
    neighbors: Neighbors,
    settings: RefineSettings,
    runtime: Runtime,
    link: Association,
) -> Repaired:
    """Labels that have nothing to do with the samples: kept, believed as far as chance, and none of them trusted.

    The networks, which must be something, are trained for an epoch.
    """
    settings = replace(settings, n_epochs=1, promotion=False)
    evidence = unrelated_evidence(base, neighbors)
    start = select_clean(base, neighbors, settings, evidence.belief_in(base.labels))
    trained = refine_together(space, start, settings, runtime)
    word = last_word(space, trained.pair, base, evidence, None, settings, runtime)
    return Repaired(
        labels=word.labels,
        probabilities=word.probabilities,
        stability=None,
        predictor=word.predictor,
        clean_since=np.full(len(base.labels), NEVER),
        history=trained.history,
        remarks=(),
        warnings=(link.warning(),),
    )


def choose_start(
    base: Clustering, neighbors: Neighbors | None, evidence: Evidence | None, settings: RefineSettings
) -> CleanSelection:
    """The labels to start from, smoothed where they were, and which of them are trusted."""
    if evidence is None:
        return select_clean(base, neighbors, settings)
    if evidence.share_right is None:
        labels = np.where(base.labels == UNKNOWN, UNKNOWN, evidence.labels)
        return select_clean(replace(base, labels=labels), neighbors, settings)
    start = select_clean(base, neighbors, settings, evidence.belief_in(base.labels))
    return replace(start, remarks=start.remarks + evidence.remarks(base, int(start.is_clean.sum())))


def find_neighbors(
    features: NDArray[np.floating],
    settings: RefineSettings,
    runtime: Runtime,
    parts: Sequence[NDArray[np.floating]] = (),
) -> Neighbors:
    """As many nearest neighbours of every sample as selection, evidence and views ask for, and as are affordable.

    `parts`: of several embeddings side by side the features of each, in which neighbours are found as well.
    """
    wanted = affordable_neighbors(max(settings.n_neighbors or 0, MOST_NEIGHBORS), len(features))
    found, *of_parts = (
        replace(nearest_neighbors(each, wanted, runtime), features=each)
        for each in (features, *(parts if len(parts) > 1 else ()))
    )
    return replace(found, parts=tuple(of_parts))
