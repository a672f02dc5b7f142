"""A run as the files of its folder: refused where it must not be, written, read back."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from ruc.errors import RunFolderError
from ruc.run_folder.files import (
    load_if_there,
    read_csv,
    read_json_if_there,
    read_state,
    replacing,
    write_csv,
    write_json,
    write_state,
)
from ruc.run_folder.run import Run
from ruc.run_folder.unfinished import PLACE

if TYPE_CHECKING:
    from ruc.networks import State

__all__ = [
    "check_output",
    "read_model",
    "read_run",
    "write_check",
    "write_figures",
    "write_metrics",
    "write_report_file",
    "write_run",
]

CONFIG: Final = "config.yaml"
NOTES: Final = "notes.json"
REVIEW_COLUMNS: Final = ("file_name", "cluster", "confidence", "doubt", "second_cluster")
TABLE_COLUMNS: Final = (
    "file_name",
    "cluster",
    "confidence",
    "initial_cluster",
    "was_clean",
    "is_clean",
    "changed",
    "cluster_name",
    "initial_cluster_name",
)


def check_output(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Make sure that a run may be written to `folder`, without touching what is there.

    Raises
    ------
    RunFolderError
        The folder holds something that is not a run; or, where `overwrite` is false, a run with other settings, or one
        that a person edited.
    """
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; expected a folder for the run: give another -o")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / CONFIG).exists():
        if (folder / PLACE).exists():
            return  # the first run of this folder was interrupted: there is nothing to lose
        raise RunFolderError(
            f"{folder} holds other files and is no run folder; expected a new or empty one: give another -o"
        )
    if overwrite:
        return
    resolved = _read_yaml(folder / CONFIG)
    notes = read_json_if_there(folder / NOTES) or {}
    given = notes.get("given_settings", resolved)
    differing = {
        name
        for name in settings
        if name != "output" and all(settings[name] != before.get(name) for before in (given, resolved))
    }
    if differing:
        raise RunFolderError(
            f"{folder} holds a run with other settings ({', '.join(sorted(differing))}); expected a new folder: "
            "give another -o, or --overwrite to replace that run"
        )
    if notes.get("edits"):
        raise RunFolderError(
            f"{folder} holds a run that a person edited, and a repeat would lose the edits; expected a new folder: "
            "give another -o, or --overwrite to replace that run"
        )


def write_run(
    folder: Path, run: Run, model: "Mapping[str, State] | None" = None, report: str | None = None
) -> None:
    """Write all files of a run; those of an earlier run in the same folder are replaced.

    Parameters
    ----------
    folder
        Where; made when it does not exist.
    run
        What came out.
    model
        "embedder" (absent for features), "pair", and "base" where the base clustering is a network; None leaves the
        model that is there.
    report
        The text of `report.html`; None leaves the report that is there.
    """
    with replacing(folder) as new:
        (new / CONFIG).write_text(
            yaml.safe_dump(run.settings, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        _write_table(new, run)
        np.save(new / "probabilities.npy", run.probabilities)
        np.save(new / "features.npy", run.features)
        if run.initial_probabilities is not None:
            np.save(new / "initial_probabilities.npy", run.initial_probabilities)
        if run.network_probabilities is not None:
            np.save(new / "network_probabilities.npy", run.network_probabilities)
        write_csv(new / "skipped.csv", ("file_name", "reason"), run.skipped)
        write_csv(new / "review.csv", REVIEW_COLUMNS, run.review)
        columns = tuple(run.history[0]) if run.history else ("epoch",)
        write_csv(new / "history.csv", columns, [[row[c] for c in columns] for row in run.history])
        write_json(new / NOTES, _notes(run))
        if run.metrics is not None:
            write_json(new / "metrics.json", run.metrics)
        if model is not None:
            (new / "model").mkdir()
            for part, state in model.items():
                write_state(new / "model" / part, state)
        if report is not None:
            (new / "report.html").write_text(report, encoding="utf-8")
    _remove_stale(folder, run)


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics.json` beside the run that it belongs to."""
    with replacing(folder) as new:
        write_json(new / "metrics.json", metrics)


def write_figures(folder: Path, figures: Mapping[str, str]) -> None:
    """Write `figures/NAME.svg` for each name, instead of those that were there."""
    with replacing(folder) as new:
        (new / "figures").mkdir()
        for name, svg in figures.items():
            (new / "figures" / f"{name}.svg").write_text(svg, encoding="utf-8")


def write_check(
    folder: Path, run: Run, columns: Sequence[str], rows: Iterable[Sequence[Any]], page: str | None
) -> tuple[Path | None, Path]:
    """Write questions as `check.csv`, and `check.html` where there is a page; returns where. The run's notes follow."""
    with replacing(folder) as new:
        write_csv(new / "check.csv", columns, rows)
        if page is not None:
            (new / "check.html").write_text(page, encoding="utf-8")
        write_json(new / NOTES, _notes(run))
    return None if page is None else folder / "check.html", folder / "check.csv"


def write_report_file(folder: Path, report: str) -> None:
    """Write `report.html` anew, e.g. once metrics are known."""
    with replacing(folder) as new:
        (new / "report.html").write_text(report, encoding="utf-8")


def read_run(folder: str | Path) -> Run:
    """Read a finished run.

    Raises
    ------
    RunFolderError
        The folder does not exist, holds no run, or its files do not fit together.
    """
    import pyarrow.parquet as parquet

    folder = Path(folder)
    missing = [
        name for name in (CONFIG, "clusters.parquet", "probabilities.npy") if not (folder / name).exists()
    ]
    if missing:
        raise RunFolderError(
            f"{folder} is not a finished run ({', '.join(missing)} not found); "
            "expected a folder that `ruc cluster` or `ruc refine` wrote with -o"
        )
    try:
        table = parquet.read_table(folder / "clusters.parquet")
        columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}
        notes = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        probabilities = np.load(folder / "probabilities.npy", allow_pickle=False)
        run = Run(
            settings=_read_yaml(folder / CONFIG),
            file_names=tuple(str(name) for name in columns["file_name"]),
            cluster=columns["cluster"].astype(np.int64),
            confidence=columns["confidence"].astype(np.float32),
            initial_cluster=columns["initial_cluster"].astype(np.int64),
            was_clean=columns["was_clean"].astype(bool),
            is_clean=columns["is_clean"].astype(bool),
            probabilities=probabilities,
            features=np.load(folder / "features.npy", allow_pickle=False),
            cluster_names=tuple(notes.pop("cluster_names")),
            initial_probabilities=load_if_there(folder / "initial_probabilities.npy"),
            network_probabilities=load_if_there(folder / "network_probabilities.npy"),
            skipped=tuple((row["file_name"], row["reason"]) for row in read_csv(folder / "skipped.csv")),
            history=tuple({k: float(v) for k, v in row.items()} for row in read_csv(folder / "history.csv")),
            marks={name: columns[name] for name in columns if name not in TABLE_COLUMNS},
            notes=notes,
            review=tuple(tuple(row.values()) for row in read_csv(folder / "review.csv")),
            metrics=read_json_if_there(folder / "metrics.json"),
        )
    except (OSError, ValueError, KeyError) as error:
        raise RunFolderError(
            f"{folder} cannot be read as a run ({type(error).__name__}: {str(error).splitlines()[0]}); "
            "expected the files as `ruc` wrote them: run it again"
        ) from error
    if len(run.file_names) != len(run.probabilities):
        raise RunFolderError(
            f"{folder}: clusters.parquet has {len(run.file_names)} rows and probabilities.npy "
            f"{len(run.probabilities)}; expected the same number: run it again"
        )
    return run


def read_model(folder: str | Path) -> "dict[str, State]":
    """The parts of a run's model by name: "embedder" (absent for features), "pair", and "base" where it's a network.

    Raises
    ------
    RunFolderError
        The folder holds no model, or one that cannot be read.
    """
    from safetensors import SafetensorError

    model = Path(folder) / "model"
    try:
        parts = {path.stem: read_state(path.with_suffix("")) for path in sorted(model.glob("*.json"))}
    except (OSError, ValueError, SafetensorError) as error:
        raise RunFolderError(
            f"{model} cannot be read ({str(error).splitlines()[0]}); expected what `ruc` "
            "wrote there: run it again"
        ) from error
    if "pair" not in parts:
        raise RunFolderError(
            f"{model} holds no trained pair of networks; expected a run of `ruc cluster` or `ruc refine`"
        )
    return parts


def _notes(run: Run) -> dict[str, Any]:
    return {**run.notes, "cluster_names": list(run.cluster_names)}


def _remove_stale(folder: Path, run: Run) -> None:
    """An earlier run's optional files must not stand beside this run's."""
    optional = {
        "initial_probabilities.npy": run.initial_probabilities,
        "network_probabilities.npy": run.network_probabilities,
        "metrics.json": run.metrics,
    }
    for name, value in optional.items():
        if value is None:
            (folder / name).unlink(missing_ok=True)
    if "asked" not in run.notes:
        for name in ("check.html", "check.csv"):
            (folder / name).unlink(missing_ok=True)
    if run.metrics is None:
        shutil.rmtree(folder / "figures", ignore_errors=True)
    shutil.rmtree(folder / PLACE, ignore_errors=True)


def _write_table(folder: Path, run: Run) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    names = np.asarray(run.cluster_names, dtype=np.str_)
    initial_names = np.where(run.initial_cluster < 0, "", names[run.initial_cluster])
    columns: dict[str, Any] = {
        "file_name": list(run.file_names),
        "cluster": run.cluster,
        "confidence": run.confidence,
        "initial_cluster": run.initial_cluster,
        "was_clean": run.was_clean,
        "is_clean": run.is_clean,
        "changed": run.changed,
        **(
            {"cluster_name": names[run.cluster], "initial_cluster_name": initial_names}
            if run.has_names
            else {}
        ),
        **run.marks,
    }
    table = pa.table(columns)
    parquet.write_table(table, folder / "clusters.parquet")
    write_csv(
        folder / "clusters.csv",
        tuple(columns),
        zip(*(table.column(c).to_pylist() for c in columns), strict=True),
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise RunFolderError(
            f"{path} holds {type(content).__name__}; expected settings as `name: value` lines"
        )
    return content
