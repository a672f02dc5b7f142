"""What the header of a TIFF says of its values and pages: enough to tell who can read it, and why nobody can."""

import math
import struct
from dataclasses import dataclass, replace
from typing import IO, Any, Final

from ruc.images.damage import DAMAGED
from ruc.images.values import WHITE_IS_ZERO

UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # SampleFormat
ZERO_IS_WHITE, ZERO_IS_BLACK, RGB, PALETTE, INKS, YCBCR = 0, 1, 2, 3, 5, 6  # PhotometricInterpretation
SEPARATE_PLANES: Final = 2
ASSOCIATED: Final = 1  # ExtraSamples: colours are multiplied by alpha already
ALPHA: Final = (ASSOCIATED, 2)
MOST_BITS: Final = 64  # of a value
MOST_PAGES: Final = 100_000  # a chain of pages may lead round in circles

COMPRESSIONS: Final = {
    1: "", 2: "CCITT", 3: "CCITT", 4: "CCITT", 5: "LZW", 6: "old JPEG", 7: "JPEG", 8: "Deflate", 32773: "PackBits",
    32809: "ThunderScan", 32946: "Deflate", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000",
    34712: "JPEG 2000", 34887: "LERC", 34892: "JPEG", 34925: "LZMA", 34934: "JPEG XR", 50000: "Zstandard",
    50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL",
}  # fmt: skip
PILLOW_DECOMPRESSES: Final = (*range(1, 9), 32773, 32809, 32946, 34925, 50000)  # WebP: not its wheels'

# Of one band: what its numbers are, of how many bits, and which of their ends is white.
PILLOW_KNOWS: Final = {
    (UNSIGNED, 12, ZERO_IS_BLACK), (UNSIGNED, 16, ZERO_IS_BLACK), (UNSIGNED, 16, ZERO_IS_WHITE),
    (UNSIGNED, 32, ZERO_IS_BLACK), (SIGNED, 8, ZERO_IS_BLACK), (SIGNED, 16, ZERO_IS_BLACK),
    (SIGNED, 32, ZERO_IS_BLACK), (FLOAT, 32, ZERO_IS_BLACK), (FLOAT, 32, ZERO_IS_WHITE),
}  # fmt: skip

# Numbers of several bytes in compressed big-endian files: libtiff has put them into the machine's order, and Pillow
# (13.0) turns them once more.
PILLOW_TURNS: Final = {(SIGNED, 16), (SIGNED, 32), (UNSIGNED, 32), (FLOAT, 32)}
TYPES: Final = {1: "B", 2: "s", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 16: "Q"}  # as `struct` calls them
WANTED: Final = (256, 257, 258, 259, 262, 274, 277, 281, 284, 320, 338, 339, 530, 42113)
MOST_VALUES: Final = 1 << 16  # of a tag: a damaged count would ask for gigabytes


@dataclass(frozen=True)
class TiffHeader:
    """The first page of a TIFF, and which others are of its size.

    Attributes
    ----------
    size
        (width, height) as stored.
    n_bands
        SamplesPerPixel.
    bits
        BitsPerSample of the first band, or what MaxSampleValue leaves of them.
    stored_bits
        BitsPerSample of each band.
    sample_format
        1 unsigned, 2 signed, 3 float.
    extra_samples
        What each band beyond the colours is: 0 unknown, 1 and 2 alpha.
    nodata
        GDAL's value for pixels without one.
    pages
        Places of the pages that are slices like the first, which is one of them.
    big_endian, is_big
        How its numbers are stored, and whether it is a BigTIFF.
    has_small_colours
        Whether the colours of its palette are of 8 bits, where the standard has 16: some programs write it so.
    is_subsampled
        Whether YCbCr has fewer values of colour than of light.
    """

    size: tuple[int, int]
    n_bands: int
    bits: int
    stored_bits: tuple[int, ...]
    sample_format: int
    photometric: int
    planar: int
    compression: int
    extra_samples: tuple[int, ...]
    orientation: int
    nodata: float | None
    pages: tuple[int, ...]
    big_endian: bool = False
    is_big: bool = False
    has_small_colours: bool = False
    is_subsampled: bool = False

    @property
    def white_is_zero(self) -> bool:
        """Whether small values are bright."""
        return self.photometric == ZERO_IS_WHITE

    @property
    def n_left_out(self) -> int:
        """How many bands are neither colours nor alpha."""
        n_colours = 4 if self.photometric == INKS else 1 if self.n_bands < 3 else 3
        return max(self.n_bands - n_colours - self.has_alpha, 0)

    @property
    def has_alpha(self) -> bool:
        """Whether the last band but the unknown ones is stated to be alpha."""
        return any(kind in ALPHA for kind in self.extra_samples)

    @property
    def alpha_band(self) -> int | None:
        """Which band is stated to be alpha."""
        n_colours = self.n_bands - len(self.extra_samples)
        return next(
            (n_colours + place for place, kind in enumerate(self.extra_samples) if kind in ALPHA), None
        )

    @property
    def is_associated(self) -> bool:
        """Whether the colours are multiplied by alpha already."""
        return ASSOCIATED in self.extra_samples

    @property
    def kind(self) -> str:
        """What the values are, see `Values.kind`."""
        name = {SIGNED: f"int{self.bits}", FLOAT: "float"}.get(self.sample_format, f"uint{self.bits}")
        return name + (WHITE_IS_ZERO if self.white_is_zero else "")

    @property
    def is_deep(self) -> bool:
        """Whether the values are anything but unsigned numbers of up to 8 bits."""
        return self.sample_format != UNSIGNED or max(self.stored_bits) > 8

    @property
    def pillow_reads(self) -> bool:
        """Whether Pillow reads all of its values, and rightly; other files are for tifffile."""
        if self.compression not in PILLOW_DECOMPRESSES or (self.big_endian and self.is_big):
            return False
        if self.has_small_colours or (self.is_subsampled and self.compression == 1):
            return False
        if not self.is_deep:
            return len(set(self.stored_bits)) == 1 and self._bands_are_known
        numbers = (self.sample_format, self.stored_bits[0])
        if self.big_endian and self.compression != 1 and numbers in PILLOW_TURNS:
            return False
        return self.n_bands == 1 and (*numbers, self.photometric) in PILLOW_KNOWS

    @property
    def _bands_are_known(self) -> bool:
        colours = {ZERO_IS_WHITE: 1, ZERO_IS_BLACK: 1, PALETTE: 1, RGB: 3, INKS: 4, YCBCR: 3, 8: 3}.get(
            self.photometric
        )
        if self.planar == SEPARATE_PLANES and self.is_associated:
            return False
        if self.photometric == RGB and self.n_bands == 4 and self.planar == SEPARATE_PLANES:
            return self.has_alpha
        return colours is not None and self.n_bands <= colours + (
            1 if self.photometric in (ZERO_IS_BLACK, RGB) else 0
        )

    def __str__(self) -> str:
        sign = {UNSIGNED: "unsigned", SIGNED: "signed", FLOAT: "float"}.get(self.sample_format, "complex")
        bands = "" if self.n_bands == 1 else f" in {self.n_bands} bands"
        halved = ", colours at a lower resolution" if self.is_subsampled else ""
        planes = " in separate planes" if self.planar == SEPARATE_PLANES and self.n_bands > 1 else ""
        packed = COMPRESSIONS.get(self.compression, f"compression {self.compression}")
        return f"TIFF of {self.stored_bits[0]}-bit {sign} values{bands}{planes}{halved}" + (
            f", {packed}" if packed else ""
        )


def read_tiff_header(file: IO[bytes]) -> TiffHeader:
    """Read the header of an open TIFF or BigTIFF; raises `EOFError`, or what damaged numbers raise."""
    file.seek(0)
    start = file.read(16)
    order = ">" if start.startswith(b"MM") else "<"
    is_big = 43 in (start[2], start[3])
    (offset,) = struct.unpack(order + "Q", start[8:16]) if is_big else struct.unpack(order + "L", start[4:8])
    tags, offset = _page_at(file, offset, order, is_big)
    first = replace(_header_of(tags), big_endian=order == ">", is_big=is_big)
    pages, offsets = [0], {0}
    while offset and offset not in offsets and len(offsets) < MOST_PAGES:
        offsets.add(offset)
        try:
            tags, offset = _page_at(file, offset, order, is_big)
            header = _header_of(tags)
        except DAMAGED:  # the first page may be sound all the same
            break
        if _is_alike(header, first):
            pages.append(len(offsets) - 1)
    return replace(first, pages=tuple(pages))


def _page_at(file: IO[bytes], offset: int, order: str, is_big: bool) -> tuple[dict[int, Any], int]:
    """The tags of one page that matter here, each a tuple of numbers or bytes, and where the next page is."""
    count_type, entry_type, offset_type = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHL4s", "L")
    file.seek(offset)
    (count,) = struct.unpack(order + count_type, _exactly(file, struct.calcsize(order + count_type)))
    entry = struct.Struct(order + entry_type)
    listed = _exactly(file, count * entry.size)
    (following,) = struct.unpack(order + offset_type, _exactly(file, struct.calcsize(order + offset_type)))
    tags: dict[int, Any] = {}
    for tag, kind, n_values, inside in entry.iter_unpack(listed):
        letter = TYPES.get(kind)
        if tag not in WANTED or letter is None or n_values > MOST_VALUES:
            continue
        size = n_values * struct.calcsize("<" + letter)
        if size > len(inside):
            file.seek(struct.unpack(order + offset_type, inside)[0])
            inside = _exactly(file, size)
        tags[tag] = (
            inside[:size] if letter == "s" else struct.unpack(f"{order}{n_values}{letter}", inside[:size])
        )
    return tags, following


def _exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise EOFError("truncated")
    return content


def _is_alike(page: TiffHeader, first: TiffHeader) -> bool:
    """Whether a page is another slice of a stack, not a thumbnail, a mask or a smaller copy of it."""
    kind = (first.size, first.stored_bits, first.sample_format)
    return (page.size, page.stored_bits, page.sample_format) == kind


def _header_of(tags: dict[int, Any]) -> TiffHeader:
    def number(tag: int, default: int) -> int:
        return int(tags[tag][0]) if tags.get(tag) else default

    n_bands = number(277, 1)
    if n_bands < 1:
        raise ValueError("it has no bands")
    stored = tuple(tags.get(258, (1,)))
    bits = max(stored)
    if bits > MOST_BITS:
        raise ValueError(f"its values have {bits} bits")
    sample_format, photometric = number(339, UNSIGNED), number(262, ZERO_IS_BLACK)
    if 281 in tags and sample_format == UNSIGNED:  # MaxSampleValue
        largest = max(tags[281])
        if 255 < largest < 2**bits - 1:
            bits = math.ceil(math.log2(largest + 1))
    return TiffHeader(
        size=(int(tags[256][0]), int(tags[257][0])),
        n_bands=n_bands,
        bits=bits,
        stored_bits=stored if len(stored) == n_bands else stored[:1] * n_bands,
        sample_format=UNSIGNED
        if sample_format == 4
        else sample_format,  # 4: undefined, which readers take so
        photometric=photometric,
        planar=number(284, 1),
        compression=number(259, 1),
        extra_samples=tuple(tags.get(338, ())),
        orientation=number(274, 1),
        nodata=_nodata(tags.get(42113)),
        pages=(0,),
        has_small_colours=photometric == PALETTE and max(tags.get(320, ()), default=256) < 256,
        is_subsampled=photometric == YCBCR and tuple(tags.get(530, (2, 2))) != (1, 1),
    )


def _nodata(text: bytes | None) -> float | None:
    try:
        return None if text is None else float(text.strip(b"\0 "))
    except ValueError:
        return None
