"""What the page's script reads: one JSON object, long columns packed as bytes."""

import base64
import json
import shlex
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from ruc.edits import run_id
from ruc.report.data import ReportData
from ruc.report.directions import in_few_directions
from ruc.report.found import Found
from ruc.report.positions import into_square
from ruc.run_folder import plain

FINENESS: Final = 10_000  # confidences in steps of 1e-4
MAP_EXTENT: Final = 65_535
N_RUNNERS_UP: Final = 3
ROWS: Final = 65_536  # of a table of samples and clusters, at a time


def payload(data: ReportData, found: Found, shown: NDArray[np.int64]) -> dict[str, Any]:
    """Everything but the thumbnails.

    `found`: what was read off the features. `shown`: rows that have a thumbnail, in the order of the thumbnails.
    """
    thumbnail = np.full(len(data.file_names), -1)
    thumbnail[shown] = np.arange(len(shown))
    flags = data.was_clean * 1 + data.is_clean * 2 + data.by_hand * 4
    columns = {
        "cluster": packed(data.cluster, "<i4"),
        "initial": packed(data.initial_cluster, "<i4"),
        "confidence": packed(data.confidence * FINENESS, "<u2"),
        "flags": packed(flags, "u1"),
        "typical": packed((found.typical + 1) / 2 * FINENESS, "<u2"),
        "rank": packed(found.ranks * MAP_EXTENT, "<u2"),
        "nearest": packed(found.nearest_centre, "<i4"),
        "neighbors": packed(found.neighbors.ravel(), "<i4"),
        "doubt": packed(data.how_doubtful * FINENESS, "<u2"),
        "thumbnail": packed(thumbnail, "<i4"),
    }
    if data.probabilities is not None and data.probabilities.shape[1] > 1:
        others, shares = _runners_up(data.probabilities, data.cluster)
        columns["others"] = packed(others.ravel(), "<i4")
        columns["otherShares"] = packed(shares.ravel() * FINENESS, "<u2")
    tree = None
    if found.tree is not None:
        columns["leaf"] = packed(found.tree.leaf, "<u2")
        tree = {
            "joins": found.tree.joins.tolist(),
            "nClusters": found.tree.n_clusters,
            "stable": found.tree.stable_levels(),
        }
    directions = (
        np.zeros((len(data.file_names), 0)) if data.features is None else in_few_directions(data.features)
    )
    if directions.size:
        columns["directions"] = packed(directions.ravel(), "i1")
    if data.stability is not None:
        columns["stability"] = packed(data.stability * FINENESS, "<u2")
    if data.positions is not None:
        positions = into_square(data.positions)
        columns["x"] = packed(positions[:, 0] * MAP_EXTENT, "<u2")
        columns["y"] = packed(positions[:, 1] * MAP_EXTENT, "<u2")
    return {
        "title": data.title,
        "run": run_id(data.file_names, data.cluster, data.cluster_names, data.junk),
        "names": [
            "" if name == str(number) else name for number, name in enumerate(map(str, data.cluster_names))
        ],
        "junk": sorted(data.junk),
        "mergedInto": [list(pair) for pair in data.merged_into.items()],
        "fileNames": list(data.file_names),
        "doubtfulFrom": data.doubtful_from,
        "reviewShare": data.review_share,
        "doubtOnlyRanks": data.doubt_only_ranks,
        "noun": data.noun,
        "hasImages": data.open_thumbnail is not None,
        "isCalibrated": data.is_calibrated,
        "checked": data.checked,
        "isOnFeatures": bool(data.settings.get("features")),
        "columns": columns,
        "nNeighbors": found.neighbors.shape[1],
        "tree": tree,
        "splits": [
            {
                "cluster": one.cluster,
                "rows": one.rows.tolist(),
                "links": one.links,
                "foundAgain": one.found_again,
            }
            for one in found.suggestions.splits
        ],
        "positionsName": data.positions_name,
        "marks": [_mark(name, values) for name, values in data.marks.items()],
        "skipped": [list(pair) for pair in data.skipped],
        "history": [dict(row) for row in data.history],
        "kCurve": dict(data.k_curve),
        "metrics": data.metrics,
        "remarks": list(data.remarks),
        "warnings": list(data.warnings),
        "settings": yaml.safe_dump(
            json.loads(json.dumps(dict(data.settings), default=str)), sort_keys=False, allow_unicode=True
        )
        if data.settings
        else "",
        "command": data.command,
        "runFolder": shlex.quote(str(data.settings.get("output") or "run/")),
    }


def packed(values: NDArray[Any], dtype: str) -> str:
    """Little-endian bytes as base64; floats are rounded to the integers they are sent as."""
    values = np.asarray(values)
    if values.dtype.kind == "f":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(np.nan_to_num(values)), limits.min, limits.max)
    return base64.b64encode(values.astype(dtype).tobytes()).decode("ascii")


def as_script_json(content: Any) -> str:
    """JSON that can stand inside a <script> element: nothing in it can end the element or start a comment.

    Not-a-number becomes null; lone surrogates, as in undecodable file names, stay escaped.
    """
    text = json.dumps(plain(content), separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _runners_up(
    probabilities: NDArray[np.floating[Any]], cluster: NDArray[np.integer[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.floating[Any]]]:
    """The most probable clusters beside the image's own, and how probable: (n, 3) each or fewer, the best first."""
    n_kept = min(N_RUNNERS_UP, probabilities.shape[1] - 1)
    runners_up = np.empty((len(probabilities), n_kept), np.int64)
    shares = np.empty((len(probabilities), n_kept), np.float32)
    for start in range(0, len(probabilities), ROWS):
        part = slice(start, start + ROWS)
        others = np.array(probabilities[part], dtype=np.float32)
        own = np.asarray(cluster)[part]
        own_rows = np.flatnonzero(own >= 0)
        others[own_rows, own[own_rows]] = -1
        rows = np.arange(len(others))
        for place in range(
            n_kept
        ):  # each the first of the largest: sorting whole rows takes twenty times as long
            runners_up[part, place] = best = others.argmax(axis=1)
            shares[part, place] = others[rows, best]
            others[rows, best] = -2
    return runners_up, shares


def _mark(name: str, values: NDArray[Any]) -> dict[str, Any]:
    values = np.asarray(values)
    if values.dtype.kind == "b":
        return {"name": name, "kind": "bool", "rows": np.flatnonzero(values).tolist()}
    if values.dtype.kind in "iuf":
        return {
            "name": name,
            "kind": "number",
            "values": [float(f"{value:.4g}") for value in values.tolist()],
        }
    return {"name": name, "kind": "text", "values": ["" if value is None else str(value) for value in values]}
