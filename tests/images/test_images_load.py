"""Many images: in order, in parallel, with the lost ones named."""

import csv
import subprocess
import sys
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from data import data_set
from PIL import Image

from ruc.errors import InputError, NothingToClusterError, UnreadableImageError
from ruc.images.load import (
    choose_size,
    content_hashes,
    load_pixels,
    open_thumbnail,
    plain_view,
    stream_batches,
)
from ruc.images.source import find_images
from ruc.runtime import Runtime

RUNTIME = Runtime("cpu")


def folder_of(path: Path, n_images: int, n_broken: int = 0, size: tuple[int, int] = (8, 8)) -> Path:
    """Image i has the grey value i; the last ones are broken."""
    path.mkdir(exist_ok=True)
    for i in range(n_images):
        file = path / f"{i:03d}.png"
        if i < n_images - n_broken:
            Image.new("RGB", size, (i, i, 200)).save(file)
        else:
            file.write_bytes(b"broken")
    return path


def test_order_is_that_of_the_source(tmp_path: Path) -> None:
    images = load_pixels(find_images(folder_of(tmp_path, 200)), 8, RUNTIME)
    assert images.pixels.shape == (200, 3, 8, 8)
    assert images.pixels.dtype == np.uint8
    assert images.pixels[:, 0, 3, 3].tolist() == list(range(200))
    assert images.file_names[17] == "017.png"
    assert images.indices.tolist() == list(range(200))
    assert images.skipped == ()


def test_lost_images_are_named_and_left_out(tmp_path: Path) -> None:
    folder_of(tmp_path, 20)
    (tmp_path / "003.png").write_bytes(b"")
    (tmp_path / "011.png").write_bytes((tmp_path / "012.png").read_bytes()[:45])
    images = load_pixels(find_images(tmp_path), 8, RUNTIME)
    assert [(lost.file_name, lost.reason) for lost in images.skipped] == [
        ("003.png", "empty file"),
        ("011.png", "truncated"),
    ]
    kept = [i for i in range(20) if i not in (3, 11)]
    assert images.indices.tolist() == kept
    assert images.pixels[:, 0, 0, 0].tolist() == kept
    assert images.file_names == tuple(f"{i:03d}.png" for i in kept)


@pytest.mark.parametrize(("n_broken", "fails"), [(2, False), (3, True)])
def test_more_than_the_share_of_lost_images_fails(tmp_path: Path, n_broken: int, fails: bool) -> None:
    source = find_images(folder_of(tmp_path, 20, n_broken))
    if not fails:
        assert len(load_pixels(source, 8, RUNTIME).skipped) == n_broken
        return
    message = r"3 of 20 images .*3 not an image; the first is '017\.png'.* 0\.1 allowed; .*max_skipped"
    with pytest.raises(NothingToClusterError, match=message):
        load_pixels(source, 8, RUNTIME)
    assert len(load_pixels(source, 8, RUNTIME, max_skipped=0.15).skipped) == 3


def test_nothing_left_fails_whatever_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(NothingToClusterError, match=r"3 of 3 images .*so none is left; mend them"):
        load_pixels(find_images(folder_of(tmp_path, 3, 3)), 8, RUNTIME, max_skipped=1.0)
    with pytest.raises(InputError, match=r"max_skipped is 1\.5"):
        load_pixels(find_images(folder_of(tmp_path, 3)), 8, RUNTIME, max_skipped=1.5)


def test_one_channel_when_all_are_grey(tmp_path: Path) -> None:
    for i in range(5):
        Image.new("RGB" if i % 2 else "L", (8, 8), (i, i, i) if i % 2 else i).save(tmp_path / f"{i}.png")
    grey = load_pixels(find_images(tmp_path), 8, RUNTIME).pixels
    assert grey.shape == (5, 1, 8, 8)
    Image.new("RGB", (8, 8), (9, 8, 7)).save(tmp_path / "5.png")
    colour = load_pixels(find_images(tmp_path), 8, RUNTIME).pixels
    assert colour.shape == (6, 3, 8, 8)
    assert (colour[:5] == grey).all()
    assert colour[5, :, 0, 0].tolist() == [9, 8, 7]


def test_as_many_channels_as_are_asked_for(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 50).save(tmp_path / "0.png")
    Image.new("RGB", (8, 8), (90, 80, 70)).save(tmp_path / "1.png")
    source = find_images(tmp_path)
    luma = load_pixels(source, 8, RUNTIME, n_channels=1).pixels
    assert luma.shape == (2, 1, 8, 8)
    assert luma[:, 0, 0, 0].tolist() == [50, round(0.299 * 90 + 0.587 * 80 + 0.114 * 70)]
    colour = load_pixels(source.take([0]), 8, RUNTIME, n_channels=3).pixels
    assert colour[0, :, 0, 0].tolist() == [50, 50, 50]


def test_arrays_at_their_own_size_are_unchanged() -> None:
    array = np.random.default_rng(0).integers(0, 256, (7, 28, 28, 3), dtype=np.uint8)
    pixels = load_pixels(find_images(array), 28, RUNTIME).pixels
    assert (pixels == array.transpose(0, 3, 1, 2)).all()
    grey = load_pixels(find_images(array[..., 0]), 28, RUNTIME).pixels
    assert (grey[:, 0] == array[..., 0]).all()


@pytest.mark.parametrize(
    ("width", "height", "size", "tolerance"),
    [
        (1, 1, 16, 0),
        (5, 7, 20, 1),
        (900, 12, 24, 1),
        (12, 900, 24, 1),
        (44, 32, 16, 0),
        (200, 160, 16, 6),  # in two steps, a box filter before: not quite the same
    ],
)
def test_plain_view_equals_resizing_all_and_cropping(
    width: int, height: int, size: int, tolerance: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    view = plain_view(Image.fromarray(noise), size)
    scale = size / min(width, height)
    whole = Image.fromarray(noise).resize(
        (int(width * scale), int(height * scale)), Image.Resampling.BILINEAR
    )
    left, top = (whole.width - size) // 2, (whole.height - size) // 2
    expected = np.asarray(whole.crop((left, top, left + size, top + size)))
    assert np.abs(view.transpose(1, 2, 0).astype(int) - expected).max() <= tolerance


def test_panorama_shows_its_centre() -> None:
    pixels = np.zeros((12, 900), dtype=np.uint8)
    pixels[:, 444:456] = 255
    assert (plain_view(Image.fromarray(pixels), 24)[0, :, 2:-2] == 255).all()


def test_reducing_is_antialiased() -> None:
    chequered = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    view = plain_view(Image.fromarray(chequered), 16)
    assert np.abs(view.astype(int) - 127).max() <= 4


@pytest.mark.parametrize(
    ("side", "size"), [((8, 8), 16), ((28, 28), 28), ((32, 40), 32), ((96, 96), 32), ((400, 300), 32)]
)
def test_size_follows_the_images(side: tuple[int, int], size: int) -> None:
    assert choose_size(find_images(np.zeros((3, *side), dtype=np.uint8))) == size


def test_size_ignores_broken_files_and_outliers(tmp_path: Path) -> None:
    folder_of(tmp_path, 9, 3, (40, 30))
    Image.new("L", (900, 12)).save(tmp_path / "panorama.png")
    assert choose_size(find_images(tmp_path)) == 30
    assert choose_size(find_images(folder_of(tmp_path / "b", 2, 2)), 64) == 64


def test_batches_in_order_with_the_lost_ones(tmp_path: Path) -> None:
    folder_of(tmp_path, 23, 4)
    (tmp_path / "005.png").write_bytes(b"")
    batches = list(stream_batches(find_images(tmp_path), lambda image: np.asarray(image)[:2, :2, 0], 5))
    assert [len(batch.indices) for batch in batches] == [5, 4, 5, 4, 0]
    assert [len(batch.skipped) for batch in batches] == [0, 1, 0, 1, 3]
    assert batches[1].images[:, 0, 0].tolist() == batches[1].indices.tolist() == [6, 7, 8, 9]


def test_batches_can_be_left_early(tmp_path: Path) -> None:
    stream = stream_batches(find_images(folder_of(tmp_path, 50)), np.asarray, 5)
    assert next(stream).indices.tolist() == [0, 1, 2, 3, 4]
    stream.close()  # type: ignore[attr-defined]


def test_errors_of_prepare_are_not_taken_for_broken_images(tmp_path: Path) -> None:
    def prepare(image: Image.Image) -> np.ndarray:
        raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        list(stream_batches(find_images(folder_of(tmp_path, 3)), prepare, 2))


def test_memory_of_a_stream_does_not_grow() -> None:
    def peak(n_images: int) -> int:
        source = find_images(np.zeros((n_images, 8, 8), dtype=np.uint8))
        tracemalloc.start()
        for _ in stream_batches(source, lambda image: np.zeros((64, 64), dtype=np.float32), 10):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(20)
    assert peak(800) < 2 * peak(80)  # 800 prepared images alone would take ten times as much


def test_exact_copies_have_one_hash(tmp_path: Path) -> None:
    folder_of(tmp_path, 3)
    (tmp_path / "copy.png").write_bytes((tmp_path / "001.png").read_bytes())
    source = find_images(tmp_path)
    hashes = dict(zip(source.file_names, content_hashes(source), strict=True))
    assert hashes["copy.png"] == hashes["001.png"]
    assert len(set(hashes.values())) == 3
    array = np.zeros((3, 8, 8), dtype=np.uint8)
    array[1] = 1
    first, second, third = content_hashes(find_images(array))
    assert first == third != second
    assert content_hashes(find_images([tmp_path / "gone.png"])) == [""]


def test_thumbnail_is_whole_upright_and_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (400, 200)).save(tmp_path / "a.jpg", exif=exif)
    (tmp_path / "b.jpg").write_bytes(b"")
    source = find_images(tmp_path)
    thumbnail = open_thumbnail(source, 0, 96)
    assert (thumbnail.mode, thumbnail.size) == ("RGB", (48, 96))
    with pytest.raises(UnreadableImageError, match="empty"):
        open_thumbnail(source, 1, 96)


def test_thumbnails_in_threads_leave_the_warning_filters_alone(tmp_path: Path) -> None:
    """A corrupt EXIF block makes Pillow warn, and the filters are those of the whole process."""
    corrupt = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"
    for i in range(40):
        Image.new("RGB", (20, 20)).save(tmp_path / f"{i}.jpg", exif=corrupt)
    source = find_images(tmp_path)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        thumbnails = list(pool.map(lambda index: open_thumbnail(source, index, 10), range(40)))
    assert [thumbnail.size for thumbnail in thumbnails] == [(10, 10)] * 40
    assert list(warnings.filters) == before
    assert len(load_pixels(source, 10, RUNTIME).pixels) == 40
    assert list(warnings.filters) == before


def test_the_messy_folder_loses_exactly_the_broken_ones() -> None:
    folder = data_set("messy_photos")
    source = find_images(folder / "images")
    with (folder / "truth.csv").open(encoding="utf-8") as file:
        assert list(source.file_names) == sorted(row["file_name"] for row in csv.DictReader(file))
    images = load_pixels(source, choose_size(source), RUNTIME)
    assert {lost.file_name: lost.reason for lost in images.skipped} == {
        "broken/empty.jpg": "empty file",
        "broken/garbage.png": "not an image",
        "broken/huge_header.png": "larger than 300 megapixels (--max-megapixels): 60000 x 60000 pixels",
        "broken/text.jpg": "not an image",
        "broken/truncated.jpg": "truncated",
    }
    assert images.pixels.shape == (141, 3, 32, 32)


@pytest.mark.parametrize(("name", "shape"), [("mnist5k", (1, 28, 28)), ("cifar10_5k", (3, 32, 32))])
def test_small_data_sets_come_out_at_their_own_size(name: str, shape: tuple[int, ...]) -> None:
    source = find_images(data_set(name) / "images").take(range(0, 5000, 50))
    pixels = load_pixels(source, choose_size(source), RUNTIME).pixels
    assert pixels.shape == (100, *shape)
    with Image.open(source.items[7]) as image:
        expected = np.asarray(image).reshape(shape[1], shape[2], shape[0]).transpose(2, 0, 1)
    assert (pixels[7] == expected).all()


def test_reading_images_does_not_import_torch() -> None:
    code = "import sys, ruc.images.load; sys.exit('torch' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
