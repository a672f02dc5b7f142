"""Which files are images: by the endings of their names, by their first bytes, and what those say of the values."""

import struct
from pathlib import PurePath
from typing import Final

SUFFIXES: Final = frozenset(
    """.jpg .jpeg .jpe .jfif .mpo .png .apng .gif .bmp .dib .webp .tif .tiff .btf .tf8 .avif .jp2 .j2k .j2c .jpc .jpx
    .jpf .ppm .pgm .pbm .pnm .pfm .ico .heic .heif .hif .jxl .dcm .dicom""".split()  # noqa: SIM905 - a list of words is easier to read
)
"""A file whose name ends so is taken for an image; if it is none, that is reported."""

RAW_SUFFIXES: Final = frozenset(
    ".3fr .arw .cr2 .cr3 .dng .erf .iiq .kdc .mos .mrw .nef .nrw .orf .pef .raf .rw2 .sr2 .srf .srw".split()  # noqa: SIM905
)
"""What cameras write undeveloped: TIFF by its first bytes, whose first page is a stamp-sized preview."""

COMPRESSIONS: Final = frozenset((".gz", ".bz2", ".xz", ".zst", ".lz4"))
"""What the name of a compressed file ends in, after the ending of what is in it."""

HEADER_BYTES: Final = 132  # DICOM's mark comes after 128 bytes
HEAD: Final = 4096  # bytes that hold what the formats without a table of contents say of their values

JXL: Final = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
HEIF_BRANDS: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
JPEG2000: Final = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

NOT_READ: Final = (
    (b"v/1\x01", "OpenEXR"), (b"#?RADIANCE", "Radiance HDR"), (b"#?RGBE", "Radiance HDR"), (b"SIMPLE  =", "FITS"),
    (b"8BPS", "Photoshop"), (b"\xff\xd8\xff\xf7", "JPEG-LS"), (b"\xff\xd8\xff\xe8", "JPEG-LS or SPIFF"),
    (b"II\xbc", "JPEG XR"), (b"P7\n", "PAM"), (b"PF\n", "PFM in colours"), (b"DDS ", "DDS"), (b"gimp xcf", "GIMP"),
    (b"%PDF", "PDF"), (b"%!PS", "PostScript"), (b"<svg", "SVG"), (b"<?xml", "XML"), (b"\x89HDF", "HDF5"),
    (b"CDF", "netCDF"), (b"\x93NUMPY", ".npy"), (b"PK\x03\x04", "zip"), (b"\x1f\x8b", "gzip"),
)  # fmt: skip
"""First bytes of what else lies in folders of images, or is called like one."""


def kind_by_name(path: PurePath) -> str:
    """The ending of a name, in lower case; of what is compressed both: `.tar.gz`."""
    suffix = path.suffix.lower()
    return PurePath(path.stem).suffix.lower() + suffix if suffix in COMPRESSIONS else suffix


def has_image_signature(header: bytes) -> bool:
    """Whether the first `HEADER_BYTES` bytes of a file are those of an image in one of the formats that are read.

    Netpbm and bare JPEG XL streams are left to their suffixes: two bytes say too little.
    """
    return (
        header.startswith(
            (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", JXL[1], *JPEG2000, *TIFF)
        )
        or (header[:4] == b"RIFF" and header[8:12] == b"WEBP")
        or (header[:2] == b"BM" and header[6:10] == b"\0\0\0\0")
        or header[4:12] in (b"ftypavif", b"ftypavis")
        or is_heif(header)
        or is_dicom(header)
    )


def is_jpeg(header: bytes) -> bool:
    """Whether these are the first bytes of a JPEG."""
    return header.startswith(b"\xff\xd8\xff")


def is_tiff(header: bytes) -> bool:
    """Whether these are the first bytes of a TIFF or a BigTIFF."""
    return header.startswith(TIFF)


def is_dicom(header: bytes) -> bool:
    """Whether these are the first bytes of a DICOM file, or of one whose preamble was left out."""
    is_bare = header[:2] in (b"\x02\0", b"\x08\0") and header[4:6] in (b"UL", b"OB", b"CS", b"UI")
    return header[128:132] == b"DICM" or is_bare


def is_jpeg2000(header: bytes) -> bool:
    """Whether these are the first bytes of JPEG 2000, in a JP2 file or bare."""
    return header.startswith(JPEG2000)


def is_jxl(header: bytes) -> bool:
    """Whether these are the first bytes of JPEG XL."""
    return header.startswith(JXL)


def is_heif(header: bytes) -> bool:
    """Whether these are the first bytes of HEIC or HEIF."""
    return header[4:8] == b"ftyp" and header[8:12] in HEIF_BRANDS


def png_depth(header: bytes) -> int:
    """Bits a channel of a PNG, by its first bytes; 0 where it is none."""
    return header[24] if header.startswith(b"\x89PNG\r\n\x1a\n") and len(header) > 25 else 0


def png_size(header: bytes) -> tuple[int, int] | None:
    """(width, height) of a PNG, by its first bytes."""
    if not header.startswith(b"\x89PNG") or header[12:16] != b"IHDR" or len(header) < 24:
        return None
    width, height = struct.unpack(">II", header[16:24])
    return width, height


def jpeg_precision(content: bytes) -> int:
    """Bits a channel that the frame header of a JPEG states; 0 where there is none."""
    at = 2
    while at + 5 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return content[at + 4]
        at += 1 if marker == 0xFF else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return 0


def jpeg2000_depths(content: bytes) -> tuple[int, ...]:
    """Bits of each channel that the SIZ marker of JPEG 2000 states; none where it isn't among these bytes."""
    at = content.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(content) < at + 42:
        return ()
    count = int.from_bytes(content[at + 40 : at + 42], "big")
    return tuple((depth & 0x7F) + 1 for depth in content[at + 42 : at + 42 + 3 * count : 3])


def jpeg2000_alpha(content: bytes) -> int | None:
    """Which channel the channel definition (cdef) of a JP2 file calls opacity; a bare stream says nothing of it."""
    at = content.find(b"cdef")
    if at < 0 or at > content.find(b"\xff\x4f\xff\x51"):
        return None
    count = int.from_bytes(content[at + 4 : at + 6], "big")
    entries = struct.iter_unpack(">HHH", content[at + 6 : at + 6 + 6 * count])
    return next((channel for channel, kind, _ in entries if kind in (1, 2)), None)


def known_format(header: bytes) -> str | None:
    """What a file is that is an image, and in no format that is read."""
    return next((name for start, name in NOT_READ if header.startswith(start)), None)


def may_move(head: bytes) -> bool:
    """Whether a file that starts so may hold several frames: a GIF, or an APNG, WebP or AVIF that says so."""
    return (
        head.startswith((b"GIF87a", b"GIF89a"))
        or (head.startswith(b"\x89PNG") and b"acTL" in head)
        or (head[8:16] == b"WEBPVP8X" and bool(head[20] & 2))
        or head[4:12] == b"ftypavis"
    )
