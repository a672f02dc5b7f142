"""Copies that were made of real images, and which of them are found: `ruc copies` beside a perceptual hash.

    python experiments/copies.py DATA [--n 300] [--each 30]

DATA is a folder with images/. Of the first `n` images `each` are copied in every way below; pairs of an image and
anything made of it are right, all others wrong (so images that are near copies in DATA itself count as wrong).
Beside it pHash of 64 bits (`pip install ImageHash`), as fastdup-like tools use it, at distances 4 and 10.
The constants of `ruc.copies.pairs` were set with stl10, aerial7 and waste6.
"""

import argparse
import io
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from ruc.copies.pairs import find_pairs
from ruc.copies.pictures import read_pictures
from ruc.images.source import find_images
from ruc.runtime import Runtime

Pair = tuple[str, str]


def encoded(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def window(left: float, top: float, right: float, bottom: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.crop(
        (
            round(left * image.width),
            round(top * image.height),
            round(right * image.width),
            round(bottom * image.height),
        )
    )


def framed(image: Image.Image) -> Image.Image:
    frame = Image.new("RGB", (image.width * 9 // 8, image.height * 9 // 8))
    frame.paste(image, (image.width // 16, image.height // 16))
    return frame


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "a third": lambda image: image.resize((image.width // 3, image.height // 3)),
    "JPEG, quality 20": lambda image: encoded(image, 20),
    "cropped by 5%": window(0.025, 0.025, 0.975, 0.975),
    "cropped by 15%": window(0.075, 0.075, 0.925, 0.925),
    "cropped by 30%": window(0.3, 0.1, 1.0, 0.8),
    "turned by 90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 5°": lambda image: image.rotate(5, Image.Resampling.BILINEAR),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brighter (1.5)": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
    "darker (0.4)": lambda image: ImageEnhance.Brightness(image).enhance(0.4),
    "grey": lambda image: image.convert("L"),
    "in a frame": framed,
}


def by_hash(folder: Path, names: list[str], distance: int) -> set[Pair]:
    import imagehash

    bits = np.asarray([imagehash.phash(Image.open(folder / name)).hash.ravel() for name in names])
    differ = (bits[:, None] != bits[None]).sum(axis=2)
    return {(names[a], names[b]) for a, b in np.argwhere(np.triu(differ <= distance, 1))}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--n", type=int, default=300)
    parser.add_argument("--each", type=int, default=30)
    asked = parser.parse_args()
    files = sorted(path for path in (asked.data / "images").iterdir() if path.is_file())[: asked.n]
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder, made = Path(name), {}
        for file in files:
            Image.open(file).convert("RGB").save(folder / f"{file.stem}.png")
        for number, (way, make) in enumerate(WAYS.items()):
            for file in chance.sample(files, asked.each):
                copy = f"{file.stem}.{number}.png"
                make(Image.open(file).convert("RGB")).save(folder / copy)
                made[copy] = (way, f"{file.stem}.png")
        names = sorted(path.name for path in folder.iterdir())
        started = time.perf_counter()
        pictures = read_pictures(find_images(folder), Runtime("cpu"))
        pairs = find_pairs(pictures, None, Runtime("cpu"))
        seconds = time.perf_counter() - started
        found = {
            "ruc copies": {
                (pictures.file_names[a], pictures.file_names[b])
                for a, b in zip(pairs.first, pairs.second, strict=True)
            },
            "pHash, 4 bits": by_hash(folder, names, 4),
            "pHash, 10 bits": by_hash(folder, names, 10),
        }
    print(f"{asked.data.name}: {len(names)} images, {seconds:.0f} s\n")
    print(f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}")
    for way in WAYS:
        wanted = [tuple(sorted((copy, original))) for copy, (how, original) in made.items() if how == way]
        shares = [np.mean([pair in pairs_of for pair in wanted]) for pairs_of in found.values()]
        print(f"| {way} | {' | '.join(f'{100 * share:.0f}' for share in shares)} |")
    right = [
        np.mean([a.split(".")[0] == b.split(".")[0] for a, b in pairs_of]) for pairs_of in found.values()
    ]
    print(f"| precision of all pairs | {' | '.join(f'{100 * share:.1f}' for share in right)} |")


if __name__ == "__main__":
    main()
