"""Speed and memory of reading photographs, against a plain Pillow loop in the same run.

    python benchmarks/reading.py PHOTOS [--images 2000] [--size 64]

PHOTOS is a folder with some photographs. They are enlarged to 2-12 megapixels and written as JPEG of
quality 90 until there are as many as asked. Printed are images per second of the loop (open, turn upright,
RGB, resize, crop: what one would write by hand), of `load_pixels` and of `stream_batches`, their ratio to the
loop, and the peak memory above what the process had before (Linux alone). Each runs in a process of its own,
with the files in the cache of the operating system.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from memory import forget_peak, held_mebibytes
from PIL import Image, ImageOps

from ruc.images.load import load_pixels, plain_view, stream_batches
from ruc.images.source import ImageSource, find_images
from ruc.runtime import Runtime

MEGAPIXELS = (2, 12)
BATCH_SIZE = 32


def make_photographs(photos: Path, folder: Path, n_images: int) -> None:
    """Write `n_images` JPEG files, enlarged from those of `photos`, of 2 to 12 megapixels."""
    source = find_images(photos)
    large_enough = [Path(path) for path in source.items if _shorter_side(Path(path)) >= 200]
    generator = np.random.default_rng(0)
    for number in range(n_images):
        with Image.open(large_enough[number % len(large_enough)]) as photo:
            pixels = generator.uniform(*MEGAPIXELS) * 1e6
            scale = (pixels / (photo.width * photo.height)) ** 0.5
            size = (round(photo.width * scale), round(photo.height * scale))
            photo.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(
                folder / f"{number:05d}.jpg", quality=90
            )


def _shorter_side(path: Path) -> int:
    try:
        with Image.open(path) as image:
            image.load()
            return min(image.size)
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return 0


def pillow_loop(source: ImageSource, size: int) -> int:
    views = []
    for path in source.items:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        views.append(np.asarray(ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)))
    return len(np.stack(views))


def load_pixels_at_once(source: ImageSource, size: int) -> int:
    return len(load_pixels(source, size, Runtime("cpu")).pixels)


def stream(source: ImageSource, size: int) -> int:
    batches = stream_batches(source, lambda image: plain_view(image, size), BATCH_SIZE, size)
    return sum(len(batch.images) for batch in batches)


READERS: dict[str, Callable[[ImageSource, int], int]] = {
    "Pillow loop": pillow_loop,
    "load_pixels": load_pixels_at_once,
    "stream_batches": stream,
}


def measure(reader: str, folder: Path, size: int) -> dict[str, float]:
    """Run one reader in a process of its own."""
    command = [sys.executable, __file__, str(folder), "--size", str(size), "--only", reader]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def run_only(reader: str, folder: Path, size: int) -> None:
    source = find_images(folder)
    forget_peak()
    before = held_mebibytes()
    wall, process = time.perf_counter(), time.process_time()
    n_read = READERS[reader](source, size)
    usage = {
        "images": n_read,
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - process,
        "mebibytes": held_mebibytes() - before,
    }
    print(json.dumps(usage))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--only", choices=READERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        run_only(arguments.only, arguments.photos, arguments.size)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photographs(arguments.photos, folder, arguments.images)
        megabytes = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        print(
            f"{arguments.images} photographs of {MEGAPIXELS[0]}-{MEGAPIXELS[1]} megapixels, {megabytes:,.0f} MB"
        )
        print(f"{'':16}{'images/s':>10}{'ratio':>8}{'per CPU second':>16}{'ratio':>8}{'peak MiB':>10}")
        loop = measure("Pillow loop", folder, arguments.size)
        for reader in READERS:
            result = loop if reader == "Pillow loop" else measure(reader, folder, arguments.size)
            speed, by_cpu = (loop[key] / result[key] for key in ("seconds", "cpu_seconds"))
            print(
                f"{reader:16}{result['images'] / result['seconds']:10.1f}{speed:8.2f}"
                f"{result['images'] / result['cpu_seconds']:16.1f}{by_cpu:8.2f}{result['mebibytes']:10.0f}"
            )


if __name__ == "__main__":
    main()
