"""COCO: one annotation an image, a box around the whole of it, with the cluster as category."""

import json
import math
from pathlib import Path
from typing import Any

from ruc.errors import InputError, UnreadableImageError
from ruc.export.items import Items, json_ready, marks_of
from ruc.images.decode import upright_size_of
from ruc.images.packed import Stored
from ruc.images.reading import Reading
from ruc.run_folder import check_file, new_output


def export_coco(items: Items, target: Path, overwrite: bool = False) -> Path:
    """Write one JSON file that pycocotools and FiftyOne read, with the size of each image."""
    check_file(target, overwrite=overwrite)
    content = json.dumps(coco(items), ensure_ascii=False)
    with new_output(target) as new:
        new.write_text(content, encoding="utf-8")
    return target


def coco(items: Items) -> dict[str, Any]:
    """The content. Ids start at 1, since some tools take 0 for nothing."""
    images, annotations = [], []
    marks = marks_of(items)
    for row, image in enumerate(items.stored(), start=1):
        width, height = _upright_size(image)
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
                "attributes": marks[row - 1],
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


def _upright_size(image: Stored) -> tuple[int, int]:
    """Width and height as shown, however large; raises `InputError`."""
    try:
        return upright_size_of(image, Reading(max_megapixels=math.inf))
    except UnreadableImageError as error:
        raise InputError(
            f"image {image} cannot be read ({error}); expected those that the run was made from"
        ) from error
