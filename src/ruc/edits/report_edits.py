"""The edits.json that a run's report makes, read for the run that it was made for."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.edits.apply import junk_clusters
from ruc.edits.edit import Edit, from_json
from ruc.errors import InputError, UnreadableFileError
from ruc.readers import load_json
from ruc.run_folder import Run

FORMAT: Final = "ruc-edits"
VERSION: Final = 1


def read_edits(path: Path, run: Run) -> tuple[Edit, ...]:
    """Read the edits.json that the report of this run made.

    Raises
    ------
    InputError
        The file is not one, holds none, or was made for another run or before this one was edited otherwise.
    """
    try:
        content = load_json(path)
    except UnreadableFileError as error:
        raise InputError(f"{error}; expected the edits.json that a report downloads") from error
    if (
        not isinstance(content, dict)
        or content.get("format") != FORMAT
        or not isinstance(content.get("edits"), list)
    ):
        raise InputError(f"{path} holds no edits; expected the edits.json that a report downloads")
    if content.get("version") != VERSION:
        raise InputError(
            f"{path} is of version {content.get('version')}; expected {VERSION}: use the ruc that wrote the report"
        )
    if not content["edits"]:
        raise InputError(
            f"{path} has an empty list of edits, there is nothing to apply; expected the edits.json that a report "
            "downloads: make some there first"
        )
    own = run_id(run.file_names, run.cluster, run.cluster_names, junk_clusters(run))
    if content.get("run") != own:
        raise InputError(
            f"{path} was made for {content.get('run')}, but this run is {own}: another run, or edited since; "
            "expected edits from its newest report: open report.html again and make them there (answers: `ruc check`)"
        )
    return tuple(from_json(record) for record in content["edits"])


def run_id(
    file_names: Sequence[str], cluster: NDArray[np.integer[Any]], names: Sequence[str], junk: Iterable[int]
) -> str:
    """A name for this state of a run, so that edits made on one state are not applied to another."""
    digest = hashlib.sha256(repr((list(names), sorted(junk))).encode("utf-8", "surrogatepass"))
    for name, number in zip(file_names, np.asarray(cluster).tolist(), strict=True):
        digest.update(f"\n{number} {name}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
