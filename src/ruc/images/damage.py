"""What decoders raise on damaged files, and what to call it."""

import struct
import zlib

from PIL import Image

from ruc.plain_file import NotPlainError

# Seen, or documented, of Pillow, tifffile, imagecodecs and pydicom.
DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError, OverflowError,
    ZeroDivisionError, MemoryError, RuntimeError, struct.error, zlib.error, UserWarning,
    Image.DecompressionBombError,
)  # fmt: skip


def reason_of(error: BaseException) -> str:
    """Short plain words for what a decoder or the operating system complains of."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, NotPlainError):
        return str(error.strerror)
    if isinstance(error, MemoryError):
        return "too large for the memory"
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "truncated" in text.lower() or "not enough data" in text.lower() or isinstance(error, EOFError):
        return "truncated"
    return f"damaged: {text}"
