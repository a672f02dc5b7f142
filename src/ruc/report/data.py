"""What the report shows: plain arrays, whatever they come from."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ruc.check.checked import CHECKED
from ruc.edits import junk_clusters, merged_clusters
from ruc.errors import InputError, UnreadableImageError
from ruc.images.load import open_thumbnail
from ruc.images.reading import Reading
from ruc.images.source import ImageSource, find_images
from ruc.quality import COLUMN as QUALITY
from ruc.quality import flags_of_text
from ruc.run_folder import Run

DOUBTFUL: Final = 0.2
"""Where confidence estimates how likely a label is right, an image is called doubtful from this doubt on."""

EVEN: Final = 0.5
"""Where it was set to answers: more likely wrong than right."""

OpenThumbnail = Callable[[int, int], Image.Image]
"""(row, size in pixels) → the image of that row, its shorter side not much larger than needed."""


@dataclass(frozen=True)
class ReportData:
    """The input of the report. n is the number of images or feature rows, K of clusters.

    Attributes
    ----------
    title
        What was clustered, e.g. the name of the folder.
    file_names
        n names.
    cluster, initial_cluster
        (n,) integers in 0 … K-1; initial_cluster may be -1 (unknown).
    confidence
        (n,) in [0, 1].
    is_calibrated
        Whether the confidence estimates how likely each image is right: from answers, or of given labels from their
        neighbours. Else it ranks.
    checked
        What a person's answers say (`ruc.check.checked.Checked` as JSON), or None.
    stability
        (n,) in [0, 1]: how many images stay together when the clustering is made again, or None.
    was_clean, is_clean
        (n,) bool: trusted at the start, and at the end.
    cluster_names
        K names; a name that is the cluster's number as text counts as none.
    probabilities
        (n, K), or None: then no second-best cluster is shown.
    features
        (n, n_features) unit-norm, or None: then there is no map and "typical" means confident.
    positions
        (n, 2) of the map where they are known already; else they are computed from the features.
    positions_name
        How the positions came about, shown below the map.
    junk
        Clusters that were marked as junk.
    merged_into
        Clusters that were merged away, each with the one it went into; they are not shown.
    moved_by_hand
        (n,) bool: images that a person moved or confirmed, or None.
    doubt
        (n,) in [0, 1], how likely the cluster is wrong, for ranking; None: 1 - confidence.
    marks
        Further columns, each (n,): bool (a filter of the table), numbers or text.
    review_share
        Share of the images that a person should look at: the doubtful ones, and then the least sure.
    open_thumbnail
        Opens the image of a row, or None where there are no images.
    skipped
        (file_name, reason) of each file that could not be read.
    history
        One mapping per epoch.
    k_curve
        How the number of clusters was found, as `dataclasses.asdict` of the estimate, or empty.
    metrics
        What `ruc evaluate` found, or None.
    remarks, warnings
        What is worth knowing, and what may need a hand.
    settings
        All that is needed to repeat the run.
    command
        The command that made the run, or "".
    """

    title: str
    file_names: Sequence[str]
    cluster: NDArray[np.integer[Any]]
    confidence: NDArray[np.floating[Any]]
    initial_cluster: NDArray[np.integer[Any]]
    was_clean: NDArray[np.bool_]
    is_clean: NDArray[np.bool_]
    cluster_names: Sequence[str]
    is_calibrated: bool = True
    checked: Mapping[str, Any] | None = None
    stability: NDArray[np.floating[Any]] | None = None
    probabilities: NDArray[np.floating[Any]] | None = None
    features: NDArray[np.floating[Any]] | None = None
    positions: NDArray[np.floating[Any]] | None = None
    positions_name: str = ""
    junk: frozenset[int] = frozenset()
    merged_into: Mapping[int, int] = field(default_factory=dict)
    moved_by_hand: NDArray[np.bool_] | None = None
    doubt: NDArray[np.floating[Any]] | None = None
    marks: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    review_share: float = 0.05
    open_thumbnail: OpenThumbnail | None = None
    skipped: Sequence[tuple[str, str]] = ()
    history: Sequence[Mapping[str, float]] = ()
    k_curve: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] | None = None
    remarks: Sequence[str] = ()
    warnings: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""

    @property
    def n_clusters(self) -> int:
        """K, counting clusters that are empty."""
        return len(self.cluster_names)

    @property
    def noun(self) -> str:
        """What one row is called: "image", or "sample" where only features were given."""
        return "image" if self.open_thumbnail is not None or self.settings.get("source") else "sample"

    @property
    def how_doubtful(self) -> NDArray[np.floating[Any]]:
        """(n,) in [0, 1], for ranking; what a person has placed is in no doubt."""
        doubt = 1 - self.confidence if self.doubt is None else self.doubt
        return np.where(self.by_hand, np.zeros_like(doubt), doubt)

    @property
    def doubt_only_ranks(self) -> bool:
        """Whether doubt estimates nothing: then how many are called doubtful is a share that was set, not a finding."""
        return self.checked is None and not self.is_calibrated

    @property
    def doubtful_from(self) -> float:
        """An image is called doubtful from this doubt on; where doubt only ranks, the share to be reviewed is."""
        if self.checked is not None:
            return EVEN
        doubt = self.how_doubtful
        if not self.doubt_only_ranks or not len(doubt):
            return DOUBTFUL
        return float(np.quantile(doubt, 1 - self.review_share, method="higher"))

    @property
    def placed(self) -> NDArray[np.bool_]:
        """(n,) bool: had no cluster at first, and wasn't given one by a person."""
        return (self.initial_cluster < 0) & ~self.by_hand

    @property
    def changed(self) -> NDArray[np.bool_]:
        """(n,) bool: had another cluster at first, and wasn't moved by a person."""
        is_elsewhere = np.not_equal(self.cluster, self.initial_cluster)
        return np.asarray(is_elsewhere & (self.initial_cluster >= 0) & ~self.by_hand)

    @property
    def by_hand(self) -> NDArray[np.bool_]:
        """(n,) bool: moved or confirmed by a person."""
        if self.moved_by_hand is None:
            return np.zeros(len(self.cluster), np.bool_)
        return self.moved_by_hand.astype(np.bool_)


def report_data(run: Run, images: ImageSource | None = None) -> ReportData:
    """What the report shows of a run.

    `images`: its images; found from the run's settings when None. Where they cannot be found any more, the report has
    no thumbnails and says so.
    """
    marks = dict(run.marks)
    doubt = marks.pop("doubt", None)
    by_hand = marks.pop("moved_by_hand", None)
    marks.pop("clean_since", None)  # shown as was_clean and is_clean
    if QUALITY in marks:
        marks |= {f"is_{name}": column for name, column in flags_of_text(marks.pop(QUALITY).tolist()).items()}
    warnings = [str(text) for text in run.notes.get("warnings", ())]
    source, features = run.settings.get("source"), run.settings.get("features")
    reading = Reading.from_config(run.settings)
    if images is None and source is None and features is None:
        warnings.append("The images were given in Python and are not kept, so there are no pictures here.")
    if images is None and source is not None:
        try:
            images = find_images(source)
        except InputError:
            warnings.append(
                f"The images in {source} cannot be found any more, so there are no pictures here."
            )
    return ReportData(
        title=_title(str(source or (features[0] if isinstance(features, list) else features) or "Clusters")),
        file_names=run.file_names,
        cluster=run.cluster,
        confidence=run.confidence,
        initial_cluster=run.initial_cluster,
        was_clean=run.was_clean,
        is_clean=run.is_clean,
        cluster_names=run.cluster_names,
        is_calibrated=bool(run.notes.get("is_calibrated", True)) or CHECKED in run.notes,
        checked=run.notes.get(CHECKED),
        stability=run.marks.get("stability"),
        probabilities=run.probabilities,
        features=run.features,
        junk=junk_clusters(run),
        merged_into=merged_clusters(run),
        moved_by_hand=by_hand,
        doubt=doubt,
        marks=marks,
        review_share=run.review_share,
        open_thumbnail=None if images is None else _opener(run.file_names, images.read_by(reading)),
        skipped=run.skipped,
        history=run.history,
        k_curve=run.notes.get("k_curve") or {},
        metrics=run.metrics,
        remarks=[str(text) for text in run.notes.get("remarks", ())],
        warnings=warnings,
        settings=run.settings,
        command=_again(run),
    )


def _title(source: str) -> str:
    """The folder's name; with its parent's where it says too little."""
    path = Path(source).resolve()
    says_little = (
        path.name.lower() in {"images", "image", "img", "data", "train", "photos"} and path.parent.name
    )
    return f"{path.parent.name}/{path.name}" if says_little else path.name


def _again(run: Run) -> str:
    """The command that repeats the run, where it was made by one."""
    settings = run.settings
    match run.notes.get("cut_from"):
        case [str(before), int(n_clusters)]:
            return f"ruc cut {shlex.quote(before)} -k {n_clusters} -o again/"
    folder = settings.get("output")
    if not folder or not (settings.get("source") or settings.get("features")):
        return ""
    door = "refine" if settings.get("labels") else "cluster"
    return f"ruc {door} --config {shlex.quote(str(Path(folder) / 'config.yaml'))} -o again/"


def _opener(file_names: Sequence[str], images: ImageSource) -> OpenThumbnail:
    """By name, since skipped files are in the source but not in the run."""
    positions = {name: position for position, name in enumerate(images.file_names)}

    def open_row(row: int, size: int) -> Image.Image:
        position = positions.get(file_names[row])
        if position is None:
            raise UnreadableImageError(f"{file_names[row]} is not among the images any more")
        return open_thumbnail(images, position, size)

    return open_row
