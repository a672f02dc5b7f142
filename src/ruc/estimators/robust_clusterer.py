"""The estimator of features: clusters of rows, or a clustering of them repaired."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from numbers import Integral
from typing import Self, TypeGuard

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ruc.belief.calibration import pinned
from ruc.belief.known import Known
from ruc.cluster.auto import cluster, method_of
from ruc.cluster.inputs import check_different
from ruc.embed.scaling import fit_scaling
from ruc.errors import InputError, shown
from ruc.estimators.parameters import Constants, constants_of, seed_of, warn_of
from ruc.images.load import open_thumbnail
from ruc.images.reading import Reading
from ruc.images.source import Images, ImageSource, find_images
from ruc.images.survey import survey
from ruc.initial_clustering import choose_n_clusters
from ruc.labels.empty_clusters import empty_clusters
from ruc.labels.given import given
from ruc.refine.spaces import FeatureSpace
from ruc.refine.trained import Epoch
from ruc.repair import find_neighbors, repair
from ruc.report.data import OpenThumbnail, ReportData
from ruc.report.in_notebook import InNotebook
from ruc.runtime import Runtime, one_blas_thread
from ruc.settings import cluster_number
from ruc.side_by_side import join

LONGEST = 400  # characters of what scikit-learn says, which may print whole arrays
DEFAULT = 8  # clusters, as in scikit-learn; it asks for nothing where labels are given


class RobustClusterer(InNotebook, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster features so that the clusters can be trusted, or repair a clustering that there is already.

    Parameters
    ----------
    n_clusters
        A number, "auto", or a range such as "5:50". Given `initial_labels`, there are as many clusters as these name.
    base
        The base clustering that is refined when `fit` is given no labels; one of `ruc.cluster.auto.METHODS`.
    settings
        Every constant of the method; None: what won our measurements. "paper" is `RefineSettings.paper()`.
    device
        "auto", "cpu", "cuda", …
    random_state
        An integer, which is the seed of all randomness; a `RandomState` or None draws one.
    verbose
        Whether progress is shown.

    Attributes
    ----------
    labels_
        (n_samples,) int64 cluster of each sample.
    probabilities_
        (n_samples, n_clusters) of the training samples; the largest of a row is the confidence.
    stability_
        (n_samples,) how many samples stay together when the clustering is made again; None for given labels.
    was_clean_, is_clean_
        (n_samples,) bool: whose label was trusted at the start, and at the end.
    initial_labels_
        (n_samples,) int64: what the base, or the caller, said.
    classes_
        (n_clusters,) the names of the clusters: their numbers, or the text of `initial_labels`.
    history_
        One `Epoch` for each epoch.
    remarks_, warnings_
        One line for each thing worth knowing, and for each that may need a hand.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from ruc import RobustClusterer
    >>> X, _ = make_blobs(200, 8, centers=4, random_state=0)
    >>> model = RobustClusterer(n_clusters=4, random_state=0).fit(X)
    >>> model.labels_.shape, model.predict_proba(X[:5]).shape
    ((200,), (5, 4))
    """

    def __init__(
        self,
        n_clusters: int | str | None = DEFAULT,
        *,
        base: str = "auto",
        settings: Constants = None,
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
        X: ArrayLike | Sequence[ArrayLike],
        y: object = None,
        initial_labels: ArrayLike | None = None,
        initial_probabilities: ArrayLike | None = None,
    ) -> Self:
        """Cluster X, or repair `initial_labels`.

        Parameters
        ----------
        X
            (n_samples, n_features), of any scale; they are seen from their centre. Or a list of several such arrays:
            several embeddings of the same samples.
        y
            Ignored.
        initial_labels
            (n_samples,) integers or text; -1, None, NaN and "" are unknown.
        initial_probabilities
            (n_samples, n_clusters), rows summing to 1.

        Warns
        -----
        ClusterWarning
            A cluster is empty, was lost, or has no sample whose label can be trusted; labels name another number of
            clusters than was asked for.
        """
        values = self._checked(X)
        settings = constants_of(self.settings)
        runtime = Runtime(self.device, seed_of(self.random_state), self.verbose)
        if initial_labels is None:
            _check_no_probabilities(initial_probabilities)
            wanted = self._wanted_clusters()
        scalings = tuple(fit_scaling(each) for each in values)
        parts = [scaling(each) for scaling, each in zip(scalings, values, strict=True)]
        features = join(parts)
        check_different(features)
        with one_blas_thread():
            neighbors = find_neighbors(features, settings, runtime, parts)
            if initial_labels is None:
                n_clusters, _ = choose_n_clusters(wanted, self.base, features, neighbors, runtime)
                start, names = cluster(features, n_clusters, self.base, runtime, neighbors), None
            else:
                start, names = given(initial_labels, len(features), initial_probabilities)
            space = FeatureSpace(
                features, neighbors, runtime, n_first=parts[0].shape[1] if len(parts) > 1 else None
            )
            result = repair(space, start, neighbors, settings, runtime)
        # All at the end, so that a fit that fails leaves what was fitted before whole.
        if _is_several(X):
            self.n_features_in_ = sum(each.shape[1] for each in values)
        else:
            validate_data(self, X, skip_check_array=True)  # n_features_in_ and feature_names_in_
        self.scalings_ = scalings
        self.classes_ = np.arange(start.n_clusters) if names is None else np.asarray(names)
        self.initial_labels_ = start.labels
        self.probabilities_ = result.probabilities
        self.labels_ = result.labels
        self.stability_ = result.stability
        self.was_clean_, self.is_clean_ = result.was_clean, result.is_clean
        self.history_: tuple[Epoch, ...] = result.history
        self.remarks_ = result.remarks
        self.warnings_ = (
            *_not_as_asked(self.n_clusters, start.n_clusters if initial_labels is not None else None),
            *result.warnings,
            *empty_clusters(start.labels, result.labels, self.classes_.tolist()),
        )
        self.predictor_ = result.predictor
        self.known_ = Known(features, result.labels, result.probabilities.max(axis=1))
        self.is_weighed_ = result.stability is None
        self.n_iter_ = len(result.history)
        warn_of(self.warnings_)
        return self

    def predict_proba(self, X: ArrayLike | Sequence[ArrayLike], raw: bool = False) -> NDArray[np.float32]:
        """Probabilities of the clusters, (n_samples, n_clusters).

        Parameters
        ----------
        X
            (n_samples, n_features), or as many arrays as it was fitted to.
        raw
            False: the largest of a row is as high as the confidence of the training samples around it. True: what the
            networks say, the softmax of their summed logits.
        """
        features = self._features(X)
        logits = self.predictor_.logits(torch.from_numpy(features))
        probabilities: NDArray[np.float32] = logits.softmax(dim=1).numpy()
        if raw:
            return probabilities
        cluster = logits.argmax(dim=1).numpy()
        return pinned(probabilities, cluster, self.known_.look_around(features, cluster).confidence)

    def novelty(self, X: ArrayLike) -> NDArray[np.float32]:
        """How new each sample is to the training samples, (n_samples,) in [0, 1].

        The share of these that lie nearer to the others than it does: of samples like them one in a hundred is above
        0.99.
        """
        features = self._features(X)
        return self.known_.look_around(features, np.zeros(len(features), np.int64)).novelty

    def predict(self, X: ArrayLike | Sequence[ArrayLike]) -> NDArray[np.int64]:
        """The cluster of each sample; on the training data these are `labels_`."""
        features = torch.from_numpy(self._features(X))
        labels: NDArray[np.int64] = self.predictor_.logits(features).argmax(dim=1).numpy()
        return labels

    def _wanted_clusters(self) -> int | str:
        """How many clusters to find, or "auto", or a range; raises `InputError` where it's none of these."""
        if self.n_clusters is None and method_of(self.base).finds_number:
            return "auto"
        try:
            return cluster_number(self.n_clusters)
        except ValueError as error:
            raise InputError(f"n_clusters: {error}") from error

    def _report_data(self, images: Images | None = None) -> ReportData:
        names, opener = tuple(str(row) for row in range(len(self.labels_))), None
        if images is not None:
            names, opener = _in_order_given(survey(find_images(images), Reading()), len(self.labels_))
        return ReportData(
            title="Clusters",
            file_names=names,
            cluster=self.labels_,
            confidence=self.probabilities_.max(axis=1),
            initial_cluster=self.initial_labels_,
            was_clean=self.was_clean_,
            is_clean=self.is_clean_,
            cluster_names=[str(name) for name in self.classes_],
            probabilities=self.probabilities_,
            is_calibrated=self.is_weighed_,
            open_thumbnail=opener,
            remarks=self.remarks_,
            warnings=self.warnings_,
        )

    def _checked(self, X: ArrayLike | Sequence[ArrayLike]) -> list[NDArray[np.floating]]:
        """The matrices to be fitted, one or several of as many rows."""
        several: Sequence[ArrayLike] = X if _is_several(X) else [X]  # type: ignore[list-item]
        with _said_in_a_line():
            values = [
                check_array(each, dtype=[np.float64, np.float32], ensure_min_samples=2, estimator=self)
                for each in several
            ]
        _check_rows(values)
        return values

    def _features(self, X: ArrayLike | Sequence[ArrayLike]) -> NDArray[np.float32]:
        check_is_fitted(self)
        with _said_in_a_line():
            if len(self.scalings_) == 1 and not _is_several(X):
                values = [validate_data(self, X, dtype=[np.float64, np.float32], reset=False)]
            elif _is_several(X) and len(X) == len(self.scalings_):
                values = [check_array(each, dtype=[np.float64, np.float32], estimator=self) for each in X]
            else:
                raise InputError(
                    "another kind of X given than fitted to; expected "
                    + ("one array" if len(self.scalings_) == 1 else f"a list of {len(self.scalings_)} arrays")
                )
        _check_rows(values)
        widths, expected = [each.shape[1] for each in values], [each.n_features for each in self.scalings_]
        if widths != expected:
            raise InputError(f"X holds arrays of {widths} features; expected {expected}, as fitted to")
        return join([scaling(each) for scaling, each in zip(self.scalings_, values, strict=True)])


def _check_rows(values: Sequence[NDArray[np.floating]]) -> None:
    if len({len(each) for each in values}) > 1:
        rows = ", ".join(str(len(each)) for each in values)
        raise InputError(f"X holds arrays of {rows} rows; expected as many in each: of the same samples")


def _is_several(X: object) -> TypeGuard[Sequence[ArrayLike]]:
    """Whether X is a list of matrices, and not one matrix written as a list of rows."""
    if isinstance(X, Mapping | Set | Iterator) and not hasattr(X, "shape"):  # a sparse matrix may be a dict
        remedy = "list(X.values())" if isinstance(X, Mapping) else "list(X)"
        raise InputError(
            f"X is of type {type(X).__name__}; expected an array (n_samples, n_features), or a list of such: {remedy}"
        )
    if not isinstance(X, list | tuple) or not X:
        return False
    if np.ndim(X[0]) != 2 and not any(getattr(each, "ndim", 0) == 2 for each in X):
        return False
    wrong = next((place for place, each in enumerate(X) if np.ndim(each) != 2), None)
    if wrong is not None:
        raise InputError(
            f"X is a list of which item {wrong} is {shown(X[wrong])}, and another is a matrix; expected "
            "(n_samples, n_features) each"
        )
    return True


@contextmanager
def _said_in_a_line() -> Iterator[None]:
    """scikit-learn's errors without the arrays that they print."""
    try:
        with np.errstate(invalid="ignore"):  # infinities, which are complained of next
            yield
    except InputError:
        raise
    except ValueError as error:
        text = " ".join(str(error).split())
        raise InputError(text if len(text) < LONGEST else f"{text[:150]} … {text[-150:]}") from error


def _not_as_asked(n_clusters: object, n_given: int | None) -> Iterator[str]:
    """A warning where labels were given, and name another number of clusters than was asked for."""
    if n_given is not None and isinstance(n_clusters, Integral) and n_clusters not in (DEFAULT, n_given):
        yield (
            f"n_clusters={n_clusters} given, and initial_labels name {n_given}: there are {n_given} clusters; leave "
            "n_clusters out, or correct the labels"
        )


def _check_no_probabilities(initial_probabilities: ArrayLike | None) -> None:
    if initial_probabilities is not None:
        raise InputError(
            "initial_probabilities given without initial_labels; expected both: the labels may be "
            "initial_probabilities.argmax(axis=1)"
        )


def _in_order_given(source: ImageSource, n_expected: int) -> tuple[tuple[str, ...], OpenThumbnail]:
    """The images' names, and what opens one of them, by their places in what the caller gave."""
    if len(source) != n_expected:
        raise InputError(
            f"{len(source)} images given for {n_expected} samples; expected one for each, in their order"
        )
    return source.file_names, lambda row, size: open_thumbnail(source, row, size)
