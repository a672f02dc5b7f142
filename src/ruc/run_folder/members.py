"""The files of a run folder, one by one: what each holds of a run, how it's written, how it's read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from ruc.mapped import row_blocks
from ruc.readers import load_csv, load_json, load_npy, load_parquet, load_yaml
from ruc.run_folder.files import write_csv, write_json
from ruc.run_folder.run import Run
from ruc.side_by_side import columns, part
from ruc.tables.formulas import as_meant

CONFIG: Final = "config.yaml"
NOTES: Final = "notes.json"
METRICS: Final = "metrics.json"
REPORT: Final = "report.html"
FEATURES: Final = "features.npy"
MODEL: Final = "model"
FIGURES: Final = "figures"
CHECK: Final = ("check.csv", "check.html")

SAVED_ROWS: Final = 65_536  # at a time, for the memory
REVIEW_NAMES: Final = ("cluster_name", "second_cluster_name")
REVIEW_COLUMNS: Final = ("file_name", "cluster", "confidence", "doubt", "second_cluster")
TABLE_COLUMNS: Final = {
    "file_name": str,
    "cluster": np.int64,
    "confidence": np.float32,
    "initial_cluster": np.int64,
    "was_clean": np.bool_,
    "is_clean": np.bool_,
    "changed": np.bool_,
    "cluster_name": str,
    "initial_cluster_name": str,
}  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One file.

    Attributes
    ----------
    holds
        The fields of `Run` that it's made of; without a value of the first one there is no such file.
    write
        Makes it, given where and the run.
    read
        The fields that it gives, by name; None: it is there for others to read.
    is_needed
        Whether there is no run without it.
    """

    holds: tuple[str, ...]
    write: Callable[[Path, Run], None]
    read: Callable[[Path], dict[str, Any]] | None = None
    is_needed: bool = True


def is_excel_safe(run: Run) -> bool:
    """Whether the tables of a run shall have no text that is a formula."""
    return bool(run.settings.get("excel_safe"))


def without_quotes(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a run as read, the texts of its tables as they were before they were made `is_excel_safe`."""
    if not fields["settings"].get("excel_safe"):
        return fields
    tables = {name: fields[name] for name in ("skipped", "review") if name in fields}
    meant = {
        name: tuple(tuple(cell if cell is None else as_meant(cell) for cell in row) for row in rows)
        for name, rows in tables.items()
    }
    return fields | meant


def _write_settings(path: Path, run: Run) -> None:
    path.write_text(yaml.safe_dump(run.settings, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _read_settings(path: Path) -> dict[str, Any]:
    settings = load_yaml(path)
    if not isinstance(settings, dict):
        raise ValueError(f"it holds {type(settings).__name__}; expected settings as `name: value` lines")
    return {"settings": settings}


def _columns(run: Run) -> dict[str, Any]:
    names = np.asarray(run.cluster_names, dtype=np.str_)
    initial_names = np.where(run.initial_cluster < 0, "", names[run.initial_cluster])
    of_clusters = {"cluster_name": names[run.cluster], "initial_cluster_name": initial_names}
    return {
        "file_name": list(run.file_names),
        **{
            name: getattr(run, name)
            for name in ("cluster", "confidence", "initial_cluster", "was_clean", "is_clean")
        },
        "changed": run.changed,
        **(of_clusters if run.has_names else {}),
        **run.marks,
    }


def _write_parquet(path: Path, run: Run) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table(_columns(run)), path)


def _write_table(path: Path, run: Run) -> None:
    columns = _columns(run)
    values = (column.tolist() if isinstance(column, np.ndarray) else column for column in columns.values())
    write_csv(path, tuple(columns), zip(*values, strict=True), is_excel_safe(run))


def _read_parquet(path: Path) -> dict[str, Any]:
    table = load_parquet(path)
    columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}
    of_run = {
        name: columns[name].astype(kind)
        for name, kind in TABLE_COLUMNS.items()
        if kind is not str and name != "changed"
    }
    marks = {name: column for name, column in columns.items() if name not in TABLE_COLUMNS}
    return {"file_names": tuple(str(name) for name in columns["file_name"]), **of_run, "marks": marks}


def _write_history(path: Path, run: Run) -> None:
    columns = tuple(run.history[0]) if run.history else ("epoch",)
    write_csv(path, columns, [[row[c] for c in columns] for row in run.history])


def _read_history(path: Path) -> dict[str, Any]:
    return {"history": tuple({name: float(value) for name, value in row.items()} for row in load_csv(path))}


def _read_skipped(path: Path) -> dict[str, Any]:
    return {"skipped": tuple((row["file_name"], row["reason"]) for row in load_csv(path))}


def _write_review(path: Path, run: Run) -> None:
    """Clusters by number, as in every table, and what they are called beside, where they have names."""

    def name(cluster: Any) -> str:
        return "" if cluster == "" else run.cluster_names[int(cluster)]

    rows = run.review
    if run.has_names:
        rows = tuple((*row, name(row[1]), name(row[4])) for row in rows)
    write_csv(path, (*REVIEW_COLUMNS, *(REVIEW_NAMES if run.has_names else ())), rows, is_excel_safe(run))


def _read_review(path: Path) -> dict[str, Any]:
    return {"review": tuple(tuple(row[column] for column in REVIEW_COLUMNS) for row in load_csv(path))}


def _write_notes(path: Path, run: Run) -> None:
    several = {"embeddings": dict(run.embeddings)} if run.embeddings else {}
    write_json(path, {**run.notes, "cluster_names": list(run.cluster_names), **several})


def _read_notes(path: Path) -> dict[str, Any]:
    notes = load_json(path)
    embeddings = notes.pop("embeddings", {})
    return {"cluster_names": tuple(notes.pop("cluster_names")), "embeddings": embeddings, "notes": notes}


def _write_features(path: Path, run: Run) -> None:
    """One file, or of several embeddings a folder with a file each, which makes up for it."""
    if not run.embeddings:
        _save(path, run.features)
        return
    path.with_suffix("").mkdir()
    for name, where in columns(run.embeddings).items():
        np.save(path.with_suffix("") / f"{name}.npy", part(run.features, where))


def _save(path: Path, array: NDArray[np.generic]) -> None:
    """As `np.save`, and nothing of a mapped file stays in memory."""
    descr = np.lib.format.dtype_to_descr(array.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": array.shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in row_blocks(array, SAVED_ROWS):
            array[part].tofile(file)


def _array(field: str, is_needed: bool = True) -> Member:
    return Member(
        (field,),
        lambda path, run: _save(path, getattr(run, field)),
        lambda path: {field: load_npy(path)},
        is_needed,
    )


_TABLE: Final = (
    "file_names", "cluster", "confidence", "initial_cluster", "was_clean", "is_clean", "cluster_names", "marks",
)  # fmt: skip

MEMBERS: Final[Mapping[str, Member]] = {
    CONFIG: Member(("settings",), _write_settings, _read_settings),
    "clusters.parquet": Member(_TABLE, _write_parquet, _read_parquet),
    "clusters.csv": Member(_TABLE, _write_table, is_needed=False),
    "probabilities.npy": _array("probabilities"),
    FEATURES: Member(
        ("features",), _write_features, lambda path: {"features": load_npy(path)}, is_needed=False
    ),
    "initial_probabilities.npy": _array("initial_probabilities", is_needed=False),
    "network_probabilities.npy": _array("network_probabilities", is_needed=False),
    "skipped.csv": Member(
        ("skipped",),
        lambda path, run: write_csv(path, ("file_name", "reason"), run.skipped, is_excel_safe(run)),
        _read_skipped,
        is_needed=False,
    ),
    "review.csv": Member(
        ("review", "cluster_names"),
        _write_review,
        _read_review,
        is_needed=False,
    ),
    "history.csv": Member(("history",), _write_history, _read_history, is_needed=False),
    NOTES: Member(("notes", "cluster_names", "embeddings"), _write_notes, _read_notes),
    METRICS: Member(
        ("metrics",),
        lambda path, run: write_json(path, run.metrics or {}),
        lambda path: {"metrics": load_json(path)},
        is_needed=False,
    ),
}
