"""PPM of more than 8 bits a channel, whole: Pillow keeps 8 of each number unless the image is grey."""

import re
from typing import IO

import numpy as np

from ruc.errors import UnreadableImageError
from ruc.images.formats import HEAD
from ruc.images.opening import all_of
from ruc.images.values import Values

HEADER = re.compile(rb"P6" + 3 * rb"(?:\s|#[^\r\n]*[\r\n])+([0-9]+)" + rb"\s")


def ppm_values(file: IO[bytes]) -> Values | None:
    """An open PPM's colours, scaled to 16 bits as Pillow scales greys; None of 8 bits, and of numbers as text.

    Raises `UnreadableImageError` where there are fewer numbers than its header says.
    """
    file.seek(0)
    header = HEADER.match(file.read(HEAD))
    width, height, largest = map(int, header.groups()) if header else (0, 0, 0)
    if header is None or not 255 < largest < 1 << 16:
        return None
    content = all_of(file)
    if len(content) < header.end() + 6 * width * height:
        raise UnreadableImageError("truncated")
    numbers = np.frombuffer(content, ">u2", 3 * width * height, header.end()).reshape(height, width, 3)
    return Values(np.rint(numbers * (65535 / largest)).clip(0, 65535).astype(np.uint16), "uint16")
