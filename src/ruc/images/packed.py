"""An image that is part of another file: a member of a tar archive, or a row of a Parquet table."""

import io
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from ruc.errors import UnreadableImageError

BATCH_ROWS: Final = 16  # of a table that are read at once
ROWS_KEPT: Final = 128  # which is more than threads that decode

Opened = io.BufferedReader | io.BytesIO


@dataclass(frozen=True, slots=True)
class TarMember:
    """Bytes of an uncompressed tar archive that are an image.

    Attributes
    ----------
    path
        The archive.
    start, size
        Where in it the image is, in bytes.
    fault
        Why it can't be read, if that is known.
    """

    path: Path
    start: int = 0
    size: int = 0
    fault: str = ""

    def open(self) -> Opened:
        """The image as a file; raises `UnreadableImageError`, or `OSError` as files do."""
        if self.fault:
            raise UnreadableImageError(self.fault)
        return io.BufferedReader(_Part(self.path, self.start, self.size))


class RowReader:
    """Reads images of Parquet tables in whichever order threads ask, quickly where it's about that of the rows.

    Some rows are in memory, however large a row group is: to go back takes the way from its beginning.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[Path, int, int], bytes | None] = OrderedDict()
        self._at: tuple[Path, str, int] | None = (
            None  # the column and the row group that are being gone through
        )
        self._next = 0  # row of it
        self._batches: Iterator[Any] = iter(())

    def __reduce__(self) -> tuple[type["RowReader"], tuple[()]]:
        return RowReader, ()  # elsewhere files are opened anew

    def read(self, path: Path, column: str, group: int, row: int) -> bytes | None:
        """The bytes in a row of a row group, None where there are none."""
        with self._lock:
            while (path, group, row) not in self._kept:
                self._read_on(path, column, group, row)
            return self._kept[path, group, row]

    def _read_on(self, path: Path, column: str, group: int, wanted: int) -> None:
        if self._at != (path, column, group) or self._next > wanted:
            from pyarrow import parquet

            table = parquet.ParquetFile(path, memory_map=True, pre_buffer=False)
            self._batches = table.iter_batches(BATCH_ROWS, row_groups=[group], columns=[column])
            self._at, self._next = (path, column, group), 0
        try:
            batch = next(self._batches, None)
        except (OSError, ValueError):  # Arrow's
            self._at = None
            raise
        if batch is None:
            raise EOFError(f"{path} has fewer rows than it had")
        values = batch.column(0)
        if (
            "." in column and values.type.num_fields
        ):  # a struct, of which this is the only field that was asked for
            values = values.flatten()[0]
        for content in values.to_pylist():
            self._kept[path, group, self._next] = content
            self._next += 1
        while len(self._kept) > ROWS_KEPT:
            self._kept.popitem(last=False)


@dataclass(frozen=True, slots=True)
class ParquetRow:
    """A cell of a Parquet table that is an image.

    Attributes
    ----------
    path
        The table.
    column
        Of the bytes, with a dot where it's a field of a struct: `image.bytes`.
    group, row
        Which row group, and which row of it.
    reader
        What all rows of a source are read by.
    """

    path: Path
    column: str
    group: int
    row: int
    reader: RowReader = field(compare=False, repr=False)

    def open(self) -> Opened:
        """The image as a file; raises `UnreadableImageError`, or what a damaged table does."""
        content = self.reader.read(self.path, self.column, self.group, self.row)
        if content is None:
            raise UnreadableImageError("no image in this row")
        return io.BytesIO(content)


Stored = Path | TarMember | ParquetRow
"""Where the bytes of an image are."""


def file_of(image: Stored) -> Path:
    """The file that an image is, or is in."""
    return image if isinstance(image, Path) else image.path


def open_stored(image: Stored) -> Opened:
    """The bytes of an image as a file; raises `OSError`, or of an archive what is among `ruc.images.damage.DAMAGED`."""
    return image.open("rb") if isinstance(image, Path) else image.open()


class _Part(io.RawIOBase):
    """Some bytes of a file, as a file of its own."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._start, self._size, self._at = start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        position = offset + (0, self._at, self._size)[whence]
        if position < 0:
            raise OSError(f"position {position} is before the file")
        self._at = position
        return position

    def readinto(self, buffer: Any) -> int:
        n_wanted = min(len(buffer), max(0, self._size - self._at))
        self._file.seek(self._start + self._at)
        n_read = self._file.readinto(memoryview(buffer)[:n_wanted])
        self._at += n_read
        return n_read

    def close(self) -> None:
        self._file.close()
        super().close()
