"""Every kind of file comes out upright, in 8 bits, "L" or "RGB"; what is damaged is named."""

import io
import struct
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from ruc.errors import UnreadableImageError
from ruc.images.decode import decode, size_of
from ruc.images.opening import pillow_warnings_ignored
from ruc.images.reading import Reading

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def picture(width: int = 64, height: int = 48) -> Image.Image:
    """Red, green, blue and white quarters: every orientation of it is different."""
    image = Image.new("RGB", (width, height), WHITE)
    for colour, corner in ((RED, (0, 0)), (GREEN, (width // 2, 0)), (BLUE, (0, height // 2))):
        image.paste(colour, (*corner, corner[0] + width // 2, corner[1] + height // 2))
    return image


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Colours of the four quarters, row by row, rounded to 0 or 255."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    height, width = pixels.shape[:2]
    points = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    points += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return [tuple(int(value > 127) * 255 for value in pixels[point]) for point in points]


def save(path: Path, image: Image.Image, form: str, **options: Any) -> Path:
    image.save(path, form, **options)
    return path


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF"])
def test_formats_are_known_by_content_not_by_suffix(tmp_path: Path, form: str) -> None:
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    path = save(tmp_path / "wrong.txt", picture(), form)
    image = decode(path)
    assert (image.mode, image.size, size_of(path)) == ("RGB", (64, 48), (64, 48))
    assert corners(image) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a", picture(), form, exif=exif)
    with Image.open(path) as stored:
        expected = ImageOps.exif_transpose(stored)
    image = decode(path)
    assert image.size == expected.size == ((64, 48) if orientation < 5 else (48, 64))
    assert corners(image) == corners(expected)


def test_orientation_6_by_hand(tmp_path: Path) -> None:
    # Stored with the top at the right: the first row of the file is the right-hand column.
    exif = Image.Exif()
    exif[0x0112] = 6
    assert corners(decode(save(tmp_path / "a", picture(), "JPEG", exif=exif))) == [BLUE, RED, WHITE, GREEN]


def test_corrupt_exif_is_no_reason_to_lose_an_image(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", picture(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01")
    with pillow_warnings_ignored:
        assert corners(decode(path)) == [RED, GREEN, BLUE, WHITE]


def test_overlapping_threads_leave_the_warning_filters_alone() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for thread in (first, second):
            thread.submit(pillow_warnings_ignored.__enter__).result()
        assert len(warnings.filters) == len(before) + 1
        for thread in (first, second):
            thread.submit(pillow_warnings_ignored.__exit__).result()
    assert list(warnings.filters) == before


@pytest.mark.skipif(sys.platform == "win32", reason="Pillow has libtiff inside itself there")
def test_libtiff_prints_nothing_of_a_damaged_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It writes past Python, and does so again for others once all images are read."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = save(tmp_path / "a.tif", Image.fromarray(noise), "TIFF", compression="tiff_lzw")
    damaged = bytearray(path.read_bytes())
    damaged[100] ^= 255
    damaged[1000] ^= 255
    path.write_bytes(damaged)
    with pillow_warnings_ignored, pytest.raises(UnreadableImageError):
        decode(path)
    assert capfd.readouterr().err == ""
    with pytest.raises(UnreadableImageError):
        decode(path)
    assert "code" in capfd.readouterr().err


def test_transparency_is_composed_over_white(tmp_path: Path) -> None:
    rgba = picture().convert("RGBA")
    rgba.putalpha(Image.new("L", rgba.size, 0))
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert set(np.asarray(decode(save(tmp_path / "a.png", rgba, "PNG"))).ravel().tolist()) == {255}
    assert set(np.asarray(decode(save(tmp_path / "b.png", half, "PNG"))).ravel().tolist()) == {127}


def test_grey_with_alpha_is_composed_over_white(tmp_path: Path) -> None:
    image = Image.merge("LA", (Image.new("L", (8, 8), 0), Image.linear_gradient("L").resize((8, 8))))
    pixels = np.asarray(decode(save(tmp_path / "a.png", image, "PNG")))
    expected = 255 - np.asarray(image)[:, :, 1].astype(int)
    assert np.abs(pixels.astype(int) - expected[:, :, None]).max() <= 1


def test_transparent_palette_colour_is_white(tmp_path: Path) -> None:
    palette = picture().quantize(4)
    red = palette.getpixel((0, 0))
    path = save(tmp_path / "a.png", palette, "PNG", transparency=red)
    assert corners(decode(path)) == [WHITE, GREEN, BLUE, WHITE]
    path = save(
        tmp_path / "b.png", palette, "PNG", transparency=bytes([128 if i == red else 255 for i in range(4)])
    )
    assert decode(path).getpixel((0, 0)) == (255, 127, 127)


def test_a_bitmap_whose_alpha_is_zero_throughout_is_opaque(tmp_path: Path) -> None:
    for alpha, expected in (
        (0, [RED, GREEN, BLUE, WHITE]),
        (255, [RED, GREEN, BLUE, WHITE]),
        (1, [WHITE] * 4),
    ):
        image = picture()
        image.putalpha(alpha)
        pixels = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
        masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)  # of a BITMAPV4HEADER
        header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, 3, len(pixels), 0, 0, 0, 0) + masks
        header += bytes(108 - len(header))
        start = b"BM" + struct.pack("<IHHI", 14 + 108 + len(pixels), 0, 0, 14 + 108)
        (tmp_path / "a.bmp").write_bytes(start + header + pixels)
        assert corners(decode(tmp_path / "a.bmp")) == expected


def test_opaque_palette(tmp_path: Path) -> None:
    assert corners(decode(save(tmp_path / "a.gif", picture().quantize(4), "GIF"))) == [
        RED,
        GREEN,
        BLUE,
        WHITE,
    ]


def test_grey_stays_grey(tmp_path: Path) -> None:
    image = decode(save(tmp_path / "a.png", picture().convert("L"), "PNG"))
    assert image.mode == "L"
    bilevel = decode(save(tmp_path / "b.png", Image.new("1", (4, 4), 1), "PNG"))
    assert (bilevel.mode, bilevel.getpixel((0, 0))) == ("L", 255)


def test_cmyk(tmp_path: Path) -> None:
    assert corners(decode(save(tmp_path / "a.jpg", picture().convert("CMYK"), "JPEG"))) == [
        RED,
        GREEN,
        BLUE,
        WHITE,
    ]


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_16_bits_keep_their_range(tmp_path: Path, form: str) -> None:
    values = np.array([[0, 257, 257 * 128, 65535, 300]], dtype=np.uint16)
    path = save(tmp_path / "a", Image.fromarray(values), form)
    assert np.asarray(decode(path)).tolist() == [[0, 1, 128, 255, 1]]


def test_32_bit_integers_and_floats(tmp_path: Path) -> None:
    def grey(values: list[float], dtype: type) -> list[int]:
        image = Image.fromarray(np.array([values], dtype=dtype))
        return np.asarray(decode(save(tmp_path / "a.tiff", image, "TIFF")))[0].tolist()

    assert grey([0, 257, 257 * 128, 65535], np.int32) == [0, 1, 128, 255]
    assert grey([0, 2**30, 2**31 - 1], np.int32) == [0, 128, 255]
    assert grey([0, 0.5, 1], np.float32) == [0, 128, 255]
    assert grey([0, 100, 255], np.float32) == [0, 100, 255]
    assert grey([-10, 0, 10], np.float32) == [0, 128, 255]  # of no known range: stretched
    assert grey([-10, np.nan, 10], np.float32)[::2] == [0, 255]


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        path = save(tmp_path / form, frames[0], form, save_all=True, append_images=frames[1:])
        assert corners(decode(path))[0] == RED


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, bool])
def test_array_rows(dtype: type) -> None:
    row = np.array([[0, 1], [1, 0]])
    top = {np.uint8: 255, np.uint16: 65535}.get(dtype, 1)
    for shape, mode in (((2, 2), "L"), ((2, 2, 1), "L"), ((2, 2, 3), "RGB"), ((2, 2, 4), "RGB")):
        pixels = (np.broadcast_to(row.reshape(2, 2, *[1] * (len(shape) - 2)), shape) * top).astype(dtype)
        image = decode(pixels)
        assert image.mode == mode
        if shape[-1] != 4:  # else transparent where black
            assert np.asarray(image.convert("L")).tolist() == [[0, 255], [255, 0]]
        else:
            assert set(np.asarray(image).ravel().tolist()) == {255}


def test_large_jpeg_is_decoded_smaller_but_never_too_small(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", picture(1600, 1200), "JPEG")
    assert decode(path).size == (1600, 1200)
    assert decode(path, shorter_side=64).size == (200, 150)  # an eighth
    assert decode(path, shorter_side=150).size == (400, 300)  # a quarter: exactly twice as large
    assert decode(path, shorter_side=400).size == (1600, 1200)
    assert corners(decode(path, shorter_side=64)) == [RED, GREEN, BLUE, WHITE]


# ----- what cannot be read -----


def reason(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError) as raised:
        decode(path)
    return str(raised.value)


def encoded(form: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated(tmp_path: Path, form: str, share: float) -> None:
    content = encoded(form)
    with pillow_warnings_ignored:
        assert reason(tmp_path / "a", content[: int(share * len(content))]) == "truncated"


def test_empty_and_not_an_image(tmp_path: Path) -> None:
    assert reason(tmp_path / "a.jpg", b"") == "empty file"
    assert reason(tmp_path / "a.jpg", b"not an image at all, and long enough for a header") == "not an image"
    assert reason(tmp_path / "a.jpg", b"\xff\xd8\xff" + bytes(50)) == "damaged: its header cannot be read"
    assert reason(tmp_path / "a.heic", b"\0\0\0\x18ftypheic" + bytes(50)).startswith("damaged: ")


def test_missing_and_folder(tmp_path: Path) -> None:
    for path, expected in ((tmp_path / "no.png", "no such file"), (tmp_path, "a folder, not a file")):
        with pytest.raises(UnreadableImageError, match=expected):
            decode(path)


def png_header(width: int, height: int, sound: bool) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checksum = zlib.crc32(body) if sound else 0
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", checksum) + bytes(20)


@pytest.mark.parametrize("side", [20_000, 60_000])
@pytest.mark.parametrize("sound", [True, False])
def test_headers_that_promise_too_much(tmp_path: Path, side: int, sound: bool) -> None:
    expected = f"larger than 300 megapixels (--max-megapixels): {side} x {side} pixels"
    assert reason(tmp_path / "a.png", png_header(side, side, sound)) == expected


def test_photographs_of_200_megapixels_are_ordinary(tmp_path: Path) -> None:
    # Pillow's own limit is a warning from 90 megapixels on, an error here, and an error from 179 on.
    path = save(tmp_path / "a.jpg", Image.new("L", (16_320, 12_240), 77), "JPEG")
    image = decode(path, 32)
    assert image.size == (2040, 1530) and abs(image.getpixel((9, 9)) - 77) < 4
    assert size_of(path) == (16_320, 12_240)
    with pytest.raises(
        UnreadableImageError, match=r"larger than 89 megapixels \(--max-megapixels\): 16320 x 12240"
    ):
        decode(path, 32, Reading(max_megapixels=89))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "PPM", "JPEG2000", "AVIF"])
def test_damage_never_escapes(tmp_path: Path, form: str) -> None:
    """Bytes changed at random: an image or a reason, nothing else."""
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    generator = np.random.default_rng(1)
    sound = np.frombuffer(encoded(form), dtype=np.uint8)
    path = tmp_path / "a"
    for _ in range(40):
        damaged = sound.copy()
        damaged[generator.integers(0, min(300, len(sound)), 8)] = generator.integers(0, 256, 8)
        path.write_bytes(damaged.tobytes())
        try:
            with pillow_warnings_ignored:
                assert decode(path).mode in ("L", "RGB")
        except UnreadableImageError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("mode", "tag", "before", "after"), [("RGB", 277, 3, 0), ("L", 258, 8, 2**15)], ids=["bands", "bits"]
)
def test_a_tiff_without_bands_or_of_values_too_long_is_damaged(
    tmp_path: Path, mode: str, tag: int, before: int, after: int
) -> None:
    Image.new(mode, (9, 9)).save(tmp_path / "a.tiff")
    start, found, end = (tmp_path / "a.tiff").read_bytes().partition(struct.pack("<HHLH", tag, 3, 1, before))
    assert found
    (tmp_path / "a.tiff").write_bytes(start + struct.pack("<HHLH", tag, 3, 1, after) + end)
    with pytest.raises(UnreadableImageError, match="damaged: its header cannot be read"):
        decode(tmp_path / "a.tiff", 8, Reading())
