"""Which images are in tar archives, as webdataset has them, and in Parquet tables, as Hugging Face has them."""

import os
import posixpath
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ruc.errors import InputError
from ruc.images.damage import DAMAGED, reason_of
from ruc.images.formats import HEADER_BYTES, RAW_SUFFIXES, SUFFIXES, has_image_signature, kind_by_name
from ruc.images.packed import ParquetRow, RowReader, TarMember
from ruc.tables.names import heading_of_names

if TYPE_CHECKING:
    import pyarrow as pa

TAR: Final = ".tar"
PARQUET: Final = (".parquet", ".pq")
SUFFIXES_OF_PACKED: Final = (TAR, *PARQUET)
COMPRESSED: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")  # by gzip, bzip2, xz, zstd
LOOKED_AT: Final = 16  # rows, to see whether bytes are images


@dataclass(frozen=True)
class Packed:
    """The images in one file, in its order.

    Attributes
    ----------
    names
        What they are called in it, no two the same.
    items
        Where they are.
    left_out
        How many other members it has, by the ending of their names.
    has_given_names
        Whether a column of names says what they are called wherever they are.
    fault
        Why there may be more that can't be read, if so.
    """

    names: tuple[str, ...] = ()
    items: tuple[TarMember | ParquetRow, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    has_given_names: bool = False
    fault: str = ""


def packed_images(path: Path, reader: RowReader) -> Packed:
    """The images in a tar archive or a Parquet table; none where it holds none.

    Raises
    ------
    InputError
        A Parquet file has several columns of images, or names that are missing.
    """
    try:
        if path.suffix.lower() == TAR:
            return _tar_images(path)
        column = image_column(path)
        return Packed() if column is None else _parquet_images(path, column, reader)
    except InputError:
        raise
    except DAMAGED as error:
        return Packed(fault=reason_of(error))


def _tar_images(path: Path) -> Packed:
    """The images among the members, by the same rules as in a folder.

    Only plain members are read, from where they are in the archive. One that is a link or a device, or whose name
    leads out of the archive, is one that can't be read; an archive that ends early has a fault as a whole. Of members
    of one name the last counts, as it does for `tar -x`.
    """
    found: dict[str, TarMember] = {}
    left_out: Counter[str] = Counter()
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(0)
        fault = "a compressed archive: decompress it" if file.read(6).startswith(COMPRESSED) else ""
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    name = _plain_name(member.name)
                    kind = _left_out_as(member, name, file)
                    if kind is not None:
                        left_out[kind] += 1
                        continue
                    left_out["replaced by later members"] += name in found
                    found.pop(name, None)
                    found[name] = TarMember(path, member.offset_data, member.size, _fault(member, name, end))
                file.seek(archive.offset)
                if any(file.read(tarfile.BLOCKSIZE)):  # where `tarfile` stops without a word
                    fault = f"damaged: what follows its byte {archive.offset} can't be read"
        except tarfile.TarError as error:
            fault = fault or ("truncated" if "unexpected end" in str(error) else f"damaged: {error}")
    return Packed(tuple(found), tuple(found.values()), +left_out, fault=fault)


def _plain_name(name: str) -> str:
    """Without what `tar -x` leaves away: a leading slash, and dots that say nothing."""
    return PurePosixPath(name).as_posix().lstrip("/")


def _left_out_as(member: tarfile.TarInfo, name: str, file: Any) -> str | None:
    """What a member that is no image is counted as; None of an image, which may prove to be unreadable."""
    if member.isdir():
        return "folders"
    path = PurePosixPath(name)
    if any(part.startswith(".") and part != ".." for part in path.parts):
        return "hidden"
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return None
    if member.isreg() and suffix not in RAW_SUFFIXES:
        file.seek(member.offset_data)
        header = file.read(min(HEADER_BYTES, member.size))
        if has_image_signature(header):
            return None
    return kind_by_name(path) or "without a suffix"


def _fault(member: tarfile.TarInfo, name: str, end: int) -> str:
    """Why a member can't be read, "" where it can."""
    if ".." in PurePosixPath(name).parts:
        leaves = posixpath.normpath(name).startswith("..")
        return (
            "its name leads out of the archive"
            if leaves
            else "its name has .. in it, which tar takes for an attack"
        )
    if member.issym() or member.islnk():
        return "a link within an archive"
    if not member.isreg() or member.issparse():
        return "not a plain member of its archive"
    return "truncated" if member.offset_data + member.size > end else ""


def image_column(path: Path) -> str | None:
    """The column of a Parquet file that holds images as bytes, None where there is none.

    Bytes stand in a column of their own, or in the field `bytes` of a struct, as the library `datasets` writes them.

    Raises
    ------
    InputError
        There are several.
    OSError, ValueError
        It's damaged, or can't be read.
    """
    from pyarrow import parquet

    table = parquet.ParquetFile(path, memory_map=True, pre_buffer=False)
    columns = [name for name in _of_bytes(table.schema_arrow) if _holds_images(table, name)]
    if len(columns) > 1:
        raise InputError(f"{path}: images in the columns {', '.join(columns)}; expected one column of images")
    return columns[0] if columns else None


def first_texts(path: Path) -> dict[str, list[str]]:
    """The first cells of a Parquet file's columns of text; raises as `image_column` does."""
    from pyarrow import parquet

    table = parquet.ParquetFile(path)
    columns = [field.name for field in table.schema_arrow if _is_text(field.type)]
    first = next(table.iter_batches(LOOKED_AT, columns=columns), None) if columns else None
    return (
        {}
        if first is None
        else {name: [cell or "" for cell in first.column(name).to_pylist()] for name in columns}
    )


def _parquet_images(path: Path, column: str, reader: RowReader) -> Packed:
    """The images in a column of bytes, one in each row.

    They are called what a column of names says (`file_name`, …), else by the field `path` of a struct if no two are
    called the same, else by the number of the row. So is a single one whose path is empty or leads elsewhere.

    Raises
    ------
    InputError
        A column of names has none in a row, or one twice.
    """
    from pyarrow import parquet

    table = parquet.ParquetFile(path)
    text = [field.name for field in table.schema_arrow if _is_text(field.type)]
    heading = heading_of_names(text)
    names = _given_names(table, column, heading) or [str(row) for row in range(table.metadata.num_rows)]
    if (
        heading is not None
        and (wrong := next((row for row, name in enumerate(names) if not name), None)) is not None
    ):
        raise InputError(f"{path}, row {wrong}: has no {heading}; expected one in every row")
    sizes = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
    items = (
        ParquetRow(path, column, group, row, reader)
        for group, size in enumerate(sizes)
        for row in range(size)
    )
    return Packed(tuple(names), tuple(items), has_given_names=heading is not None)


def _given_names(table: Any, column: str, heading: str | None) -> list[str] | None:
    if heading is not None:
        return [str(name or "").strip() for name in table.read([heading]).column(0).to_pylist()]
    if column in table.schema_arrow.names:  # bytes of their own, whatever dots their heading has
        return None
    outer = column.rpartition(".")[0]
    if table.schema_arrow.field(outer).type.get_field_index("path") < 0:
        return None
    paths = [_plain_name(path or "") for path in _flat(table.read([f"{outer}.path"]).column(0))]
    unusable = [path in ("", ".") or ".." in PurePosixPath(path).parts for path in paths]
    names = [
        str(row) if is_unusable else path
        for row, (path, is_unusable) in enumerate(zip(paths, unusable, strict=True))
    ]
    return None if all(unusable) or len(set(names)) < len(names) else names


def _flat(column: Any) -> list[Any]:
    """The values of a struct's one field."""
    return [None if value is None else next(iter(value.values())) for value in column.to_pylist()]


def _of_bytes(schema: "pa.Schema") -> list[str]:
    """Columns of bytes, and structs' fields of this name."""
    import pyarrow as pa

    names = []
    for each in schema:
        if _is_bytes(each.type):
            names.append(each.name)
        elif pa.types.is_struct(each.type) and any(
            part.name == "bytes" and _is_bytes(part.type) for part in each.type
        ):
            names.append(f"{each.name}.bytes")
    return names


def _is_bytes(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _holds_images(table: Any, column: str) -> bool:
    """Whether most of the first cells that hold something begin as images do."""
    first = next(table.iter_batches(LOOKED_AT, columns=[column]), None)
    cells: Sequence[Any] = [] if first is None else first.column(0).to_pylist()
    contents = [next(iter(cell.values())) if isinstance(cell, dict) else cell for cell in cells]
    there = [content for content in contents if content]
    return (
        bool(there) and sum(has_image_signature(content[:HEADER_BYTES]) for content in there) > len(there) / 2
    )
