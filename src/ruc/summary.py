"""What the user sees at the end of a run."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from ruc.check.checked import checked_of
from ruc.check.words import checked_lines
from ruc.edits import edited_clusters, junk_clusters, merged_clusters
from ruc.errors import visible
from ruc.run_folder import Run
from ruc.settings import PROVENANCE

N_DOUBTFUL = 5
N_SIZES = 10
DOMINATING = 0.5


def summary_lines(run: Run, folder: Path) -> list[str]:
    """The result in a screenful: counts, what changed, sizes, warnings, the most doubtful images, paths."""
    n = len(run.cluster)
    unknown = run.initial_cluster < 0
    placed = f"; {unknown.sum()} unknown placed" if unknown.any() else ""
    sizes = np.bincount(run.cluster, minlength=run.n_clusters)
    filled = int((sizes > 0).sum())
    n_empty = run.n_clusters - len(merged_clusters(run)) - filled
    empty = f", and {n_empty} empty" if n_empty else ""
    skipped = f", {len(run.skipped)} skipped (skipped.csv says why)" if run.skipped else ""
    doubt = run.marks.get("doubt", 1 - run.confidence)
    doubtful = np.argsort(-doubt, kind="stable")[:N_DOUBTFUL]
    what = "images" if run.settings.get("source") else "samples"
    return [
        f"{n} {what} in {filled} clusters{empty}{skipped}",
        *_number_lines(run, folder),
        f"labels used for learning: {run.was_clean.mean():.1%} at the start, {run.is_clean.mean():.1%} at the end",
        f"labels changed: {run.changed.sum()} ({run.changed.mean():.1%}){placed}",
        f"sizes: {sizes_line(run)}",
        *(f"note: {remark}" for remark in run.notes.get("remarks", ())),
        *(f"warning: {warning}" for warning in _warnings(run, sizes)),
        "most doubtful: "
        + ", ".join(f"{visible(run.file_names[i])} (doubt {doubt[i]:.0%})" for i in doubtful),
        *_how_right(run, folder),
        f"table: {folder / 'clusters.csv'}   report: {folder / 'report.html'}",
    ]


def summary_dict(run: Run) -> dict[str, Any]:
    """What a finished run is, for programs: counts, clusters, warnings, and how it was made."""
    sizes = np.bincount(run.cluster, minlength=run.n_clusters)
    sums = np.bincount(run.cluster, weights=run.confidence, minlength=run.n_clusters)
    gone = merged_clusters(run).keys()
    checked = checked_of(run)
    return {
        "n_images": len(run.cluster),
        "n_skipped": len(run.skipped),
        "n_changed": int(run.changed.sum()),
        "was_clean": float(run.was_clean.mean()),
        "is_clean": float(run.is_clean.mean()),
        "clusters": [
            {
                "cluster": number,
                "name": run.cluster_names[number],
                "n_images": int(sizes[number]),
                "confidence": float(sums[number] / sizes[number]) if sizes[number] else None,
                "is_junk": number in junk_clusters(run),
            }
            for number in range(run.n_clusters)
            if number not in gone
        ],
        "checked": None if checked is None else checked.to_json(),
        "metrics": run.metrics,
        "remarks": list(run.notes.get("remarks", ())),
        "warnings": _warnings(run, sizes),
        "settings": run.settings,
    }


def _number_lines(run: Run, folder: Path) -> list[str]:
    """Where the number of clusters was searched, how sure it is, and how to have another."""
    estimate = (run.notes.get("k_curve") or {}).get("confidence")
    another = f"another number N takes seconds: ruc cut {folder} -k N -o new/"
    return [f"number of clusters: {estimate}", another] if estimate else []


def _how_right(run: Run, folder: Path) -> list[str]:
    """What is known of how many are right: what was answered, else that it isn't known, and how stable it is."""
    checked = checked_of(run)
    if checked is not None:
        return checked_lines(checked, run.cluster_names)
    stability = run.marks.get("stability")
    stable = [] if stability is None else [f"stability: {stability.mean():.0%} stay together when made again"]
    return [*stable, f"how many are right isn't known; fifty answers tell: ruc check {folder}"]


def edited_lines(run: Run) -> list[str]:
    """What an edited run is now: the sizes, first of what was edited, and what answers say where there are some."""
    checked = checked_of(run)
    lines = [] if checked is None else checked_lines(checked, run.cluster_names)
    return [sizes_line(run, edited_clusters(run)), *lines]


def made_lines(run: Run) -> list[str]:
    """How a run was made: of what, by which embedder and base, when it was other than now."""
    settings = run.settings
    what = settings.get("source") or settings.get("features") or "an array"
    versions = settings.get(PROVENANCE) or {}
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    embedder = settings.get("embedder")
    if isinstance(embedder, list):
        embedder = "+".join(embedder)  # as --embedder takes it
    return [
        f"made of: {what}",
        f"embedder: {embedder}   base: {settings.get('base')}   seed: {settings.get('seed')}",
        *([f"with: {made}"] if made else []),
    ]


def sizes_line(run: Run, first: Collection[int] = ()) -> str:
    """Name and size of each cluster but those merged away.

    Where all would fill the screen, of those that come `first` and then of the largest.
    """
    sizes = np.bincount(run.cluster, minlength=run.n_clusters)
    gone = merged_clusters(run).keys()
    there = [number for number in range(run.n_clusters) if number not in gone]
    ranked = sorted(there, key=lambda number: (number not in first, -sizes[number]))
    shown = there if len(there) <= N_SIZES else ranked[:N_SIZES]
    rest = len(there) - len(shown)
    line = ", ".join(f"{run.cluster_names[number]}: {sizes[number]}" for number in shown)
    return line + (f", and {rest} more" if rest else "")


def _warnings(run: Run, sizes: np.ndarray) -> list[str]:
    names = np.asarray(run.cluster_names)
    warnings = list(run.notes.get("warnings", []))
    if run.n_clusters > 2 and sizes.max() > DOMINATING * sizes.sum():
        largest = names[sizes.argmax()]
        # Labels that were given say how many clusters there are; then there is no -k.
        remedy = (
            f"divide it with `ruc split RUN {largest}`" if run.settings.get("labels") else "try a larger -k"
        )
        warnings.append(f"cluster {largest} holds {sizes.max() / sizes.sum():.0%}: {remedy}")
    return warnings
