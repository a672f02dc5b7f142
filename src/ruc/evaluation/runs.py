"""Measure a finished run against the truth."""

from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ruc.edits import initial_probabilities_of
from ruc.evaluation.evaluate import Evaluation, evaluate
from ruc.evaluation.truth import Truth, read_truth
from ruc.labels.clustering import UNKNOWN, Clustering
from ruc.run_folder import Run
from ruc.runtime import Runtime

TAKEN = ("confidence_threshold", "n_neighbors", "neighbor_agreement", "least_clean")

SELECTIONS: Final[tuple[Literal["confidence", "neighbors", "hybrid"], ...]] = (
    "confidence",
    "neighbors",
    "hybrid",
)


def evaluate_run(
    run: Run, truth: str | Path | Truth, runtime: Runtime | None = None, n_resamples: int = 1000
) -> Evaluation:
    """Measure the clusters and the clean set of a run, before and after refining.

    Nothing is written.

    Parameters
    ----------
    truth
        File of true labels, see `read_truth`; or what it holds, in the order of the run.
    runtime
        Where to search neighbours for the clean sets of the other selections; None leaves them out.

    Raises
    ------
    InputError
        A truth file that cannot be used.
    """
    has_base = bool((run.initial_cluster != UNKNOWN).any())
    clean_sets: dict[str, NDArray[np.bool_]] = {}
    if has_base:
        clean_sets = {"start": run.was_clean, "end": run.is_clean}
        if runtime is not None:
            clean_sets |= {f"by {name}": mask for name, mask in selections_of(run, runtime).items()}
    return evaluate(
        run.cluster,
        truth if isinstance(truth, Truth) else read_truth(truth, run.file_names, run.is_of_features),
        probabilities=run.probabilities,
        confidence=run.confidence,
        initial_clusters=run.initial_cluster if has_base else None,
        initial_probabilities=initial_probabilities_of(run) if has_base else None,
        clean_sets=clean_sets,
        clean_since=run.marks.get("clean_since"),
        n_epochs=len(run.history),
        n_resamples=n_resamples,
    )


def selections_of(run: Run, runtime: Runtime) -> dict[str, NDArray[np.bool_]]:
    """Clean sets that each selection would have chosen at the start, with the run's thresholds."""
    from ruc.belief.opinion import MOST_NEIGHBORS
    from ruc.neighbors.search import nearest_neighbors
    from ruc.refine.select import select_clean
    from ruc.refine.settings import RefineSettings

    of_run = run.settings.get("refine") or {}
    constants = {name: of_run[name] for name in TAKEN if name in of_run}
    base = Clustering(run.initial_cluster, initial_probabilities_of(run), run.n_clusters, "base")
    most = RefineSettings(**constants).n_neighbors or MOST_NEIGHBORS
    neighbors = nearest_neighbors(run.features, min(most, len(run.features) - 1), runtime)
    possible = SELECTIONS if base.probabilities is not None else ("neighbors",)
    return {
        name: select_clean(base, neighbors, RefineSettings(selection=name, **constants)).is_clean
        for name in possible
    }
