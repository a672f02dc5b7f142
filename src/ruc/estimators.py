"""The doors from Python: scikit-learn estimators, which hold parameters and fitted results and no algorithm."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Literal, Self, TypeGuard

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ruc.belief.calibration import pinned
from ruc.belief.known import Known
from ruc.cluster.auto import cluster, method_of
from ruc.cluster.inputs import check_different
from ruc.embed.scaling import fit_scaling
from ruc.errors import ClusterWarning, InputError
from ruc.images.load import open_thumbnail
from ruc.images.reading import MOST_MEGAPIXELS, Reading
from ruc.images.source import Images, ImageSource, find_images
from ruc.images.survey import survey
from ruc.initial_clustering import choose_n_clusters
from ruc.labels.clustering import UNKNOWN
from ruc.labels.empty_clusters import empty_clusters
from ruc.labels.given import given
from ruc.pipeline import run_pipeline
from ruc.predict import predict
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.refine.trained import Epoch
from ruc.repair import find_neighbors, repair
from ruc.report.data import OpenThumbnail, ReportData, report_data
from ruc.report.in_notebook import InNotebook
from ruc.report.report import write_report
from ruc.run_folder import check_output, write_run
from ruc.runtime import Runtime
from ruc.settings import Settings, cluster_range, make_settings
from ruc.side_by_side import join

Constants = RefineSettings | Literal["paper"] | None


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
        n_clusters: int | str | None = 8,
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
            (n_samples, n_features), of any scale; rows of unit length are taken for embeddings as they are. Or a list
            of several such arrays: several embeddings of the same samples.
        y
            Ignored.
        initial_labels
            (n_samples,) integers or text; -1, None, NaN and "" are unknown.
        initial_probabilities
            (n_samples, n_clusters), rows summing to 1.

        Warns
        -----
        ClusterWarning
            A cluster is empty, was lost, or has no sample whose label can be trusted.
        """
        values = self._checked(X)
        settings = _constants(self.settings)
        runtime = Runtime(self.device, _seed(self.random_state), self.verbose)
        if initial_labels is None:
            _check_no_probabilities(initial_probabilities)
            wanted = self._wanted_clusters()
        scalings = tuple(fit_scaling(each) for each in values)
        parts = [scaling(each) for scaling, each in zip(scalings, values, strict=True)]
        features = join(parts)
        check_different(features)
        neighbors = find_neighbors(features, settings, runtime, parts)
        if initial_labels is None:
            n_clusters, _ = choose_n_clusters(wanted, self.base, features, neighbors, runtime)
            start, names = cluster(features, n_clusters, self.base, runtime, neighbors), None
        else:
            start, names = given(initial_labels, len(features), initial_probabilities)
        space = FeatureSpace(
            features, neighbors, runtime, n_first=parts[0].shape[1] if len(parts) > 1 else None
        )
        result = repair(space, start, neighbors, settings, runtime, features, parts)
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
            *result.warnings,
            *empty_clusters(start.labels, result.labels, self.classes_.tolist()),
        )
        self.predictor_ = result.predictor
        self.known_ = Known(features, result.labels, result.probabilities.max(axis=1))
        self.is_weighed_ = result.stability is None
        self.n_iter_ = len(result.history)
        _warn(self.warnings_)
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
        wanted = self.n_clusters
        if wanted is None and method_of(self.base).finds_number:
            return "auto"
        if isinstance(wanted, Integral) and not isinstance(wanted, bool):
            return int(wanted)
        if wanted != "auto":
            try:
                cluster_range(str(wanted))
            except ValueError as error:
                raise InputError(f"n_clusters: {error}") from error
        return str(wanted)

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
        values = [
            check_array(each, dtype=[np.float64, np.float32], ensure_min_samples=2, estimator=self)
            for each in several
        ]
        if len({len(each) for each in values}) > 1:
            rows = ", ".join(str(len(each)) for each in values)
            raise InputError(f"X holds arrays of {rows} rows; expected as many in each: of the same samples")
        return values

    def _features(self, X: ArrayLike | Sequence[ArrayLike]) -> NDArray[np.float32]:
        check_is_fitted(self)
        if len(self.scalings_) == 1:
            values = [validate_data(self, X, dtype=[np.float64, np.float32], reset=False)]
        elif _is_several(X) and len(X) == len(self.scalings_):
            values = [check_array(each, dtype=[np.float64, np.float32], estimator=self) for each in X]
        else:
            raise InputError(
                f"another kind of X given than fitted to; expected a list of {len(self.scalings_)} arrays"
            )
        return join([scaling(each) for scaling, each in zip(self.scalings_, values, strict=True)])


class ImageClusterer(InNotebook, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Cluster images: a folder, a list of files, a table, or an array.

    Parameters
    ----------
    n_clusters
        A number, "auto", or a range such as "5:50".
    embedder
        "auto" (chosen by what the images are, see `ruc.embed.choice`), "lite0", "lite1", "lite2", "scratch",
        "contrastive", "momentum", "pixels", a Hugging Face id, a folder, an exported model.onnx, or a checkpoint of
        SCAN, SimCLR or RUC; or a list of several, whose features stand side by side.
    base
        The base clustering, see `ruc.cluster.auto.METHODS`, or a checkpoint of SCAN or RUC.
    space
        What is retrained: "feature" (heads on frozen features), "image" (whole networks), or "auto".
    image_size
        Side in pixels for learning from scratch; None takes that of the images, within bounds.
    settings
        Every constant of RUC; None: what won our measurements. "paper" is `RefineSettings.paper()`.
    max_skipped
        Largest share of the images that may be unreadable.
    page
        Of files with several pages or slices: "first", "middle", or "max", their maximum.
    max_megapixels
        Larger images are skipped.
    random_state
        An integer, which is the seed of all randomness; a `RandomState` or None draws one.
    device
        "auto", "cpu", "cuda" or "mps".
    verbose
        Whether progress is shown.

    Attributes
    ----------
    labels_
        (n_images,) int64: the cluster of each image, in the order given (of a folder: sorted by name); -1 where an
        image can't be read.
    file_names_
        n_images names in the same order.
    is_clean_, was_clean_
        (n_images,) bool: label trusted at the end, and at the start.
    probabilities_
        (n_images, n_clusters) float32, calibrated; zeros where an image can't be read.
    n_clusters_
        Number of clusters.
    images_
        Where `show` and `save` find the pictures.
    run_
        All results, as a run folder holds them: `run_.skipped`, `run_.features`, `run_.history`, …
    """

    def __init__(
        self,
        n_clusters: int | str = "auto",
        *,
        embedder: str | Sequence[str] = "auto",
        base: str = "auto",
        space: str = "auto",
        image_size: int | None = None,
        settings: Constants = None,
        max_skipped: float = 0.10,
        page: str = "first",
        max_megapixels: float = MOST_MEGAPIXELS,
        random_state: int | np.random.RandomState | None = 0,
        device: str = "auto",
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.embedder = embedder
        self.base = base
        self.space = space
        self.image_size = image_size
        self.settings = settings
        self.max_skipped = max_skipped
        self.page = page
        self.max_megapixels = max_megapixels
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def fit(self, X: Images, y: object = None) -> Self:
        """Embed, cluster and refine the images; `y` is ignored.

        Raises
        ------
        InputError
            Settings or images are not what they have to be.
        NothingToClusterError
            No image, too few, none that differ, or more than `max_skipped` of them unreadable.

        Warns
        -----
        ClusterWarning
            A cluster is empty, was lost, or has no sample whose label can be trusted.
        """
        source = find_images(X)
        settings = self._settings(X)
        outcome = run_pipeline(settings, source, self._runtime(settings.seed))
        run = outcome.run
        order = _order_given(source, run.file_names)
        read = order >= 0
        self.file_names_ = list(source.file_names)
        self.labels_ = np.where(read, run.cluster[order], UNKNOWN)
        self.was_clean_ = read & run.was_clean[order]
        self.is_clean_ = read & run.is_clean[order]
        self.probabilities_ = np.where(read[:, None], run.probabilities[order], np.float32(0))
        self.n_clusters_ = run.n_clusters
        self.run_ = run
        self.images_ = source
        self.model_ = outcome.model
        _warn(run.notes["warnings"])
        return self

    def predict(self, X: Images) -> NDArray[np.int64]:
        """The cluster of each image, (n_images,), in the order given; -1 where one can't be read."""
        probabilities = self.predict_proba(X)
        return np.where(probabilities.any(axis=1), probabilities.argmax(axis=1), UNKNOWN)

    def predict_proba(self, X: Images, raw: bool = False) -> NDArray[np.float32]:
        """(n_images, n_clusters) probabilities, in the order given; zeros where one can't be read.

        Each row as sure as the run's images around it; `raw`: the softmax of the networks' summed logits instead.
        """
        check_is_fitted(self)
        source = find_images(X)
        runtime = self._runtime(self.run_.settings["seed"])
        known = Known(self.run_.features, self.run_.cluster, self.run_.confidence)
        prediction = predict(self.model_, source, runtime, self.max_skipped, raw=raw, known=known)
        order = _order_given(source, prediction.file_names)
        return np.where((order >= 0)[:, None], prediction.probabilities[order], np.float32(0))

    def save(self, folder: str | Path) -> None:
        """Write the run folder, with report and model, as `ruc cluster -o` does."""
        check_is_fitted(self)
        run = replace(self.run_, settings={**self.run_.settings, "output": str(folder)})
        check_output(Path(folder), run.settings, overwrite=False)
        write_run(Path(folder), run, self.model_, write_report(report_data(run, self.images_)))

    def _report_data(self, images: Images | None = None) -> ReportData:
        return report_data(self.run_, self.images_ if images is None else find_images(images))

    def _runtime(self, seed: int) -> Runtime:
        return Runtime(self.device, seed, self.verbose)

    def _settings(self, X: Images) -> Settings:
        """The same settings as the command line's; an array or a list has no path to write down."""
        given = {
            "source": str(X) if isinstance(X, str | Path) else None,
            "n_clusters": self.n_clusters,
            "embedder": self.embedder if isinstance(self.embedder, str) else list(self.embedder),
            "base": self.base,
            "space": self.space,
            "image_size": self.image_size,
            "max_skipped": self.max_skipped,
            "page": self.page,
            "max_megapixels": self.max_megapixels,
            "seed": _seed(self.random_state),
            "device": self.device,
            "refine": _constants(self.settings).to_dict(),
        }
        return make_settings(given)


def _is_several(X: object) -> TypeGuard[Sequence[ArrayLike]]:
    """Whether X is a list of matrices, and not one matrix written as a list of rows."""
    return isinstance(X, list | tuple) and len(X) > 0 and all(np.ndim(each) == 2 for each in X)


def _check_no_probabilities(initial_probabilities: ArrayLike | None) -> None:
    if initial_probabilities is not None:
        raise InputError(
            "initial_probabilities given without initial_labels; expected both: the labels may be "
            "initial_probabilities.argmax(axis=1)"
        )


def _constants(settings: object) -> RefineSettings:
    """What the parameter `settings` stands for."""
    if settings is None:
        return RefineSettings()
    if isinstance(settings, RefineSettings):
        return settings
    if isinstance(settings, str) and settings == "paper":
        return RefineSettings.paper()
    raise InputError(
        f"settings={settings!r} given; expected RefineSettings(…), 'paper' or None: RefineSettings(n_epochs=20) "
        "changes one constant"
    )


def _seed(random_state: int | np.random.RandomState | None) -> int:
    """The seed of one fit: the integer itself; else another for each fit."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _warn(texts: Iterable[str]) -> None:
    """Of each thing that may need a hand, as from the line that called `fit`."""
    for text in texts:
        warnings.warn(text, ClusterWarning, stacklevel=3)


def _order_given(source: ImageSource, file_names: tuple[str, ...]) -> NDArray[np.int64]:
    """For each image, in the order the caller gave, its row among `file_names`; -1 where it isn't."""
    row_of = {name: row for row, name in enumerate(file_names)}
    return np.array([row_of.get(name, -1) for name in source.file_names])


def _in_order_given(source: ImageSource, n_expected: int) -> tuple[tuple[str, ...], OpenThumbnail]:
    """The images' names, and what opens one of them, by their places in what the caller gave."""
    if len(source) != n_expected:
        raise InputError(
            f"{len(source)} images given for {n_expected} samples; expected one for each, in their order"
        )
    return source.file_names, lambda row, size: open_thumbnail(source, row, size)
