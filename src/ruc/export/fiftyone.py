"""FiftyOne: its image classification format, which finds the images where they are."""

import json
import os
from pathlib import Path
from typing import Any

from ruc.export.items import Items, json_ready, marks_of
from ruc.run_folder import check_new_folder, new_output


def export_fiftyone(items: Items, target: Path) -> Path:
    """Write a folder that FiftyOne reads as `FiftyOneImageClassificationDataset` with `data_path="data.json"`.

    Parameters
    ----------
    items
        With files.
    target
        A new or empty folder: gets `data.json` (where each image is) and `labels.json`.

    Returns
    -------
    target

    Raises
    ------
    InputError
        There are no files.
    RunFolderError
        `target` holds something, or can't be written.
    """
    check_new_folder(target)
    data, labels = _data(items), _labels(items)
    with new_output(target) as new:
        new.mkdir()
        for name, content in {"data.json": data, "labels.json": labels}.items():
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
