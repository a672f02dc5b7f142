"""The run folder: the only module that reads and writes one.

Every file is written under a temporary name first and renamed when all are complete, so that a
full disk or an interruption leaves what was there before.
"""

import csv
import errno
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from ruc.errors import RucError, RunFolderError

if TYPE_CHECKING:  # torch takes seconds to import, and most readers of a run don't need the model
    from ruc.embed.embedder import State

__all__ = [
    "Checkpoints",
    "Run",
    "by_file_name",
    "check_output",
    "checkpoints",
    "read_model",
    "read_run",
    "replacing",
    "write_figures",
    "write_metrics",
    "write_report_file",
    "write_run",
]

CONFIG: Final = "config.yaml"
NOTES: Final = "notes.json"
CHECKPOINTS: Final = ".checkpoints"
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
)


@dataclass(frozen=True)
class Run:
    """All that a finished run knows; what a run folder holds. n is the number of images or feature rows.

    Attributes
    ----------
    settings
        Every resolved setting, with seed, versions and device; `config.yaml`.
    file_names
        n names in the order of all arrays; row numbers for features without names.
    cluster, initial_cluster
        (n,) int64 in 0 … K-1; initial_cluster may be -1 (unknown).
    confidence
        (n,) float32: the estimated probability that the image is in the right cluster.
    was_clean, is_clean
        (n,) bool: trusted at the start, and at the end.
    probabilities
        (n, K) float32, calibrated; of the clusters as they were edited.
    initial_probabilities
        (n, K) float32 of the base clustering, or None where it has none.
    features
        (n, n_features) float32, unit-norm rows.
    network_probabilities
        (n, K before any edit) float32 as the networks gave them, where the run was edited, else None.
    cluster_names
        K names; the numbers as text unless the labels were given as text or a cluster was renamed.
    skipped
        (file_name, reason) of each file that could not be read.
    history
        One mapping per epoch.
    marks
        Further columns of the table, each (n,): outliers, duplicates, names.
    notes
        What else the report shows: warnings, why an embedder was chosen, the curve over K.
    review
        Rows of `review.csv`: the images most worth a person's look, best first.
    metrics
        What `evaluate` found, or None.
    """

    settings: dict[str, Any]
    file_names: tuple[str, ...]
    cluster: NDArray[np.int64]
    confidence: NDArray[np.float32]
    initial_cluster: NDArray[np.int64]
    was_clean: NDArray[np.bool_]
    is_clean: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]
    cluster_names: tuple[str, ...]
    initial_probabilities: NDArray[np.float32] | None = None
    network_probabilities: NDArray[np.float32] | None = None
    skipped: tuple[tuple[str, str], ...] = ()
    history: tuple[dict[str, float], ...] = ()
    marks: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    review: tuple[tuple[Any, ...], ...] = ()
    metrics: dict[str, Any] | None = None

    @property
    def changed(self) -> NDArray[np.bool_]:
        """(n,) bool: the cluster is not the initial one."""
        return np.not_equal(self.cluster, self.initial_cluster)

    @property
    def has_names(self) -> bool:
        """Whether a cluster is called something else than its number."""
        return self.cluster_names != tuple(str(number) for number in range(len(self.cluster_names)))

    @property
    def n_clusters(self) -> int:
        """K, counting clusters that are empty."""
        return int(self.probabilities.shape[1])


def check_output(folder: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Make sure that a run may be written to `folder`, without touching what is there.

    Raises
    ------
    RunFolderError
        The folder holds something that is not a run, or a run with other settings and `overwrite` is false.
    """
    if folder.exists() and not folder.is_dir():
        raise RunFolderError(f"{folder} is a file; expected a folder for the run: give another -o")
    if not folder.exists() or not any(folder.iterdir()) or (folder / CHECKPOINTS).exists():
        return
    if not (folder / CONFIG).exists():
        raise RunFolderError(
            f"{folder} holds other files and is no run folder; expected a new or empty one: give another -o"
        )
    if overwrite:
        return
    resolved = _read_yaml(folder / CONFIG)
    given = (_read_json_if_there(folder / NOTES) or {}).get("given_settings", resolved)
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


@dataclass(frozen=True)
class Checkpoints:
    """What finished stages left in a run folder, so that an interrupted run can go on.

    Attributes
    ----------
    folder
        Where they are kept; None keeps nothing.
    """

    folder: Path | None = None

    def load(self, stage: str) -> "State | None":
        """What the stage left, or None."""
        if self.folder is None or not (self.folder / f"{stage}.safetensors").exists():
            return None
        return _read_state(self.folder / stage)

    def save(self, stage: str, state: "State") -> None:
        """Keep what a stage left, replacing what it left before."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_state(self.folder / f"{stage}.new", state)
        # The tensors are renamed last: `load` takes a stage as done when they are there.
        for suffix in (".json", ".safetensors"):
            (self.folder / f"{stage}.new{suffix}").replace(self.folder / f"{stage}{suffix}")


@contextmanager
def checkpoints(folder: Path, fingerprint: str) -> Iterator[Checkpoints]:
    """Yield the checkpoints of a run folder; those of a run with another fingerprint are dropped first.

    They outlast an interruption, and a failure that nobody foresaw. When the run can't be done they are removed, and
    the folder too if it was made here.
    """
    existed = folder.exists()
    place = folder / CHECKPOINTS
    mark = place / "fingerprint"
    if place.exists() and not (mark.exists() and mark.read_text(encoding="utf-8") == fingerprint):
        shutil.rmtree(place)
    try:
        with _explained(folder):
            place.mkdir(parents=True, exist_ok=True)
            mark.write_text(fingerprint, encoding="utf-8")
            yield Checkpoints(place)
    except RucError:
        shutil.rmtree(place if existed else folder, ignore_errors=True)
        raise


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends well, its files take their places in `folder`."""
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as name:
            new = Path(name)
            yield new
            for path in sorted(new.iterdir()):
                _move(path, folder / path.name)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn the system's errors while writing to `folder` into messages for users."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunFolderError(
                f"no space left while writing to {folder}; expected room for the results: "
                "free some space or give an -o on another disk"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise RunFolderError(
                f"cannot write to {folder} ({error.strerror}); expected one to write into: give another -o"
            ) from error
        raise


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
        "embedder" (absent for features) and "pair"; None leaves the model that is there.
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
        _write_csv(new / "skipped.csv", ("file_name", "reason"), run.skipped)
        _write_csv(new / "review.csv", REVIEW_COLUMNS, run.review)
        columns = tuple(run.history[0]) if run.history else ("epoch",)
        _write_csv(new / "history.csv", columns, [[row[c] for c in columns] for row in run.history])
        _write_json(new / NOTES, {**run.notes, "cluster_names": list(run.cluster_names)})
        if run.metrics is not None:
            _write_json(new / "metrics.json", run.metrics)
        if model is not None:
            (new / "model").mkdir()
            for part, state in model.items():
                _write_state(new / "model" / part, state)
        if report is not None:
            (new / "report.html").write_text(report, encoding="utf-8")
    _remove_stale(folder, run)


def write_metrics(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Write `metrics.json` beside the run that it belongs to."""
    with replacing(folder) as new:
        _write_json(new / "metrics.json", metrics)


def write_figures(folder: Path, figures: Mapping[str, str]) -> None:
    """Write `figures/NAME.svg` for each name, instead of those that were there."""
    with replacing(folder) as new:
        (new / "figures").mkdir()
        for name, svg in figures.items():
            (new / "figures" / f"{name}.svg").write_text(svg, encoding="utf-8")


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
            initial_probabilities=_load_if_there(folder / "initial_probabilities.npy"),
            network_probabilities=_load_if_there(folder / "network_probabilities.npy"),
            skipped=tuple((row["file_name"], row["reason"]) for row in _read_csv(folder / "skipped.csv")),
            history=tuple({k: float(v) for k, v in row.items()} for row in _read_csv(folder / "history.csv")),
            marks={name: columns[name] for name in columns if name not in TABLE_COLUMNS},
            notes=notes,
            review=tuple(tuple(row.values()) for row in _read_csv(folder / "review.csv")),
            metrics=_read_json_if_there(folder / "metrics.json"),
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
    """The parts of a run's model by name: "embedder" (absent for features) and "pair".

    Raises
    ------
    RunFolderError
        The folder holds no model, or one that cannot be read.
    """
    from safetensors import SafetensorError

    model = Path(folder) / "model"
    try:
        parts = {path.stem: _read_state(path.with_suffix("")) for path in sorted(model.glob("*.json"))}
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


def by_file_name(run: Run) -> Run:
    """The same run with all its rows sorted by file name."""
    order = np.argsort(np.asarray(run.file_names, dtype=object), kind="stable")
    rows: dict[str, Any] = {
        name: getattr(run, name)[order]
        for name in (
            "cluster", "confidence", "initial_cluster", "was_clean", "is_clean", "probabilities", "features",
        )
    }  # fmt: skip
    initial = run.initial_probabilities
    return replace(
        run,
        file_names=tuple(run.file_names[i] for i in order),
        initial_probabilities=None if initial is None else initial[order],
        marks={name: column[order] for name, column in run.marks.items()},
        **rows,
    )


def _move(path: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    path.replace(target)


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
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def _write_table(folder: Path, run: Run) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    names = np.asarray(run.cluster_names, dtype=np.str_)
    columns: dict[str, Any] = {
        "file_name": list(run.file_names),
        "cluster": run.cluster,
        "confidence": run.confidence,
        "initial_cluster": run.initial_cluster,
        "was_clean": run.was_clean,
        "is_clean": run.is_clean,
        "changed": run.changed,
        **({"cluster_name": names[run.cluster]} if run.has_names else {}),
        **run.marks,
    }
    table = pa.table(columns)
    parquet.write_table(table, folder / "clusters.parquet")
    _write_csv(
        folder / "clusters.csv",
        tuple(columns),
        zip(*(table.column(c).to_pylist() for c in columns), strict=True),
    )


def _write_csv(path: Path, columns: Sequence[str], rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_shorter(value) for value in row] for row in rows)


def _shorter(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def _read_csv(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, default=_as_json), encoding="utf-8")


def _as_json(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _read_json_if_there(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _load_if_there(path: Path) -> NDArray[np.float32] | None:
    return np.load(path, allow_pickle=False) if path.exists() else None


def _read_yaml(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise RunFolderError(
            f"{path} holds {type(content).__name__}; expected settings as `name: value` lines"
        )
    return content


def _write_state(stem: Path, state: "State") -> None:
    from safetensors.torch import save_file

    _write_json(stem.with_name(stem.name + ".json"), state.config)
    save_file(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.weights.items()},
        stem.with_name(stem.name + ".safetensors"),
    )


def _read_state(stem: Path) -> "State":
    from safetensors.torch import load_file

    from ruc.embed.embedder import State

    config = json.loads(stem.with_name(stem.name + ".json").read_text(encoding="utf-8"))
    return State(config, load_file(stem.with_name(stem.name + ".safetensors")))
