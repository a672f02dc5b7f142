"""The door `ruc compare`: which images are in other clusters in a second run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ruc.errors import InputError
from ruc.evaluation.metrics import contingency, match_clusters, nmi_of_counts
from ruc.run_folder import Run, check_csv, new_output, read_run, write_csv


@dataclass(frozen=True)
class Flow:
    """How many images went from a cluster of the first run to one of the second."""

    before: str
    after: str
    n_images: int
    is_match: bool


@dataclass(frozen=True)
class Comparison:
    """Two runs over the images that both have.

    Attributes
    ----------
    n_common, n_only_first, n_only_second
        Images of both, and of one alone.
    n_moved
        Images whose cluster isn't the one that theirs is matched with, one to one, by most images in common.
    nmi
        Normalised mutual information of the two clusterings, 0 to 1; no truth is involved.
    flows
        Every pair of clusters with images in common, the largest first.
    """

    n_common: int
    n_only_first: int
    n_only_second: int
    n_moved: int
    nmi: float
    flows: tuple[Flow, ...]


def compare(first: Run, second: Run) -> tuple[Comparison, list[tuple[str, str, str]]]:
    """The comparison, and `(file_name, before, after)` of each image that moved, in the order of the first run.

    Raises
    ------
    InputError
        The runs have no image in common.
    """
    row_of = {name: row for row, name in enumerate(second.file_names)}
    mine = np.asarray([row for row, name in enumerate(first.file_names) if name in row_of], np.int64)
    if len(mine) == 0:
        raise InputError(
            f"the runs have no image in common: the first has {first.file_names[0]!r}, the second "
            f"{second.file_names[0]!r}; expected two runs over the same images"
        )
    theirs = np.asarray([row_of[first.file_names[row]] for row in mine], np.int64)
    before, after = first.cluster[mine], second.cluster[theirs]
    names = np.asarray(second.cluster_names, dtype=object)
    counts = contingency(before, after)
    present = np.unique(after)  # the columns of `counts`
    match = match_clusters(counts)
    stands_for = np.where(match >= 0, present[match], -1)
    moved = np.flatnonzero(stands_for[before] != after)
    flows = [
        Flow(first.cluster_names[a], names[present[b]], int(counts[a, b]), bool(match[a] == b))
        for a, b in np.argwhere(counts[:-1] > 0)
    ]
    comparison = Comparison(
        n_common=len(mine),
        n_only_first=len(first.file_names) - len(mine),
        n_only_second=len(second.file_names) - len(mine),
        n_moved=len(moved),
        nmi=float(nmi_of_counts(counts[:-1])),
        flows=tuple(sorted(flows, key=lambda flow: -flow.n_images)),
    )
    rows = [
        (first.file_names[mine[row]], first.cluster_names[before[row]], names[after[row]]) for row in moved
    ]
    return comparison, rows


def matched_line(comparison: Comparison) -> str | None:
    """Which cluster of the first run stands for which of the second; None where all that do are called the same.

    Those that are called the same are left out.
    """
    pairs = [(flow.before, flow.after) for flow in comparison.flows if flow.is_match]
    renamed = [f"{before} is {after}" for before, after in pairs if before != after]
    return f"matched by most images in common: {', '.join(renamed)}" if renamed else None


def compare_folders(
    first: Path, second: Path, output: Path | None, overwrite: bool = False, excel_safe: bool = False
) -> Comparison:
    """Compare two finished runs; `output`, where given, gets `file_name, before, after` of each image that moved.

    A file that is there is replaced with `overwrite` alone; `excel_safe`: no text in it is a formula.
    """
    if output is not None:
        check_csv(output, [first, second], overwrite)
    comparison, rows = compare(read_run(first), read_run(second))
    if output is not None:
        with new_output(output) as new:
            write_csv(new, ["file_name", "before", "after"], rows, excel_safe)
    return comparison
