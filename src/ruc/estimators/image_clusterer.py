"""The estimator of images: what `ruc cluster` does, from Python."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import check_is_fitted

from ruc.belief.known import Known
from ruc.doors.predict import predict
from ruc.estimators.parameters import Constants, constants_of, seed_of, warn_of
from ruc.images.reading import MOST_MEGAPIXELS
from ruc.images.source import Images, ImageSource, find_images
from ruc.labels.clustering import UNKNOWN
from ruc.pipeline import Job, run_pipeline
from ruc.report.data import ReportData, report_data
from ruc.report.in_notebook import InNotebook
from ruc.report.report import write_report
from ruc.run_folder import check_output, write_run
from ruc.runtime import Runtime, one_blas_thread
from ruc.settings import Settings, make_settings


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
        with one_blas_thread():
            outcome = run_pipeline(Job(settings, self._runtime(settings.seed), source))
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
        warn_of(run.notes["warnings"])
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
        runtime = self._runtime(self.run_.seed)
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
        alike = (
            "n_clusters", "base", "space", "image_size", "max_skipped", "page", "max_megapixels", "device",
        )  # fmt: skip
        return make_settings(
            {
                **{name: getattr(self, name) for name in alike},
                "source": str(X) if isinstance(X, str | Path) else None,
                "embedder": self.embedder,
                "seed": seed_of(self.random_state),
                "refine": constants_of(self.settings).to_dict(),
            }
        )


def _order_given(source: ImageSource, file_names: tuple[str, ...]) -> NDArray[np.int64]:
    """For each image, in the order the caller gave, its row among `file_names`; -1 where it isn't."""
    row_of = {name: row for row, name in enumerate(file_names)}
    return np.array([row_of.get(name, -1) for name in source.file_names])
