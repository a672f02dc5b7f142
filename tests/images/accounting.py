"""Every file of a folder is accounted for, and its pixels are what other readers see: folders made at random.

    python tests/images/accounting.py 2000        # that many folders, from seed 0; prints each disagreement

A folder holds pictures in one kind of values (8 bits; 10, 12 and 16 bits; signed; floats in any unit), each in a
format and a layout drawn for it, some with several pages, some to be turned by their orientation, some under odd
names, and beside them broken and foreign files. What each picture is, OpenCV, tifffile or imageio says.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as imageio
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import rankdata

from ruc.errors import UnreadableImageError
from ruc.images.decode import decode
from ruc.images.opening import pillow_warnings_ignored
from ruc.images.reading import READING
from ruc.images.source import find_images
from ruc.images.survey import survey

SUFFICES = 0.99  # rank correlation
ROUNDING = 0.5  # grey levels: pictures whose means are nearer than that are as bright as each other
LUMA = np.array([0.299, 0.587, 0.114])
# Kinds of values: the type, and the values of black and white.
WORLDS: dict[str, tuple[Any, float, float]] = {
    "8 bits": (np.uint8, 0, 255),
    "16 bits": (np.uint16, 0, 65535),
    "12 bits in 16": (np.uint16, 0, 4095),
    "10 bits, dim": (np.uint16, 100, 610),
    "narrow in 16": (np.uint16, 30_000, 31_000),
    "signed 8": (np.int8, -128, 127),
    "signed 16": (np.int16, -1000, 3000),
    "32 bits": (np.uint32, 0, 2**32 - 1),
    "signed 32": (np.int32, -100_000, 200_000),
    "floats to 1": (np.float32, 0, 1),
    "photons": (np.float32, 0, 20),
    "kelvin": (np.float64, 250, 320),
    "reflectance": (np.float32, 0, 0.02),
    "half floats": (np.float16, -2, 5),
}
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@dataclass
class Expected:
    """What a generated folder holds: the upright grey values of each picture, and the names of what can't be read."""

    pictures: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    left_out: int = 0
    how: dict[str, str] = field(default_factory=dict)


def make_folder(folder: Path, seed: int) -> Expected:
    """Write a folder, and read what it holds by other means."""
    random = np.random.default_rng(seed)
    world = str(random.choice(list(WORLDS)))
    kind, low, high = WORLDS[world]
    colour = bool(random.integers(2)) and world not in ("signed 8", "signed 16", "signed 32", "32 bits")
    expected = Expected()
    for number in range(int(random.integers(6, 13))):
        shape = (int(random.integers(36, 60)), int(random.integers(36, 60)))
        picture = _picture(random, shape, colour)
        values = low + (high - low) * picture
        values = np.rint(values).astype(kind) if np.issubdtype(kind, np.integer) else values.astype(kind)
        formats = ["tiff"]
        if world == "8 bits":
            formats += [
                "png",
                "jpg",
                "bmp",
                "webp",
                "ppm" if colour else "pgm",
                "jp2",
                "pillow tiff",
                "gif",
                "jxl",
            ]
        elif kind is np.uint16:
            formats += ["png", "jp2"] if world == "16 bits" else ["png"]
        form = str(random.choice(formats))
        name = _name(random, number, {"tiff": "tif", "pillow tiff": "tiff"}.get(form, form))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        expected.how[name] = f"{world}, {form}: {_write(folder / name, values, form, random)}"
        expected.pictures[name] = _seen(folder / name, form)
    _add_others(folder, random, expected)
    return expected


def _picture(random: np.random.Generator, shape: tuple[int, int], colour: bool) -> NDArray[np.float64]:
    """(height, width) or (height, width, 3) in [0, 1]: soft shapes, and a little noise."""
    coarse = random.random((5, 5, 3 if colour else 1)).astype(np.float32)
    soft = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).reshape(*shape, -1)
    noisy = 0.75 * soft + 0.15 * random.random() + 0.05 * random.random(soft.shape)
    clipped = np.clip(noisy, 0, 1).astype(np.float64)
    return clipped if colour else clipped[:, :, 0]


def _name(random: np.random.Generator, number: int, suffix: str) -> str:
    stem = f"{number:02}{random.choice(['', ' ä', '_Foto', '.v2', '漢字'])}"
    suffix = suffix.upper() if random.integers(5) == 0 else suffix
    within = str(random.choice(["", "", "sub/", "sub/deep er/"]))
    return f"{within}{stem}" + ("" if suffix in ("png", "tif") and random.integers(8) == 0 else f".{suffix}")


def _write(path: Path, values: NDArray[Any], form: str, random: np.random.Generator) -> str:
    """Write one picture; says how."""
    colour = values.ndim == 3
    if form == "tiff":
        return _write_tiff(path, values, random)
    if form in ("jpg", "webp", "pillow tiff", "gif", "jxl", "png") and values.dtype == np.uint8:
        options: dict[str, Any] = {"jpg": {"quality": 98, "subsampling": 0}, "webp": {"lossless": True}}.get(
            form, {}
        )
        if form == "jxl":
            import pillow_jxl  # noqa: F401

            options = {"lossless": True}
        orientation = 1
        if form in ("jpg", "png", "pillow tiff", "webp"):
            orientation = int(random.integers(1, 9))
            exif = Image.Exif()
            exif[0x0112] = orientation
            options["exif"] = exif
        if form == "pillow tiff":
            options["compression"] = str(
                random.choice(["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
            )
        encoder = {
            "jpg": "JPEG",
            "pillow tiff": "TIFF",
            "gif": "GIF",
            "jxl": "JXL",
            "webp": "WEBP",
            "png": "PNG",
        }
        Image.fromarray(values).save(path, encoder[form], **options)
        return f"orientation {orientation}"
    suffix = {"jp2": ".jp2", "bmp": ".bmp", "ppm": ".ppm", "pgm": ".pgm", "png": ".png"}[form]
    pixels = np.ascontiguousarray(values[:, :, ::-1]) if colour else values
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if form == "jp2" else []
    sound, content = cv2.imencode(suffix, pixels, options)
    assert sound
    path.write_bytes(content.tobytes())
    return "by OpenCV"


def _write_tiff(path: Path, values: NDArray[Any], random: np.random.Generator) -> str:
    colour = values.ndim == 3
    orientation = int(random.integers(1, 9))
    compression = random.choice(["", "zlib", "lzw", "zstd", "packbits"])
    options: dict[str, Any] = {
        "photometric": "rgb" if colour else "minisblack",
        "compression": str(compression) or None,
        "byteorder": str(random.choice(["<", ">"])),
        "bigtiff": bool(random.integers(2)),
    }
    if values.dtype.kind == "u" and values.dtype.itemsize < 4 and not colour and random.integers(4) == 0:
        options["photometric"] = "miniswhite"
        values = np.iinfo(values.dtype).max - values if values.dtype == np.uint8 else values
    if compression in ("zlib", "lzw", "zstd") and values.dtype != np.float16:
        options["predictor"] = bool(random.integers(2))
    pages = int(random.choice([1, 1, 2, 3]))
    planar = colour and bool(random.integers(2))
    tiled = {"tile": (16, 16)} if random.integers(4) == 0 else {"rowsperstrip": int(random.integers(4, 50))}
    with tifffile.TiffWriter(
        path, bigtiff=options.pop("bigtiff"), byteorder=options.pop("byteorder")
    ) as file:
        for page in range(pages):
            pixels = values if page == 0 else random.permutation(values.ravel()).reshape(values.shape)
            layout = {"planarconfig": "separate"} if planar else {}
            file.write(
                np.moveaxis(pixels, -1, 0) if planar else pixels,
                **options, **layout, **tiled, metadata=None, extratags=[(274, "H", 1, orientation, True)],
            )  # fmt: skip
    return f"{options} planar {planar} pages {pages} orientation {orientation}"


def _seen(path: Path, form: str) -> NDArray[np.float64]:
    """The upright grey values as another library sees them."""
    turn = 1
    if form == "tiff":
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            pixels = page.asarray()
            if page.planarconfig == 2 and pixels.ndim == 3:
                pixels = np.moveaxis(pixels, 0, -1)
            turn = page.tags[274].value
            if page.photometric == 0:
                pixels = -pixels.astype(np.float64)
    elif form in ("gif", "jxl", "pillow tiff"):
        pixels = imageio.imread(path) if form == "gif" else _by_codec(path, form)
        if form == "pillow tiff":
            with tifffile.TiffFile(path) as file:
                turn = file.pages[0].tags[274].value
        pixels = pixels[0] if form == "gif" and pixels.ndim == 4 else pixels
    else:
        flags = (
            cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
            if form == "png"
            else cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
        )
        pixels = cv2.imdecode(
            np.frombuffer(path.read_bytes(), np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION
        )
        pixels = pixels[:, :, ::-1] if pixels.ndim == 3 else pixels
        with Image.open(path) as image:
            turn = int(image.getexif().get(0x0112, 1)) if form != "jp2" else 1
    return _grey(TURNS[turn](pixels.astype(np.float64)))


def _by_codec(path: Path, form: str) -> NDArray[Any]:
    import imagecodecs

    if form == "jxl":
        decoded: NDArray[Any] = imagecodecs.jpegxl_decode(path.read_bytes())
        return decoded
    with tifffile.TiffFile(path) as file:
        return file.pages[0].asarray()


def _grey(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    return pixels[:, :, :3] @ LUMA if pixels.ndim == 3 else pixels


def _add_others(folder: Path, random: np.random.Generator, expected: Expected) -> None:
    """Broken files, which have to be skipped, and others, which have to be counted."""
    first = next(iter(expected.pictures))
    content = (folder / first).read_bytes()
    broken = {
        "broken/empty.png": b"",
        "broken/text.jpg": b"no image, whatever its name says, and long enough for a header",
        "broken/cut.tif": content[:300] if first.lower().endswith(("tif", "tiff")) else b"II*\0\x08",
    }
    for name, what in broken.items():
        if random.integers(2):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(what)
            expected.broken.add(name)
    if random.integers(2):
        os.mkfifo(folder / "pipe.png")
        expected.broken.add("pipe.png")
    if random.integers(2):
        (folder / "itself.png").symlink_to(folder / "itself.png")
        expected.broken.add("itself.png")
    for name in ("notes.txt", "table.csv", ".hidden"):
        if random.integers(2):
            (folder / name).write_bytes(b"something else")
            expected.left_out += 1


def disagreements(folder: Path, expected: Expected) -> list[str]:
    """What `ruc` reads otherwise; empty where it agrees in count, order, pixels and brightness."""
    source = survey(find_images(folder), READING)
    wrong = []
    if list(source.file_names) != sorted({*expected.pictures, *expected.broken}):
        wrong.append(f"names {source.file_names}, expected {sorted({*expected.pictures, *expected.broken})}")
    if sum(source.left_out.values()) != expected.left_out:
        wrong.append(f"{source.left_out} left out, expected {expected.left_out}")
    ours, theirs = [], []
    for name, item in zip(source.file_names, source.items, strict=True):
        try:
            with pillow_warnings_ignored:
                image = decode(item, None, source.reading)  # type: ignore[arg-type]
        except UnreadableImageError as error:
            if name not in expected.broken:
                wrong.append(f"{name} refused ({error}): {expected.how[name]}")
            continue
        if name in expected.broken:
            wrong.append(f"{name} read, although it is broken")
            continue
        grey, other = _grey(np.asarray(image).astype(np.float64)), expected.pictures[name]
        if grey.shape != other.shape:
            wrong.append(f"{name} has the shape {grey.shape}, expected {other.shape}: {expected.how[name]}")
        elif (agreement := _rank_correlation(grey, other)) < SUFFICES:
            wrong.append(f"{name} agrees by {agreement:.3f}: {expected.how[name]}")
        if "miniswhite" not in expected.how[name]:
            ours.append(grey.mean())
            theirs.append(other.mean())
    ordered = np.array(ours)[np.argsort(theirs)]
    if len(ours) and (fall := float((np.maximum.accumulate(ordered) - ordered).max())) > ROUNDING:
        wrong.append(
            f"brightness across images falls by {fall:.2f} where it rises: {ordered.round(2).tolist()}"
        )
    return wrong


def _rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.corrcoef(rankdata(first.ravel()), rankdata(second.ravel()))[0, 1])


def check(seeds: range) -> list[str]:
    """The disagreements in the folders of these seeds."""
    found = []
    for seed in seeds:
        folder = Path(tempfile.mkdtemp(prefix="accounting"))
        try:
            expected = make_folder(folder, seed)
            found += [f"seed {seed}: {text}" for text in disagreements(folder, expected)]
        finally:
            shutil.rmtree(folder)
    return found


if __name__ == "__main__":
    n_folders = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    start = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    wrong = check(range(start, start + n_folders))
    sys.stdout.write(
        "\n".join([*wrong, f"{n_folders} folders from seed {start}, {len(wrong)} disagreements"]) + "\n"
    )
