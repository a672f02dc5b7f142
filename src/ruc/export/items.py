"""What is handed over: one row an image, junk left out, with a label for each cluster."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ruc.edits import UNWRITABLE, junk_clusters, merged_clusters
from ruc.errors import InputError
from ruc.images.packed import Stored, file_of
from ruc.images.source import ImageSource
from ruc.run_folder import Run


@dataclass(frozen=True)
class Items:
    """The images (or feature rows) of a run that are handed over.

    Attributes
    ----------
    file_names
        n names, with forward slashes.
    images
        Where the n images are, in files of absolute paths or in archives; None where there are none.
    cluster
        (n,) int64.
    confidence
        (n,) float32.
    labels
        The label of each cluster that is handed over: its name, or its number as text. No two are the
        same, even without regard to case, and none has control characters.
    initial_cluster, is_clean, features
        As in the run.
    marks
        The run's further columns, each (n,): doubt, outliers, copies, what a person moved, and so on.
    """

    file_names: tuple[str, ...]
    images: tuple[Stored, ...] | None
    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]
    labels: Mapping[int, str]
    initial_cluster: NDArray[np.int64]
    is_clean: NDArray[np.bool_]
    features: NDArray[np.float32]
    marks: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def row_labels(self) -> list[str]:
        """The label of each row."""
        return [self.labels[int(cluster)] for cluster in self.cluster]

    def stored(self) -> tuple[Stored, ...]:
        """Where the images are; raises `InputError` where there are none."""
        if self.images is None:
            raise InputError(
                "the run was made from features or arrays; expected image files for this export: "
                "use --to parquet, or say where the images are: --images"
            )
        return self.images

    def files(self) -> tuple[Path, ...]:
        """The paths; raises `InputError` where there are none, or archives."""
        paths = tuple(image for image in self.stored() if isinstance(image, Path))
        if len(paths) < len(self.stored()):
            raise InputError(
                "the run's images are in archives; expected files for this export: `ruc export folders` makes some"
            )
        return paths


def items_of(run: Run, images: ImageSource | None = None, include_junk: bool = False) -> Items:
    """Choose what is handed over.

    Parameters
    ----------
    images
        Where its images are; None: nowhere.
    include_junk
        Whether clusters that were marked as junk are handed over too.

    Raises
    ------
    InputError
        Images of the run are not among `images`, or nothing is left.
    """
    junk = frozenset() if include_junk else junk_clusters(run)
    rows = np.flatnonzero(~np.isin(run.cluster, sorted(junk)))
    if not len(rows):
        raise InputError("every cluster of the run is marked as junk; expected something to hand over")
    names = tuple(run.file_names[row] for row in rows)
    gone = junk | merged_clusters(run).keys()
    return Items(
        file_names=names,
        images=_stored(names, images),
        cluster=run.cluster[rows],
        confidence=run.confidence[rows],
        labels=told_apart(
            {i: UNWRITABLE.sub(" ", name) for i, name in enumerate(run.cluster_names) if i not in gone}
        ),
        initial_cluster=run.initial_cluster[rows],
        is_clean=run.is_clean[rows],
        features=run.features[rows],
        marks={name: np.asarray(column)[rows] for name, column in run.marks.items()},
    )


def told_apart(names: Mapping[int, str]) -> dict[int, str]:
    """The names, those that are the same but for case with their numbers; what that makes is none of the others.

    File systems and tools compare them in whatever case.
    """
    times = Counter(name.casefold() for name in names.values())
    taken = {folded for folded, n_times in times.items() if n_times == 1}
    apart: dict[int, str] = {}
    for number, name in names.items():
        if times[name.casefold()] > 1:
            name = f"{name} ({number})"
            while name.casefold() in taken:
                name = f"{name} ({number})"
            taken.add(name.casefold())
        apart[number] = name
    return apart


def marks_of(items: Items) -> list[dict[str, Any]]:
    """The marks of each row, as JSON takes them; what a row doesn't have is left out."""
    columns = {name: column.tolist() for name, column in items.marks.items()}
    return [
        {
            name: json_ready(column[row])
            for name, column in columns.items()
            if column[row] is not None and column[row] is not False and column[row] != ""
        }
        for row in range(len(items.file_names))
    ]


def _stored(names: tuple[str, ...], images: ImageSource | None) -> tuple[Stored, ...] | None:
    if images is None or isinstance(images.items, np.ndarray):
        return None
    where = dict(zip(images.file_names, images.items, strict=True))
    there = {path for path in images.files if path.is_file()}
    missing = [name for name in names if name not in where or file_of(where[name]) not in there]
    if missing:
        raise InputError(
            f"{len(missing)} images of the run cannot be found, the first is {missing[0]!r}; "
            "expected them where the run found them: put them back, or say where they are: --images"
        )
    for name in names:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"file name {name!r} leads out of its folder; expected one inside it")
    return tuple(where[name] for name in names)


def json_ready(value: Any) -> Any:
    """NumPy numbers as Python's own, rounded to what float32 carries."""
    if isinstance(value, np.floating | float):
        return float(f"{float(value):.7g}")
    return value.item() if isinstance(value, np.generic) else value
