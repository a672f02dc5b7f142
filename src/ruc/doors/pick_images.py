"""The door `ruc pick`: some images of a run, as a table and a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ruc.edits import junk_clusters
from ruc.errors import InputError, UsageError
from ruc.export.folders import How, place
from ruc.export.items import items_of
from ruc.images.source import find_images
from ruc.picking import diverse, representative, shares, uncertain
from ruc.run_folder import Run, check_new_folder, new_folder, read_run, write_csv

By = Literal["representative", "diverse", "uncertain", "balanced"]
STRATEGIES: Final[tuple[str, ...]] = get_args(By)


@dataclass(frozen=True)
class Choice:
    """How many images of a run, and which.

    Attributes
    ----------
    n
        How many, in all or of each cluster; at most what there is.
    by
        "representative": what is typical, from each cluster in proportion to its size. "balanced": the same, but
        from each cluster as many. "diverse": as different as can be, whatever the cluster. "uncertain": what is most
        in doubt.
    per_cluster
        Whether n are picked in each cluster by itself.
    """

    n: int
    by: str = "representative"
    per_cluster: bool = False


def pick(run: Run, choice: Choice) -> NDArray[np.int64]:
    """Rows of a run that stand for the others, best first; clusters marked as junk are left out.

    Raises
    ------
    InputError
        No such strategy, or nothing to pick.
    """
    n, by = choice.n, choice.by
    if by not in STRATEGIES:
        raise UsageError(f"--by {by!r} given; expected one of {', '.join(STRATEGIES)}")
    if n < 1:
        raise UsageError(f"{n} images asked for; expected at least 1")
    known = np.flatnonzero(~np.isin(run.cluster, sorted(junk_clusters(run))))
    if len(known) == 0:
        raise InputError("every cluster of the run is marked as junk; expected something to pick from")
    clusters = [known[run.cluster[known] == cluster] for cluster in range(run.n_clusters)]
    if choice.per_cluster:
        return np.concatenate([_best(run, rows, n, by) for rows in clusters])
    if by in ("diverse", "uncertain"):
        return _best(run, known, n, by)
    taken = shares(np.asarray([len(rows) for rows in clusters]), n, equal=by == "balanced")
    return np.concatenate(
        [_best(run, rows, int(count), by) for rows, count in zip(clusters, taken, strict=True)]
    )


def pick_to_folder(
    folder: Path, output: Path, choice: Choice, how: How, images: Path | None = None, excel_safe: bool = False
) -> NDArray[np.int64]:
    """Write `picked.csv` (`order, file_name, cluster, cluster_name, confidence`) and the images into a new folder.

    A run on features has no images: the table alone. `images`: where the images are now, if not where the run found
    them. Returns the rows.
    """
    check_new_folder(output)  # before the work
    run = read_run(folder)
    rows = pick(run, choice)
    source = images or run.settings.get("source")
    files = {}
    if source is not None:
        items = items_of(run, find_images(source))
        files = dict(zip(items.file_names, items.stored(), strict=True))
    with new_folder(output) as new:
        for row in rows.tolist() if files else ():
            place(files[run.file_names[row]], new / "images" / run.file_names[row], how)
        write_csv(
            new / "picked.csv",
            ["order", "file_name", "cluster", "cluster_name", "confidence"],
            (
                [
                    order,
                    run.file_names[row],
                    int(run.cluster[row]),
                    run.cluster_names[run.cluster[row]],
                    float(run.confidence[row]),
                ]
                for order, row in enumerate(rows.tolist())
            ),
            excel_safe,
        )
    return rows


def _best(run: Run, rows: NDArray[np.int64], n: int, by: str) -> NDArray[np.int64]:
    """The best of these rows."""
    if by == "uncertain":
        doubt = run.marks.get("doubt", 1.0 - run.confidence)
        return rows[uncertain(np.asarray(doubt)[rows], n)]
    if by == "diverse":
        return rows[diverse(run.features[rows], n)[0]]
    return rows[representative(run.features[rows], n, run.seed)]
