"""PPM of more than 8 bits a channel, whole: Pillow keeps 8 of each number unless the image is grey."""

import re
from typing import IO

import numpy as np

from ruc.errors import UnreadableImageError
from ruc.images.formats import HEAD
from ruc.images.opening import all_of
from ruc.images.values import Values

HEADER = re.compile(rb"P([36])" + 3 * rb"(?:\s|#[^\r\n]*[\r\n])+([0-9]+)" + rb"\s")
COMMENT = re.compile(rb"#[^\r\n]*")
AS_TEXT = 3  # P3; P6 holds bytes


def ppm_values(file: IO[bytes]) -> Values | None:
    """An open PPM's colours, scaled to 16 bits as Pillow scales greys; None of 8 bits.

    Raises `UnreadableImageError` where there are fewer numbers than its header says, and `ValueError` where what
    should be a number isn't.
    """
    file.seek(0)
    header = HEADER.match(file.read(HEAD))
    kind, width, height, largest = map(int, header.groups()) if header else (0, 0, 0, 0)
    if header is None or not 255 < largest < 1 << 16:
        return None
    content, count = all_of(file)[header.end() :], 3 * width * height
    if kind == AS_TEXT:
        numbers = np.array(COMMENT.sub(b"", content).split()[:count], dtype=np.float64)
    else:
        numbers = np.frombuffer(content, ">u2", min(count, len(content) // 2)).astype(np.float64)
    if len(numbers) < count:
        raise UnreadableImageError("truncated")
    scaled = np.rint(numbers.reshape(height, width, 3) * (65535 / largest)).clip(0, 65535)
    return Values(scaled.astype(np.uint16), "uint16")
