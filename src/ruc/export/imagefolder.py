"""Hugging Face's imagefolder: the images with a metadata.csv beside them."""

import csv
from pathlib import Path

from ruc.export.folders import How, place
from ruc.export.items import Items, check_new, json_ready
from ruc.run_folder import replacing

__all__ = ["export_imagefolder"]

COLUMNS = ("file_name", "label", "cluster", "confidence", "initial_cluster", "is_clean")


def export_imagefolder(items: Items, target: Path, how: How = "copy") -> Path:
    """Write a folder that `datasets.load_dataset("imagefolder", data_dir=target)` reads.

    Parameters
    ----------
    items
        With files.
    target
        A new or empty folder: gets the images and `metadata.csv`.
    how
        Copies or links, as in `export_folders`.

    Returns
    -------
    target

    Raises
    ------
    InputError
        There are no files, or `target` holds something.
    """
    check_new(target, is_folder=True)
    files = items.files()
    with replacing(target) as new:
        for path, name in zip(files, items.file_names, strict=True):
            place(path, new / name, how)
        with (new / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(
                zip(
                    items.file_names,
                    items.row_labels,
                    items.cluster.tolist(),
                    (json_ready(value) for value in items.confidence),
                    items.initial_cluster.tolist(),
                    items.is_clean.tolist(),
                    strict=True,
                )
            )
    return target
