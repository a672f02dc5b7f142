"""COCO: one annotation an image, a box around the whole of it, with the cluster as category."""

import json
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from ruc.errors import InputError, UnreadableImageError
from ruc.export.items import Items, json_ready
from ruc.images.decode import decode, orientation_of
from ruc.run_folder import check_file, new_output


def export_coco(items: Items, target: Path, overwrite: bool = False) -> Path:
    """Write one JSON file that pycocotools and FiftyOne read.

    Parameters
    ----------
    items
        With files: their sizes are written.
    target
        A new file, e.g. `coco.json`.

    Returns
    -------
    target

    Raises
    ------
    InputError
        There are no files, or one can't be read.
    RunFolderError
        `target` exists, or can't be written.
    """
    check_file(target, overwrite=overwrite)
    content = json.dumps(coco(items), ensure_ascii=False)
    with new_output(target) as new:
        new.write_text(content, encoding="utf-8")
    return target


def coco(items: Items) -> dict[str, Any]:
    """The content. Ids start at 1, since some tools take 0 for nothing."""
    images, annotations = [], []
    for row, path in enumerate(items.files(), start=1):
        width, height = _upright_size(path)
        images.append({"id": row, "file_name": items.file_names[row - 1], "width": width, "height": height})
        annotations.append(
            {
                "id": row,
                "image_id": row,
                "category_id": int(items.cluster[row - 1]) + 1,
                "bbox": [0, 0, width, height],
                "area": width * height,
                "segmentation": [],
                "iscrowd": 0,
                "score": json_ready(items.confidence[row - 1]),
            }
        )
    return {
        "info": {"description": "Clusters found by ruc; the score is the confidence", "version": "1.0"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": cluster + 1, "name": label, "supercategory": "cluster"}
            for cluster, label in items.labels.items()
        ],
    }


def _upright_size(path: Path) -> tuple[int, int]:
    """Width and height as shown, from the file's header alone."""
    try:
        with Image.open(path) as image:
            is_turned = (
                image.format != "TIFF" and orientation_of(image) >= 5
            )  # Pillow has turned a TIFF's already
            return (image.height, image.width) if is_turned else image.size
    except UnidentifiedImageError:  # what other libraries read
        return _decoded_size(path)
    except OSError as error:
        raise InputError(_unreadable(path, error.strerror or "no image")) from error


def _decoded_size(path: Path) -> tuple[int, int]:
    try:
        return decode(path).size
    except UnreadableImageError as error:
        raise InputError(_unreadable(path, str(error))) from error


def _unreadable(path: Path, reason: str) -> str:
    return f"image {path} cannot be read ({reason}); expected those that the run was made from"
