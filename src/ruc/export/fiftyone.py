"""FiftyOne: its image classification format, which finds the images where they are."""

import json
import os
from pathlib import Path
from typing import Any

from ruc.export.items import Items, json_ready, marks_of
from ruc.run_folder import new_folder


def export_fiftyone(items: Items, target: Path) -> Path:
    """Write a folder that FiftyOne reads as `FiftyOneImageClassificationDataset` with `data_path="data.json"`.

    `data.json` says where each image is, `labels.json` in which cluster.
    """
    with new_folder(target) as new:
        for name, content in {"data.json": _data(items), "labels.json": _labels(items)}.items():
            (new / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return target


def _data(items: Items) -> dict[str, str]:
    """Where each image is, by a number: of a name FiftyOne takes what stands behind a point for a suffix."""
    paths = (os.fsencode(path.resolve()).decode(errors="replace") for path in items.files())
    return {f"{row:08}": path for row, path in enumerate(paths)}


def _labels(items: Items) -> dict[str, Any]:
    """Targets are places in `classes`; attributes become fields of the label."""
    place = {cluster: number for number, cluster in enumerate(items.labels)}
    return {
        "classes": list(items.labels.values()),
        "labels": {
            f"{row:08}": {
                "label": place[int(items.cluster[row])],
                "confidence": json_ready(items.confidence[row]),
                "attributes": {
                    "file_name": items.file_names[row],
                    "initial_cluster": int(items.initial_cluster[row]),
                    "used_for_learning": bool(items.is_clean[row]),
                    **marks,
                },
            }
            for row, marks in enumerate(marks_of(items))
        },
    }
