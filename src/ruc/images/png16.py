"""What Pillow loses of PNG: half of 16 bits unless the image is grey, and which grey of 2 or 4 bits is transparent."""

from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ruc.images.bands import picture_of
from ruc.images.opening import by_pillow
from ruc.images.values import Values

GREY, GREY_WITH_ALPHA, COLOUR_WITH_ALPHA = 0, 4, 6  # colour types


def png_values(file: IO[bytes], header: bytes) -> Values:
    """An open PNG of 16 bits a channel: the upper bytes of its numbers, the lower ones, and both together."""

    def loaded(mode: str | None, packed: str) -> tuple[NDArray[Any], Any]:
        image = by_pillow(file, header)
        assert isinstance(image, ImageFile.ImageFile)
        if mode is not None:
            image._mode = mode
        image.tile = [tile._replace(args=packed) for tile in image.tile]
        image.load()
        return np.asarray(image), image.info.get("transparency")

    colour_type = header[25]
    if colour_type == GREY_WITH_ALPHA:  # as wide as four channels of 8 bits
        octets, _ = loaded("RGBA", "RGBA")
        bands = octets[:, :, ::2] * np.uint16(256) + octets[:, :, 1::2]
        return picture_of(bands, "uint16", 1, 65535)
    if colour_type == GREY:
        bands, key = loaded(None, "I;16B")
        return _with_key(np.asarray(bands, np.uint16), key)
    mode = "RGBA" if colour_type == COLOUR_WITH_ALPHA else "RGB"
    upper, key = loaded(mode, f"{mode};16B")
    lower, _ = loaded(mode, f"{mode};16L")  # which takes the second byte of each two
    bands = upper * np.uint16(256) + lower
    return picture_of(bands, "uint16", 3, 65535) if mode == "RGBA" else _with_key(bands, key)


def scale_key(image: Image.Image, depth: int) -> None:
    """Bring the grey of 2 or 4 bits that is transparent to the 8 to which Pillow brings the pixels alone.

    `depth`: bits a channel of a PNG, whose pixels needn't be loaded yet; 0 of other files.
    """
    key = image.info.get("transparency")
    if depth in (2, 4) and image.mode == "L" and isinstance(key, int):
        image.info["transparency"] = key * 255 // (2**depth - 1)


def _with_key(bands: NDArray[np.uint16], key: Any) -> Values:
    """Transparent where the pixel is of the colour that the header names, if it does."""
    if not isinstance(key, int | tuple):
        return Values(bands, "uint16")
    is_key = bands == np.asarray(key)
    opaque = ~(is_key if bands.ndim == 2 else is_key.all(axis=2))
    return Values(bands, "uint16", opaque.astype(np.float32))
