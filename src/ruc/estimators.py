"""The doors from Python: scikit-learn estimators, which hold parameters and fitted results and no algorithm."""

from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from ruc.cluster.auto import cluster
from ruc.cluster.given import given
from ruc.embed.neighbors import nearest_neighbors
from ruc.refine.evidence import MOST_NEIGHBORS
from ruc.refine.refinement import Epoch
from ruc.refine.ruc import refine
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.runtime import Runtime

__all__ = ["RobustClusterer"]


class RobustClusterer(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster features so that the clusters can be trusted, or repair a clustering that there is already.

    Parameters
    ----------
    n_clusters
        Number of clusters. Given `initial_labels`, there are as many as these name instead.
    base
        The base clustering that is refined when `fit` is given no labels; one of `ruc.cluster.auto.METHODS`.
    settings
        Every constant of the method; None: what won our measurements. `RefineSettings.paper()` is the paper's.
    device
        "auto", "cpu", "cuda", …
    random_state
        An integer, a `RandomState` or None; the same integer gives the same result.
    verbose
        Whether progress is shown.

    Attributes
    ----------
    labels_
        (n_samples,) int64 cluster of each sample.
    probabilities_
        (n_samples, n_clusters) calibrated probabilities of the training samples.
    was_clean_, is_clean_
        (n_samples,) bool: whose label was trusted at the start, and at the end.
    initial_labels_
        (n_samples,) int64: what the base, or the caller, said.
    classes_
        (n_clusters,) the names of the clusters: their numbers, or the text of `initial_labels`.
    history_
        One `Epoch` for each epoch.
    warnings_
        One line for each thing worth knowing.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from ruc import RobustClusterer
    >>> X, _ = load_digits(return_X_y=True)
    >>> labels = RobustClusterer(n_clusters=10, random_state=0).fit_predict(X)
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        base: str = "auto",
        settings: RefineSettings | None = None,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.base = base
        self.settings = settings
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: object = None,
        initial_labels: ArrayLike | None = None,
        initial_probabilities: ArrayLike | None = None,
    ) -> Self:
        """Cluster X, or repair `initial_labels`.

        Parameters
        ----------
        X
            (n_samples, n_features), of any scale; rows of unit length are taken for embeddings as they are.
        y
            Ignored.
        initial_labels
            (n_samples,) integers or text; -1, None, NaN and "" are unknown.
        initial_probabilities
            (n_samples, n_clusters), rows summing to 1.
        """
        values = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        runtime = Runtime(self.device, seed, self.verbose)
        self._learn_scale(values)
        features = self._as_features(values)
        neighbors = nearest_neighbors(features, min(MOST_NEIGHBORS, len(features) - 1), runtime)
        if initial_labels is None:
            start, names = cluster(features, self.n_clusters, self.base, runtime, neighbors), None
        else:
            start, names = given(initial_labels, len(features), initial_probabilities)
        space = FeatureSpace(features, neighbors, runtime)
        result = refine(space, start, neighbors, self.settings or RefineSettings(), runtime)
        self.classes_ = np.arange(start.n_clusters) if names is None else np.asarray(names)
        self.initial_labels_ = start.labels
        self.probabilities_ = result.probabilities
        self.labels_ = result.labels
        self.was_clean_, self.is_clean_ = result.was_clean, result.is_clean
        self.history_: tuple[Epoch, ...] = result.history
        self.warnings_ = result.warnings
        self.pair_, self.temperature_ = result.pair, result.temperature
        self.n_iter_ = len(result.history)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Calibrated probabilities of the clusters, (n_samples, n_clusters)."""
        logits = self._logits(X) / self.temperature_
        probabilities: NDArray[np.float32] = logits.softmax(dim=1).cpu().numpy()
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """The cluster of each sample; on the training data these are `labels_`."""
        labels: NDArray[np.int64] = self._logits(X).argmax(dim=1).cpu().numpy()
        return labels

    def _logits(self, X: ArrayLike) -> torch.Tensor:
        check_is_fitted(self)
        values = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        device = Runtime(self.device).device
        return self.pair_.logits(torch.from_numpy(self._as_features(values)).to(device))

    def _learn_scale(self, values: NDArray[np.floating]) -> None:
        lengths = np.linalg.norm(values, axis=1)
        self.is_embedding_ = bool(np.allclose(lengths, 1, atol=1e-3))
        self.center_ = values.mean(axis=0, dtype=np.float64)
        spread = float(np.sqrt(np.square(values - self.center_).sum(axis=1).mean()))
        self.scale_ = spread if spread > 0 else 1.0

    def _as_features(self, values: NDArray[np.floating]) -> NDArray[np.float32]:
        """Rows of unit length whose cosine similarity follows the distances between the rows of `values`.

        Rows that aren't embeddings are centred and lifted by a constant coordinate before they are scaled to
        unit length: what is far from the centre is then told from what is merely in the same direction.
        """
        rows = values.astype(np.float64)
        if not self.is_embedding_:
            rows = np.column_stack([(rows - self.center_) / self.scale_, np.ones(len(rows))])
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(lengths, np.finfo(np.float64).tiny), np.float32)
