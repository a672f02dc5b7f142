"""What a file is by its first bytes, whatever its name says."""

import zipfile
from pathlib import Path
from typing import Final

from ruc.plain_file import check_plain

SIGNATURES: Final = (
    (b"\x93NUMPY", "npy"),
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Feather"),
    (b"\x1f\x8b", "gzip"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"MATLAB 7.3", "MATLAB 7.3 (HDF5)"),
    (b"MATLAB 5.0", "MATLAB"),
    (b"\xd0\xcf\x11\xe0", "Excel 97 workbook"),
    (b"SQLite format 3", "SQLite database"),
    (b"\x80\x02", "pickle"),
    (b"\x80\x03", "pickle"),
    (b"\x80\x04", "pickle"),
    (b"\x80\x05", "pickle"),
)
LARGEST_HEADER: Final = 100_000_000  # bytes of a safetensors header, by its specification


def kind_of(path: Path) -> str | None:
    """The format: npy, npz, Parquet, safetensors, MATLAB, pickle, …; None where the bytes say nothing, as of text.

    Raises `OSError` where it is no plain file, or can't be read.
    """
    check_plain(path)
    with path.open("rb") as file:
        start = file.read(16)
    for signature, kind in SIGNATURES:
        if start.startswith(signature):
            return kind
    if start.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    if len(start) > 8 and start[8:9] == b"{" and 0 < int.from_bytes(start[:8], "little") < LARGEST_HEADER:
        return "safetensors"
    return None


def _kind_of_zip(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "damaged zip archive"
    if any(name.startswith("xl/") for name in names):
        return "Excel workbook"
    if any(name.endswith("data.pkl") for name in names):
        return "PyTorch pickle"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    return "zip archive"
