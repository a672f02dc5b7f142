"""One rule of value range for all files of a run, and every file accounted for."""

import builtins
import io
import os
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from png_by_hand import png

from ruc.errors import UnreadableImageError
from ruc.images.decode import decode
from ruc.images.load import load_pixels
from ruc.images.opening import pillow_warnings_ignored
from ruc.images.reading import READING, Reading
from ruc.images.source import find_images
from ruc.images.survey import survey
from ruc.images.value_range import common_range, ends_of
from ruc.images.values import Values
from ruc.runtime import Runtime

tifffile = pytest.importorskip("tifffile")
imagecodecs = pytest.importorskip("imagecodecs")


def pictures(count: int = 12) -> list[np.ndarray]:
    """Noise in [0.1, 0.9], the same in each, and each a little brighter than the last."""
    noise = np.random.default_rng(0).random((24, 24))
    return [0.1 + 0.6 * noise + 0.2 * number / count for number in range(count)]


def seen(folder: Path, reading: Reading = READING) -> tuple[list[np.ndarray], tuple[str, ...]]:
    source = survey(find_images(folder), reading)
    with pillow_warnings_ignored:
        return [
            np.asarray(decode(item, None, source.reading)).astype(float) for item in source.items
        ], source.remarks


def write(folder: Path, arrays: list[np.ndarray], **options: Any) -> None:
    folder.mkdir(exist_ok=True)
    for number, array in enumerate(arrays):
        tifffile.imwrite(folder / f"{number:02}.tif", array, metadata=None, **options)


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"),
    [("u2", 65535, 0), ("u2", 4095, 0), ("u2", 510, 100), ("u2", 1000, 30_000), ("i2", 4000, -1000),
     ("u4", 2**32 - 1, 0), ("f4", 1, 0), ("f4", 0.01, 0), ("f8", 70, 250), ("f2", 7, -2), ("i1", 255, -128)],
)  # fmt: skip
def test_contrast_is_kept_and_alike_in_all_images(
    tmp_path: Path, dtype: str, scale: float, offset: float
) -> None:
    write(tmp_path, [(each * scale + offset).astype(dtype) for each in pictures()])
    images, remarks = seen(tmp_path)
    means = [image.mean() for image in images]
    assert (np.diff(means) > 0).all() and means[-1] - means[0] > 30
    assert min(len(np.unique(image)) for image in images) > 90
    assert len(remarks) == 1 and remarks[0].startswith("values are shown alike in all images: ")


@pytest.mark.parametrize("spoilt", [np.inf, -np.inf, np.nan, -3.4e38, -9999, 1e6])
@pytest.mark.parametrize("share", [0.002, 0.2])
def test_pixels_without_meaning_dont_set_the_range(tmp_path: Path, spoilt: float, share: float) -> None:
    if spoilt == 1e6 and share > 0.1:
        pytest.skip("a fifth of the pixels has a meaning")
    sound = pictures()
    bad = [each.astype("f4") for each in sound]
    for each in bad[::2]:
        each.flat[: max(1, int(share * each.size))] = spoilt
    write(tmp_path / "sound", [each.astype("f4") for each in sound])
    write(tmp_path / "bad", bad)
    for first, second in zip(seen(tmp_path / "sound")[0], seen(tmp_path / "bad")[0], strict=True):
        rest = slice(max(1, int(share * first.size)), None)
        assert np.abs(first.flat[rest] - second.flat[rest]).max() <= 2


def test_nodata_of_the_header_is_black_and_sets_nothing(tmp_path: Path) -> None:
    arrays = [(30_000 + 1000 * each).astype("u2") for each in pictures()]
    for array in arrays:
        array[:8] = 0
    write(tmp_path, arrays, extratags=[(42113, "s", 2, "0", True)])
    images, _ = seen(tmp_path)
    assert all((image[:8] == 0).all() and np.ptp(image[8:]) > 100 for image in images)


def test_an_image_of_nan_alone_is_skipped_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, [np.full((24, 24), np.nan, "f4"), *(each.astype("f4") for each in pictures())])
    images = load_pixels(survey(find_images(tmp_path), READING), 16, Runtime("cpu"))
    assert [(lost.file_name, lost.reason) for lost in images.skipped] == [
        ("00.tif", "no values: every pixel is NaN or no data")
    ]


def test_new_images_are_read_by_the_range_of_the_run(tmp_path: Path) -> None:
    write(tmp_path / "run", [(4095 * each).astype("u2") for each in pictures()])
    write(tmp_path / "new", [np.full((8, 8), 1000, "u2"), np.full((8, 8), 3000, "u2")])
    rules = Reading.from_config(survey(find_images(tmp_path / "run"), READING).reading.to_config())
    assert rules.value_range == {"uint16": (0.0, 4095.0)}
    images, _ = seen(tmp_path / "new", rules)
    assert [image[0, 0] for image in images] == [round(1000 / 4095 * 255), round(3000 / 4095 * 255)]


def test_range_of_one_kind_by_hand() -> None:
    def ends(*values: float, dtype: str = "u2") -> Any:
        return ends_of(Values(np.array([values], dtype), "uint16"))

    assert common_range("uint16", []) == (0, 65535)
    assert common_range("uint16", [ends(0, 4000)]) == (0, 4095)  # fills twelve bits
    assert common_range("uint16", [ends(0, 40_000)]) == (0, 65535)
    assert common_range("uint16", [ends(100, 610)]) == (100, 610)  # fills nothing
    assert common_range("uint8", [ends(100, 110)]) == (0, 255)  # bytes are as all readers show them
    assert common_range("float", [ends(0, 1.5, dtype="f4")]) == pytest.approx((0, 1.5))
    assert common_range("float", [ends(7, 7, dtype="f4")]) == (0, 255)


def test_a_hot_pixel_is_not_there() -> None:
    pixels = np.linspace(0, 900, 28 * 28, dtype=np.float32).reshape(28, 28)
    hot = pixels.copy()
    hot[14, 14] = 1e6

    def range_of(array: np.ndarray) -> tuple[float, float]:
        ends = ends_of(Values(array, "float"))
        assert ends is not None
        return common_range("float", [ends])

    assert range_of(hot) == pytest.approx(range_of(pixels)) == (0, 900)


def test_pages_by_a_rule_that_is_said(tmp_path: Path) -> None:
    stack = np.stack([np.full((16, 16), level, "u1") for level in (10, 90, 40)])
    write(tmp_path, [stack, stack], photometric="minisblack")
    for page, level in (("first", 10), ("middle", 90), ("max", 90)):
        images, remarks = seen(tmp_path, Reading(page=page))  # type: ignore[arg-type]
        assert [image[0, 0] for image in images] == [level, level]
        assert any(remark.startswith("2 files hold several pages (3); ") for remark in remarks)
    write(tmp_path / "alone", [stack], photometric="minisblack")
    assert any(
        remark.startswith("1 file holds several pages (3); ") for remark in seen(tmp_path / "alone")[1]
    )
    frames = [Image.new("L", (8, 8), level) for level in (10, 90, 40)]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert decode(tmp_path / "x.gif", None, Reading(page="middle")).convert("L").getpixel((0, 0)) == 90


def test_a_smaller_page_is_no_slice(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.full((16, 16), 50, "u1"), metadata=None)
        file.write(np.full((8, 8), 200, "u1"), metadata=None)
    images, remarks = seen(tmp_path, Reading(page="max"))
    assert images[0][0, 0] == 50 and remarks == ()


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((8, 8, 4), {"photometric": "rgb", "extrasamples": ["unspecified"]}, [0, 64, 128]),
        ((8, 8, 5), {"photometric": "minisblack", "planarconfig": "contig"}, [0, 64, 128]),
        ((8, 8, 2), {"photometric": "minisblack", "planarconfig": "contig"}, [0]),
        ((8, 8, 4), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, [63, 111, 159]),
    ],
)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_bands_beyond_the_colours(
    tmp_path: Path, shape: tuple[int, ...], options: dict[str, Any], expected: list[int], dtype: str
) -> None:
    whole = 255 if dtype == "u1" else 65535
    bands = np.rint(np.array([0, 64, 128, 192, 255]) / 255 * whole)[: shape[2]].astype(dtype)
    write(tmp_path, [np.broadcast_to(bands, shape).copy()], **options)
    image = decode(tmp_path / "00.tif", None, Reading(value_range={"uint16": (0, 65535)}))
    assert np.abs(np.asarray(image).reshape(64, -1)[0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("dtype", "whole"), [("u1", 255), ("u2", 65535), ("f4", 1)])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_colours_that_are_multiplied_by_alpha_already(
    tmp_path: Path, dtype: str, whole: float, planes: str
) -> None:
    alpha = np.linspace(0, 1, 8)[None, :, None].repeat(8, 0)
    colours = np.array([0.2, 0.5, 1.0]) * np.ones((8, 8, 1))
    bands = np.concatenate([colours * alpha, alpha], axis=2) * whole
    bands = bands.astype("f4") if dtype == "f4" else np.rint(bands).astype(dtype)
    bands = np.moveaxis(bands, -1, 0) if planes == "separate" else bands
    write(tmp_path, [bands], photometric="rgb", extrasamples=["assocalpha"], planarconfig=planes)
    (image,), _ = seen(tmp_path)
    assert np.abs(image - 255 * (colours * alpha + 1 - alpha)).max() <= 3


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_grey_that_is_multiplied_by_alpha_already(tmp_path: Path, planes: str) -> None:
    bands = np.full((8, 8, 2), (50, 128), np.uint8)
    bands = np.moveaxis(bands, -1, 0) if planes == "separate" else bands
    write(tmp_path, [bands], photometric="minisblack", extrasamples=["assocalpha"], planarconfig=planes)
    (image,), _ = seen(tmp_path)
    assert np.abs(image - (50 + 255 - 128)).max() <= 1


def patched(path: Path, tag: int, count: int, before: tuple[int, ...], after: tuple[int, ...]) -> None:
    """Give a tag of 16-bit numbers, in a little-endian TIFF, other values."""
    entries = [struct.pack(f"<HHL{len(each)}H", tag, 3, count, *each) for each in (before, after)]
    start, found, end = path.read_bytes().partition(entries[0])
    assert found
    path.write_bytes(start + entries[1] + end)


@pytest.mark.parametrize("of_8_bits", [False, True])
@pytest.mark.parametrize("has_alpha", [False, True])
def test_palettes_of_tiff(tmp_path: Path, of_8_bits: bool, has_alpha: bool) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (3, 256))
    index = np.arange(256, dtype=np.uint8).reshape(16, 16)
    alpha = np.where(index < 128, 255, 0).astype(np.uint8)
    table = (320, "H", 768, (colours if of_8_bits else colours * 257).ravel().tolist())
    options: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig", "extratags": [table]}
    if has_alpha:
        write(tmp_path, [np.dstack([index, alpha])], extrasamples=["unassalpha"], **options)
    else:
        write(tmp_path, [index], **options)
    patched(tmp_path / "00.tif", 262, 1, (1,), (3,))  # tifffile writes no palette with alpha
    (image,), _ = seen(tmp_path)
    expected = np.moveaxis(colours, 0, -1)[index].astype(float)
    if has_alpha:
        expected[alpha == 0] = 255
    assert np.array_equal(image, expected)


def test_colours_of_tiff_that_nobody_reads_rightly_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    write(tmp_path, [noise], photometric="ycbcr", subsampling=(1, 1))
    assert decode(tmp_path / "00.tif").mode == "RGB"
    patched(tmp_path / "00.tif", 530, 2, (1, 1), (2, 2))
    with pytest.raises(UnreadableImageError, match="in 3 bands, colours at a lower resolution"):
        decode(tmp_path / "00.tif")
    write(tmp_path, [noise], photometric="rgb")
    patched(tmp_path / "00.tif", 262, 1, (2,), (5,))
    with pytest.raises(UnreadableImageError, match="inks other than CMYK"):
        decode(tmp_path / "00.tif")


@pytest.mark.parametrize("largest", [65535, 4095])
def test_ppm_of_16_bits_keeps_what_8_bits_lose(tmp_path: Path, largest: int) -> None:
    numbers = np.random.default_rng(0).integers(0, 255, (12, 16, 3)).astype(">u2") + np.array(1000, ">u2")
    for number in range(2):
        header = f"P6 # written\n16 12\n# by hand\n{largest}\n".encode()
        (tmp_path / f"{number}.ppm").write_bytes(header + numbers.astype(">u2").tobytes())
    text = " ".join(map(str, numbers.ravel().tolist()))
    (tmp_path / "text.ppm").write_text(f"P3\n16 12 {largest}\n{text}\n")
    (tmp_path / "8_bits.ppm").write_bytes(b"P6 16 12 255\n" + (numbers - 1000).astype("u1").tobytes())
    images, remarks = seen(tmp_path)
    assert "uint16 from" in remarks[0]
    low, high = int(numbers.min()), int(numbers.max())
    assert np.abs(images[0] - (numbers - low) * (255 / (high - low))).max() <= 1
    assert np.array_equal(images[2], numbers - 1000)
    assert np.array_equal(images[3], images[0])
    with pytest.raises(UnreadableImageError, match="truncated"):
        (tmp_path / "0.ppm").write_bytes((tmp_path / "0.ppm").read_bytes()[:-1])
        decode(tmp_path / "0.ppm")


@pytest.mark.parametrize(("dtype", "whole"), [("u1", 255), ("u2", 65535)])
def test_a_fourth_band_of_jpeg_2000_is_alpha_only_if_stated(tmp_path: Path, dtype: str, whole: int) -> None:
    bands = (np.array([0.25, 0.5, 0.75, 0.1]) * whole * np.ones((16, 16, 1))).astype(dtype)
    (tmp_path / "a.jp2").write_bytes(imagecodecs.jpeg2k_encode(bands, level=0))
    source = survey(find_images(tmp_path), READING)
    assert np.abs(np.asarray(decode(source.items[0], None, source.reading))[0, 0] - [63, 127, 191]).max() <= 1
    assert "1 file holds 4 bands" in " ".join(source.remarks)
    if dtype == "u1":
        Image.fromarray(bands).save(tmp_path / "a.jp2")  # which defines the fourth channel as opacity
        expected = 255 + (np.array([63, 127, 191]) - 255) * 25 / 255
        assert np.abs(np.asarray(decode(tmp_path / "a.jp2"))[0, 0] - expected).max() <= 1


def test_webp_in_tiff_is_read(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    write(tmp_path, [pixels], photometric="rgb", compression="webp", compressionargs={"lossless": True})
    assert np.array_equal(np.asarray(decode(tmp_path / "00.tif")), pixels)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"v/1\x01", "OpenEXR"),
        (b"#?RADIANCE\n", "Radiance HDR"),
        (b"8BPS", "Photoshop"),
        (b"PF\n", "PFM in colours"),
    ],
)
def test_images_of_other_formats_are_named(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "a.png").write_bytes(content + bytes(200))
    with pytest.raises(UnreadableImageError, match=f"not supported: {what}, convert it"):
        decode(tmp_path / "a.png")


def test_every_file_is_accounted_for(tmp_path: Path) -> None:
    for number, each in enumerate(pictures(3)):
        Image.fromarray((each * 255).astype("u1")).save(tmp_path / f"{number}.png")
    for name in ("a.fits", "b.fits", "c.NEF", "notes", ".hidden"):
        (tmp_path / name).write_bytes(b"II*\0" if name == "c.NEF" else b"SIMPLE  =")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "folder")
    source = survey(find_images(tmp_path), READING)
    images = load_pixels(source, 16, Runtime("cpu"), 0.5)
    assert images.file_names == ("0.png", "1.png", "2.png")
    assert {lost.file_name: lost.reason.partition(":")[0] for lost in images.skipped} == {
        "itself.png": "damaged",
        "pipe.png": "a pipe, not a file",
    }
    assert source.remarks == ("left out: 2 .fits, 2 without a suffix, 1 .nef, 1 hidden, 1 links to folders",)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_subfolder_that_may_not_be_read_is_skipped(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "listed").mkdir()
    for name in ("a.png", "a.tar", "a"):
        (tmp_path / "listed" / name).touch()
    (tmp_path / "listed" / "below").mkdir()
    (tmp_path / "listed").chmod(0o400)
    source = find_images(tmp_path)
    assert source.file_names == ("a.png", "closed", "listed/a.png", "listed/below")
    with pytest.raises(UnreadableImageError, match="a folder that may not be read"):
        decode(tmp_path / "closed")
    with pytest.raises(UnreadableImageError, match="permission denied"):
        decode(tmp_path / "listed" / "a.png")


def test_what_an_extra_is_needed_for_is_said_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, [np.zeros((8, 8), "f8"), np.zeros((3, 8, 8), "u2")], photometric="minisblack")
    (tmp_path / "c.jxl").write_bytes(imagecodecs.jpegxl_encode(np.zeros((8, 8), "u1")))
    (tmp_path / "d.jpg").write_bytes(imagecodecs.jpeg8_encode(np.zeros((8, 8), "u2"), bitspersample=12))
    (tmp_path / "e.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(50))
    missing = {"tifffile", "imagecodecs", "pillow_jxl", "pillow_heif", "pydicom"}
    for name in list(sys.modules):
        if name.partition(".")[0] in missing:
            monkeypatch.delitem(sys.modules, name)
    really = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in missing:
            raise ImportError(name)
        return really(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("importlib.import_module", lambda name: without(name))
    expected = {
        "00.tif": "scientific'): TIFF of 64-bit float values",
        "c.jxl": "photos'): JPEG XL",
        "d.jpg": "scientific'): a JPEG of 12 bits",
        "e.heic": "photos'): HEIC",
    }
    for name, text in expected.items():
        with pytest.raises(UnreadableImageError) as raised:
            decode(tmp_path / name)
        assert str(raised.value).endswith(text.replace("'", "]'", 1)), str(raised.value)
        assert "pip install 'ruc[" in str(raised.value)


@pytest.mark.parametrize(("n_bands", "colour_type"), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_png_of_16_bits_keeps_what_8_bits_lose(tmp_path: Path, n_bands: int, colour_type: int) -> None:
    random = np.random.default_rng(1)
    pixels = random.integers(1000, 1256, (12, 16, n_bands)).astype(np.uint16)  # four levels of the upper byte
    if n_bands in (2, 4):
        pixels[:, :, -1] = 65535
    path = tmp_path / "a.png"
    path.write_bytes(png(pixels, 16, colour_type))
    image = np.asarray(decode(path, None, Reading(value_range={"uint16": (1000, 1255)})))
    colours = pixels[:, :, : 1 if n_bands < 3 else 3]
    assert (image.reshape(colours.shape) == colours - 1000).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("start", [0, 132])  # old archives leave the preamble out
def test_dicom_in_its_units(tmp_path: Path, photometric: str, start: int) -> None:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset

    stored = np.arange(64, dtype=np.uint16).reshape(8, 8) * 60
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.Rows, data.Columns, data.SamplesPerPixel, data.PixelRepresentation = 8, 8, 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PhotometricInterpretation, data.PixelData = photometric, stored.tobytes()
    data.RescaleSlope, data.RescaleIntercept = 2, -1024
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    (tmp_path / "IM0001").write_bytes(buffer.getvalue()[start:])
    images, remarks = seen(tmp_path)
    rises = np.diff(images[0].ravel())
    assert (rises > 0).all() if photometric == "MONOCHROME2" else (rises < 0).all()
    assert "from -1024 (black) to 6536 (white)" in remarks[0]


@pytest.mark.parametrize("form", ["HEIF", "JXL"])
def test_photographs_by_their_plugins(tmp_path: Path, form: str) -> None:
    pillow_heif, _ = pytest.importorskip("pillow_heif"), pytest.importorskip("pillow_jxl")
    pillow_heif.register_heif_opener()
    image = Image.new("RGB", (64, 48), (250, 20, 20))
    image.paste((20, 20, 250), (32, 0, 64, 48))
    image.save(tmp_path / "a.photo", form)
    found = np.asarray(decode(tmp_path / "a.photo")).astype(int)
    assert found.shape == (48, 64, 3)
    assert found[24, 8, 0] > 200 > 100 > found[24, 56, 0]
