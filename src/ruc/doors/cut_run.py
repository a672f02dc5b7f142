"""The door `ruc cut`: a run with more or fewer clusters, from the tree of a finished one, without embedding again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ruc.edits import apply_edits
from ruc.edits.nearest import N_NEAREST
from ruc.embedding import Embedding
from ruc.images.reading import Reading
from ruc.initial_clustering import Base
from ruc.labels.clustering import Clustering
from ruc.levels.level import level_of
from ruc.networks import State
from ruc.pipeline import Job, Outcome, Stages, as_run
from ruc.quality import FENCES
from ruc.refine.spaces import FeatureSpace
from ruc.repair import find_neighbors, repair
from ruc.report.data import report_data
from ruc.report.report import write_report
from ruc.run_folder import Run, check_output, read_run_and_model, write_run
from ruc.runtime import Runtime
from ruc.settings import PROVENANCE, Settings, make_settings

CUT_FROM: Final = "cut_from"  # in the notes: the run, and the number of clusters
OF_ONE_RUN: Final = ("moved_by_hand", "possible_clusters")  # columns that hold for its clusters alone


def cut_to_folder(
    folder: Path,
    n_clusters: int,
    output: Path,
    device: str = "auto",
    overwrite: bool = False,
    verbose: bool = True,
) -> Run:
    """Cut the tree of a finished run where it has so many groups, repair these, and write them as a run of its own.

    `n_clusters`: from 2 to about four times its clusters.

    Raises
    ------
    RucError
        There is no such level, or the output can't be written.
    """
    run, model = read_run_and_model(folder)
    settings = _settings(run, n_clusters, output, device)
    check_output(output, settings.as_yaml_dict() | _carried(run), overwrite)
    runtime = Runtime(device, settings.seed, verbose)
    outcome = cut(run, model, settings, runtime)
    made = outcome.run
    notes = {**made.notes, CUT_FROM: [str(folder.resolve()), n_clusters]}
    if FENCES in run.notes:
        notes[FENCES] = run.notes[FENCES]
    made = replace(made, notes=notes)
    report = write_report(report_data(made), near=outcome.neighbors)
    write_run(output, made, outcome.model, report)
    return made


def cut(run: Run, model: Mapping[str, State], settings: Settings, runtime: Runtime) -> Outcome:
    """A run whose clusters are a level of another's tree, repaired as a base clustering is; its edits are kept.

    `settings`: of the new one: `n_clusters` is the level.
    """
    assert isinstance(settings.n_clusters, int)
    embedded = Embedding(
        "", run.file_names, run.features, np.arange(len(run.features)), skipped=run.skipped,
        why=str(run.notes.get("embedder", "")), embeddings=run.embeddings,
    )  # fmt: skip
    neighbors = find_neighbors(run.features, settings.refine, runtime, embedded.parts)
    level = level_of(run, settings.n_clusters, neighbors.indices[:, :N_NEAREST])
    base = Base(
        Clustering(
            level.cluster, None, settings.n_clusters, str(run.settings.get("base", "auto")), "layouts"
        ),
        level.names,
    )
    n_first = next(iter(run.embeddings.values()), None)
    space = FeatureSpace(run.features, neighbors, runtime, n_first=n_first)
    repaired = repair(space, base.clustering, neighbors, settings.refine, runtime)
    made = as_run(Job(settings, runtime), Stages(embedded, neighbors, base, space, repaired))
    marks = {name: column for name, column in run.marks.items() if name not in OF_ONE_RUN}
    new = replace(
        made.run,
        settings={**made.run.settings, **_carried(run)},
        marks={**marks, **made.run.marks, **{name: marks[name] for name in ("copy_of",) if name in marks}},
    )
    model = {**_without_base(model), "pair": _reading_as(made, model)}
    return Outcome(apply_edits(new, level.edits), model, neighbors)


def _settings(run: Run, n_clusters: int, output: Path, device: str) -> Settings:
    """Those of the run, but for what says how its own clusters were found."""
    before: Mapping[str, Any] = run.notes.get("given_settings") or run.settings
    own = {
        name: value for name, value in before.items() if name not in (PROVENANCE, "labels", "probabilities")
    }
    anew = {"n_clusters": n_clusters, "output": str(output), "device": device, "space": "feature"}
    base = "auto" if own.get("base") == "given" else own.get("base", "auto")
    return make_settings({**own, **anew, "base": base})


def _carried(run: Run) -> dict[str, Any]:
    """Settings that say what the features are of, as the run resolved them."""
    reading = Reading.from_config(run.settings).to_config() if run.settings.get("source") else {}
    names = ("source", "features", "embedder", "image_size", *reading)
    return {name: run.settings[name] for name in names if name in run.settings}


def _without_base(model: Mapping[str, State]) -> dict[str, State]:
    return {part: state for part, state in model.items() if part != "base"}


def _reading_as(made: Outcome, model: Mapping[str, State]) -> State:
    """The new networks, which take images as the run's embedder does."""
    pair, before = made.model["pair"], model["pair"].config
    reading = Reading.from_config(before).to_config() if "embedder" in model else {}
    return replace(pair, config={**pair.config, "image_size": before["image_size"], **reading})
