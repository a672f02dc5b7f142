"""HEIC and JPEG XL, by the Pillow plugins of the extra `ruc[photos]`."""

from typing import IO, Any

from PIL import Image

from ruc.images.scientific import imported


def open_heif(file: IO[bytes]) -> Image.Image:
    """HEIC or HEIF with its header read; raises `UnreadableImageError` where the plugin isn't installed."""
    opened: Image.Image = imported("pillow_heif", "photos", "HEIC").HeifImageFile(file)
    return opened


def open_jxl(file: IO[bytes]) -> Image.Image:
    """JPEG XL, upright as its codec gives it; raises `UnreadableImageError` where the plugin isn't installed."""
    plugin: Any = imported("pillow_jxl", "photos", "JPEG XL")
    opened = plugin.JpegXLImagePlugin.JXLImageFile(file)
    if not opened.jpeg:  # else its EXIF data still say how to turn it
        opened.info.pop("exif", None)
    image: Image.Image = opened
    return image
