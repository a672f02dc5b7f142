"""The door `ruc embed`: features of images, as files."""

import logging
from pathlib import Path

import numpy as np

from ruc.cache import Cache
from ruc.embedding import Embedding, EmbedTask, check_embedders, embed_images
from ruc.errors import UsageError
from ruc.images.load import content_hashes
from ruc.images.reading import Reading
from ruc.images.source import ImageSource, find_images
from ruc.images.survey import survey
from ruc.run_folder import check_file, check_new_folder, finish_outputs, new_folder, new_outputs, write_csv
from ruc.runtime import Runtime
from ruc.settings import Settings
from ruc.skipped import skipped_file, write_skipped
from ruc.tables.embeddings import shards_of

logger = logging.getLogger(__name__)


def embed_to_files(
    settings: Settings, output: Path, overwrite: bool, verbose: bool, cache: Cache | None = None
) -> Embedding:
    """The door `ruc embed`: features as .npy with two tables beside it, or as a new folder of Parquet shards.

    The tables, `_unreadable.csv` in the folder, say what the rows are called and what was skipped.
    """
    if output.suffix not in (".npy", ""):
        raise UsageError(
            f"-o {output} given, expected a file that ends in .npy, or a folder for Parquet shards"
        )
    images = str(settings.source)
    if output.suffix == "":
        check_new_folder(output)
    else:
        names = output.with_suffix(".csv")
        finish_outputs(output)
        for target in (output, names, skipped_file(output)):
            check_file(target, [images], overwrite)
    runtime = Runtime(settings.device, settings.seed, verbose)
    logger.debug("device: %s", runtime.device)  # unusable ones raise here
    found = find_images(images)
    check_embedders(settings.embedders)
    source = survey(found, Reading.from_config(settings.model_dump()))
    task = EmbedTask(source, runtime, settings.image_size, settings.max_skipped, cache)
    embedded = embed_images(task, settings.embedders)
    if output.suffix == "":
        _write_shards(output, source, embedded)
        return embedded
    with new_outputs(output, [names, skipped_file(output)]) as new:
        np.save(new / output.name, embedded.features)
        write_csv(new / names.name, ("file_name",), ((name,) for name in embedded.file_names))
        write_skipped(new / output.name, embedded.skipped)
    return embedded


def _write_shards(folder: Path, source: ImageSource, embedded: Embedding) -> None:
    from pyarrow import parquet

    row_of = {name: row for row, name in enumerate(source.file_names)}
    hashes = content_hashes(source.take([row_of[name] for name in embedded.file_names]))
    with new_folder(folder) as new:
        for name, shard in shards_of(embedded.file_names, embedded.features, hashes):
            parquet.write_table(shard, new / name)
        if embedded.skipped:
            write_csv(new / skipped_file(folder).name, ("file_name", "reason"), embedded.skipped)
