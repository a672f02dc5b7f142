"""What a result depends on, as one text: whether a run, or what a stage left of it, is the one that is asked for."""

import hashlib
import json
import os
from collections.abc import Collection
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from ruc.given_features import names_file
from ruc.images.source import ImageSource
from ruc.networks.checkpoints import is_checkpoint
from ruc.settings import Settings

LATER_FILES = ("labels", "probabilities", "base")
# What the embedding doesn't depend on.
AFTER_FEATURES = (*LATER_FILES, "n_clusters", "space", "refine", "review", "excel_safe")


def stage_fingerprints(settings: Settings, source: ImageSource | None) -> dict[str, str]:
    """Of each stage that leaves a checkpoint."""
    of_all = fingerprint(settings, source)
    of_features = fingerprint(
        settings, source, without=AFTER_FEATURES if not is_checkpoint(settings.base) else ()
    )
    of_stage = dict.fromkeys(("embedding", "embedder", "learning to embed"), of_features)
    return {**of_stage, "base": of_all, "refine": of_all}


def fingerprint(settings: Settings, source: ImageSource | None, without: Collection[str] = ()) -> str:
    """Changes whenever the same result is not to be expected: another version, other settings, files or contents.

    `settings`, `source`: what is asked for. `without`: settings that don't matter.
    """
    given_settings = settings.with_absolute_paths()
    for name in ("output", *without):
        del given_settings[name]
    digest = hashlib.sha256(json.dumps([version("ruc"), given_settings], sort_keys=True).encode())
    given = (
        *settings.embedders,
        *(getattr(settings, name) for name in LATER_FILES if name not in without),
    )
    paths = [Path(path) for path in given if path]
    for features in settings.feature_files:
        paths.extend((features, names_file(features)))  # and which image each row is of
        paths.extend(sorted(features.rglob("*.parquet")))  # where it's a folder of shards
    if source is not None:
        paths.extend(source.files)
    for path in paths:
        with suppress(OSError):  # what isn't there, or may not be looked at
            stat = path.stat()
            digest.update(os.fsencode(path) + f"\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
