"""Hugging Face's imagefolder: the images, numbered, with a metadata.parquet beside them.

Parquet, since `datasets` reads metadata.csv by pandas, to which the class NA is a missing value and 007 the number 7.
"""

from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as parquet

from ruc.export.folders import How, place
from ruc.export.items import Items, json_ready
from ruc.run_folder import new_folder

# `datasets` takes files by these suffixes, whatever is in them, and leaves others out without a word.
SUFFIXES: Final = frozenset((".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


def export_imagefolder(items: Items, target: Path, how: How = "copy") -> Path:
    """Write `images/` and `metadata.parquet`, which `datasets.load_dataset("imagefolder", data_dir=target)` reads.

    `how`: see `export_folders`.
    """
    files = items.stored()
    # Numbers, since `datasets` makes splits of names such as val/ and test_1.png, and loses their rows.
    numbered = [f"images/{row:06}{_suffix(name)}" for row, name in enumerate(items.file_names)]
    with new_folder(target) as new:
        for path, name in zip(files, numbered, strict=True):
            place(path, new / name, how)
        rows: dict[str, Any] = {
            "file_name": numbered,
            "original_name": list(items.file_names),
            "label": items.row_labels,
            "cluster": items.cluster,
            "confidence": [json_ready(value) for value in items.confidence],
            "initial_cluster": items.initial_cluster,
            "is_clean": items.is_clean,
        }
        rows |= {name: column for name, column in items.marks.items() if name not in rows}
        parquet.write_table(pa.table(rows), new / "metadata.parquet")
    return target


def _suffix(file_name: str) -> str:
    suffix = PurePosixPath(file_name).suffix.lower()
    return suffix if suffix in SUFFIXES else ".png"  # a decoder looks at the content
