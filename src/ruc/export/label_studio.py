"""Label Studio: tasks with pre-annotations, and the labelling interface that shows them."""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from ruc.export.items import Items, json_ready, marks_of
from ruc.run_folder import new_folder

LOCAL_FILES: Final = "/data/local-files/?d="


def export_label_studio(items: Items, target: Path, image_root: str = LOCAL_FILES) -> Path:
    """Write `tasks.json` to import, and `label_config.xml` to paste into the project's settings.

    Each task has one prediction: the cluster's label, its score the confidence, so that Label Studio
    can sort by it (active learning) and annotators start from it.
    The marks (doubt, outlier, copies) are columns to filter by. Only names of files are written; `image_root` is what
    Label Studio finds them under: its local storage, or e.g. "s3://bucket/photos/".
    """
    with new_folder(target) as new:
        (new / "tasks.json").write_text(
            json.dumps(tasks(items, image_root), indent=1, ensure_ascii=False), encoding="utf-8"
        )
        (new / "label_config.xml").write_text(label_config(items), encoding="utf-8")
    return target


def tasks(items: Items, image_root: str = LOCAL_FILES) -> list[dict[str, Any]]:
    """One task an image.

    Names are percent-encoded in URLs (https://, and the query of Label Studio's local files). In a bucket (s3://, gs://,
    azure-blob://) Label Studio takes what stands after its name for the key as it is.
    """
    is_url = image_root.startswith(("http://", "https://")) or "://" not in image_root
    return [
        {
            "data": {"image": image_root + (quote(name) if is_url else name), "file_name": name, **found},
            "predictions": [
                {
                    "model_version": "ruc",
                    "score": json_ready(confidence),
                    "result": [
                        {
                            "id": f"ruc{row}",
                            "from_name": "cluster",
                            "to_name": "image",
                            "type": "choices",
                            "value": {"choices": [label]},
                        }
                    ],
                }
            ],
        }
        for row, (name, confidence, label, found) in enumerate(
            zip(items.file_names, items.confidence, items.row_labels, marks_of(items), strict=True)
        )
    ]


def label_config(items: Items) -> str:
    """One choice a cluster."""
    choices = "\n".join(f"    <Choice value={quoteattr(label)}/>" for label in items.labels.values())
    return (
        "<View>\n"
        '  <Image name="image" value="$image"/>\n'
        '  <Choices name="cluster" toName="image" choice="single" showInline="true">\n'
        f"{choices}\n"
        "  </Choices>\n"
        "</View>\n"
    )
