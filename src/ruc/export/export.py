"""The door `ruc export`: a run to any of the formats."""

import logging
from pathlib import Path
from typing import Final, Literal, get_args

from ruc.edits import merged_places, needs_features
from ruc.errors import InputError, UsageError
from ruc.export.coco import export_coco
from ruc.export.fiftyone import export_fiftyone
from ruc.export.folders import How, export_folders
from ruc.export.imagefolder import export_imagefolder
from ruc.export.items import items_of
from ruc.export.label_studio import LOCAL_FILES, export_label_studio
from ruc.export.parquet import export_parquet
from ruc.images.source import ImageSource, find_images
from ruc.run_folder import Run, check_file, check_new_folder, read_run, read_run_and_model

logger = logging.getLogger(__name__)

Format = Literal["folders", "imagefolder", "label-studio", "coco", "fiftyone", "parquet", "onnx"]
FORMATS: Final[tuple[str, ...]] = get_args(Format)
DEFAULT_TARGETS: Final = {
    "folders": "sorted",
    "imagefolder": "imagefolder",
    "label-studio": "label_studio",
    "coco": "coco.json",
    "fiftyone": "fiftyone",
    "parquet": "run.parquet",
    "onnx": "model.onnx",
}


def export_run(
    folder: str | Path,
    to: str,
    target: str | Path | None = None,
    how: How = "copy",
    images: str | Path | None = None,
    image_root: str | None = None,
    include_junk: bool = False,
    overwrite: bool = False,
) -> Path:
    """Hand a finished run over to another tool.

    Parameters
    ----------
    folder
        The run folder.
    to
        "folders", "imagefolder", "label-studio", "coco", "fiftyone", "parquet" or "onnx".
    target
        Folder or file to write; None: its usual name, in the current folder.
    how
        For folders and imagefolder: "copy", "symlink" or "hardlink".
    images
        Where the images are now, if not where the run found them.
    image_root
        For Label Studio: what it finds the images under, e.g. "s3://bucket/photos/"; None: its local storage.
    include_junk
        Whether clusters that were marked as junk are handed over too.
    overwrite
        Whether a file that is there already may be replaced; a folder never is.

    Returns
    -------
    path
        What was written.

    Raises
    ------
    InputError
        An unknown format, or no files where the format needs them.
    RunFolderError
        `folder` is no finished run, or there is something at `target`.
    """
    if to not in FORMATS:
        raise UsageError(f"format {to!r} given; expected one of {', '.join(FORMATS)}")
    target = Path(DEFAULT_TARGETS[to] if target is None else target)
    if to in ("folders", "imagefolder", "label-studio", "fiftyone"):
        check_new_folder(target)
    else:
        check_file(target, overwrite=overwrite)
    if to == "onnx":
        from ruc.export.onnx import export_model  # torch and its exporter take seconds to import

        run, model = read_run_and_model(folder)
        return export_model(model, target, network_labels(run), overwrite)
    run = read_run(folder)
    items = items_of(run, _images(run, images, is_needed=to not in ("parquet", "label-studio")), include_junk)
    if to == "folders":
        return export_folders(items, target, how)
    if to == "imagefolder":
        return export_imagefolder(items, target, how)
    if to == "label-studio":
        return export_label_studio(items, target, image_root or LOCAL_FILES)
    if to == "fiftyone":
        return export_fiftyone(items, target)
    if to == "coco":
        return export_coco(items, target, overwrite)
    return export_parquet(items, target, overwrite=overwrite)


def network_labels(run: Run) -> list[str]:
    """What each of the networks' outputs is called now: the name of the cluster it was merged into.

    What was split off, or moved by hand, is known by features that a network alone doesn't have.
    """
    if needs_features(run):
        logger.warning(
            "the ONNX model follows merges and names, not clusters that were split or moved by hand; `ruc predict` does"
        )
    return [run.cluster_names[place] for place in merged_places(run)]


def _images(run: Run, given: str | Path | None, is_needed: bool) -> ImageSource | None:
    source = given or run.settings.get("source")
    if source is None:
        return None
    try:
        return find_images(source)
    except InputError:
        if is_needed or given:
            raise
        return None
