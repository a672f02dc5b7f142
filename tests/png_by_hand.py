"""A PNG made by hand, of any depth, colour type and interlacing."""

import struct
import zlib

import numpy as np

ALL_AT_ONCE = ((0, 0, 1, 1),)
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    numbers: np.ndarray, depth: int, colour_type: int, more: bytes = b"", interlaced: bool = False
) -> bytes:
    """A PNG of (height, width, n_channels) numbers, by hand; `more`: the chunks before them."""
    height, width = numbers.shape[:2]
    passes = [
        numbers[top::down, left::right] for left, top, right, down in (ADAM7 if interlaced else ALL_AT_ONCE)
    ]
    rows = [row.ravel() for part in passes if part.size for row in part]
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    content = b"".join(b"\0" + packed(row, depth) for row in rows)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more
    return start + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b"")


def packed(row: np.ndarray, depth: int) -> bytes:
    if depth >= 8:
        return row.astype(">u2" if depth == 16 else "u1").tobytes()
    return np.packbits(np.unpackbits(row.astype("u1")[:, None], axis=1)[:, -depth:].ravel()).tobytes()
