"""A folder for each cluster, with its images as copies, symbolic links or hard links."""

import errno
import os
import re
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from ruc.errors import InputError, UnreadableImageError
from ruc.export.items import Items, told_apart
from ruc.images.damage import DAMAGED, reason_of
from ruc.images.packed import ParquetRow, Stored, TarMember
from ruc.run_folder import new_folder

How = Literal["copy", "symlink", "hardlink"]

FORBIDDEN: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
RESERVED: Final = re.compile(
    r"^(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³]) *(\..*)?$", re.IGNORECASE
)
LONGEST: Final = 100  # bytes: file systems count these


def export_folders(items: Items, target: Path, how: How = "copy") -> Path:
    """Put the images into `target/<label>/<file name>`; the originals stay where they are.

    Subfolders of the source are kept inside each cluster's folder, so that no two files meet. `how`: "copy" (with the
    file's times), "symlink" (absolute), or "hardlink" (same disk only).
    """
    files = items.stored()
    folders = folder_names(items.labels)
    with new_folder(target) as new:
        for path, name, cluster in zip(files, items.file_names, items.cluster.tolist(), strict=True):
            place(path, new / folders[cluster] / name, how)
    return target


def folder_names(labels: Mapping[int, str]) -> dict[int, str]:
    """A name for each cluster's folder that every common file system takes."""
    return told_apart({cluster: _safe(label) or f"cluster {cluster}" for cluster, label in labels.items()})


def _safe(label: str) -> str:
    name = FORBIDDEN.sub("_", unicodedata.normalize("NFC", label)).strip(
        " ."
    )  # macOS has é as one name, however made
    name = name.encode(errors="ignore")[:LONGEST].decode(errors="ignore").strip(" .")
    return f"_{name}" if RESERVED.match(name) else name


def place(path: Stored, target: Path, how: How) -> None:
    """Copy or link one image.

    Raises
    ------
    InputError
        The disk cannot make such a link, or the file cannot be read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(path, Path):
        _unpack(path, target, how)
        return
    try:
        if how == "copy":
            shutil.copy2(path, target)
        elif how == "symlink":
            target.symlink_to(path)
        else:
            os.link(path.resolve(), target)
    except OSError as error:
        if how != "copy" and error.errno in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
            raise InputError(
                f"{path} cannot be linked as {how} ({error.strerror}); expected a disk that can: --how copy"
            ) from error
        # A copy that fails on a full disk names the image too.
        if error.errno in (errno.ENOENT, errno.EACCES) and error.filename in (str(path), str(path.resolve())):
            raise InputError(
                f"image {path} cannot be read ({error.strerror}); expected those that the run was made from"
            ) from error
        raise


def _unpack(image: TarMember | ParquetRow, target: Path, how: How) -> None:
    if how != "copy":
        raise InputError(
            f"{image.path} is an archive, whose images cannot be linked as {how}; expected --how copy"
        )
    try:
        with image.open() as file:
            content = file.read()
    except (UnreadableImageError, *DAMAGED) as error:
        raise InputError(
            f"images of {image.path} cannot be read ({reason_of(error)}); expected those that the run was made from"
        ) from error
    target.write_bytes(content)
