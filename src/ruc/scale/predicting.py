"""New samples into the clusters of a finished run, on many machines."""

import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from ruc.doors.predict import Columns, FinishedRun, Predicted, Request
from ruc.edits import junk_clusters, run_id
from ruc.errors import InputError, NothingToClusterError, UsageError
from ruc.fingerprint import fingerprint
from ruc.readers import count_parquet
from ruc.runtime import Runtime
from ruc.scale.filling import fill
from ruc.scale.images import image_shards, source_of, why_skipped
from ruc.scale.over_ray import device_for, ray_cluster
from ruc.scale.shard_folder import ShardFolder, shard_folder
from ruc.settings import make_settings
from ruc.tables.embeddings import holds_embeddings, read_embeddings, shard_files

if TYPE_CHECKING:
    import pyarrow as pa

Skips = tuple[tuple[str, str], ...]
TYPES: Final = {"cluster": "int64", "confidence": "float32", "novelty": "float32"}  # of others "string"


class PredictShard:
    """Predicts the samples of a shard and writes their table; made once in each process, with run and networks."""

    def __init__(self, folder: Path, request: Request, device: str) -> None:
        torch.set_num_threads(1)
        self._shards, self._run = ShardFolder(folder), FinishedRun.read(request.run)
        self._request, self._runtime = request, Runtime(device)

    def __call__(self, shard: Mapping[str, Any]) -> dict[str, Any]:
        """Predict images (`file_names`, `items`) or the features in a file (`path`, its first row the `first`)."""
        columns, lost = self._of_features(shard) if "path" in shard else self._of_images(shard)
        self._shards.write(shard["number"], _table(columns), lost)
        return {"number": shard["number"], "n_skipped": len(lost)}

    def _of_features(self, shard: Mapping[str, Any]) -> tuple[Columns, Skips]:
        features = read_embeddings(Path(os.fsdecode(shard["path"])))
        first = shard["first"]
        names = features.file_names or list(map(str, range(first, first + len(features.values))))
        asked = self._request.raw, self._request.most_novel
        return self._run.table_of_rows([features.values], names, self._runtime, *asked), ()

    def _of_images(self, shard: Mapping[str, Any]) -> tuple[Columns, Skips]:
        source = source_of(shard, self._request.reading)
        try:
            predicted = self._run.predict(source, self._runtime, 1.0, self._request.raw)
        except NothingToClusterError:  # none of these can be read, whatever of the others
            return {name: [] for name in self._run.headings}, why_skipped(source)
        return self._run.table(predicted, self._request.most_novel), predicted.skipped


def predict_to_shards(request: Request, output: Path, address: str, runtime: Runtime) -> Predicted:
    """The door `ruc predict --ray`: a new folder of Parquet shards with the columns of one machine's table.

    Images, run and output have to be at the same place on all nodes. What is finished stays whatever happens: the same
    command goes on with it.

    Raises
    ------
    InputError
        Features of several embeddings were given, or there is no such cluster.
    NothingToClusterError
        More than the share `max_skipped` of the images can't be read.
    RunFolderError
        `output` isn't a new folder.
    """
    if len(request.features) > 1:
        raise UsageError("several --features given with --ray; expected one folder of shards")
    images = request.images
    planned = _feature_shards(Path(request.features[0])) if images is None else image_shards(images)
    finished = FinishedRun.read(request.run).run  # what is wrong with it is said before anything is begun
    state = run_id(finished.file_names, finished.cluster, finished.cluster_names, junk_clusters(finished))
    given = make_settings({"features": request.features[0]} if images is None else {"source": request.source})
    plan = {
        "inputs": fingerprint(given, images),
        "run": [finished.notes.get("inputs"), state],
        "settings": [request.raw, request.most_novel, request.max_megapixels],
    }
    with shard_folder(output, plan) as shards, ray_cluster(address):
        device = device_for(runtime.device_name)
        there = replace(request, run=request.run.absolute())
        arguments = (shards.folder.absolute(), there, device)
        lost = fill(
            shards, planned, PredictShard, arguments, device == "cuda", request.max_skipped, "predicting",
            runtime.verbose,
        )  # fmt: skip
    return Predicted(sum(shard["n_rows"] for shard in planned) - len(lost), lost)


def _feature_shards(folder: Path) -> list[dict[str, Any]]:
    """What workers are given of a folder of features: a file each."""
    if not holds_embeddings(folder):
        raise InputError(
            f"--features {folder} with --ray: no such folder, and no Parquet file; expected shards with embeddings, as "
            "`ruc embed -o folder` writes them"
        )
    files = shard_files(folder)
    sizes = [count_parquet(file) for file in files]
    firsts = accumulate(sizes[:-1], initial=0)
    return [
        {"number": number, "n_rows": size, "path": os.fsencode(file.absolute()), "first": first}
        for number, (file, size, first) in enumerate(zip(files, sizes, firsts, strict=True))
    ]


def _table(columns: Mapping[str, list[Any]]) -> "pa.Table":
    import pyarrow as pa

    types = {name: TYPES.get(name, "string") for name in columns}
    arrays = {name: pa.array(values, types[name]) for name, values in columns.items()}
    return pa.table(arrays)
