"""Parquet with a map, neighbours and vectors: what Embedding Atlas and Spotlight read."""

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from ruc.export.items import Items
from ruc.report.positions import map_positions
from ruc.run_folder import check_file, new_output

N_NEIGHBORS: Final = 15


def export_parquet(items: Items, target: Path, seed: int = 0, overwrite: bool = False) -> Path:
    """Write one table: an image a row, with its place on the map, its neighbours and its vector.

    Open it with `embedding-atlas run.parquet --x x --y y --neighbors neighbors`, or with
    `spotlight.show("run.parquet", dtype={"image": spotlight.Image, "vector": spotlight.Embedding})`.
    `seed` is that of the map.
    """
    check_file(target, overwrite=overwrite)
    table = table_of(items, seed)
    with new_output(target) as new:
        parquet.write_table(table, new)
    return target


def table_of(items: Items, seed: int = 0) -> Any:
    """The `pyarrow.Table`: id, file_name, image (path), cluster, label, …, x, y, neighbors, vector.

    `neighbors` is a struct of `ids` (into `id`, the row's number) and `distances` (cosine), nearest first,
    as Embedding Atlas takes it.
    """
    positions, _ = map_positions(items.features, seed)
    columns: dict[str, Any] = {
        "id": pa.array(range(len(items.file_names)), pa.int64()),
        "file_name": pa.array(items.file_names, pa.string()),
    }
    if items.images is not None and all(isinstance(image, Path) for image in items.images):
        columns["image"] = pa.array(
            [os.fsencode(path).decode(errors="replace") for path in items.files()], pa.string()
        )
    columns |= {
        "cluster": pa.array(items.cluster),
        "label": pa.array(items.row_labels, pa.string()),
        "confidence": pa.array(items.confidence),
        "initial_cluster": pa.array(items.initial_cluster),
        "is_clean": pa.array(items.is_clean),
        **{name: pa.array(column) for name, column in items.marks.items()},
        "x": pa.array(positions[:, 0]),
        "y": pa.array(positions[:, 1]),
        "neighbors": _neighbors(items.features),
        "vector": pa.array(list(np.asarray(items.features, dtype=np.float32)), pa.list_(pa.float32())),
    }
    return pa.table(columns)


def _neighbors(features: NDArray[np.float32]) -> Any:
    from sklearn.neighbors import NearestNeighbors

    n_neighbors = min(N_NEIGHBORS, len(features) - 1)
    search = NearestNeighbors(n_neighbors=n_neighbors, metric="cosine", algorithm="brute").fit(features)
    distances, ids = search.kneighbors()  # without arguments, a row is not its own neighbour
    return pa.StructArray.from_arrays(
        [
            pa.array(list(ids.astype(np.int64)), pa.list_(pa.int64())),
            pa.array(list(distances.astype(np.float32)), pa.list_(pa.float32())),
        ],
        names=["ids", "distances"],
    )
