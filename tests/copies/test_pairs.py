"""Copies are found whatever was done to them, other pictures aren't, and the best image of a group is kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ruc.cli import main
from ruc.copies.changes import look, name_of
from ruc.copies.groups import make_groups
from ruc.copies.pairs import find_pairs
from ruc.copies.pictures import Pictures, read_pictures, sharpness_of
from ruc.doors.find_copies import copies_to_csv, leaks_to_csv
from ruc.errors import InputError, RunFolderError
from ruc.images.source import find_images
from ruc.runtime import Runtime
from ruc.skipped import NewTable

CPU = Runtime("cpu")


def scene(seed: int, side: int = 120) -> Image.Image:
    """Ten rectangles and discs of random greys: no two scenes are alike."""
    random = np.random.default_rng(seed)
    pixels = np.full((side, side), 128.0)
    down, across = np.mgrid[:side, :side] / side
    for number in range(10):
        y, x, size = random.uniform(0.1, 0.9, 3) * (1, 1, 0.4)
        distance = (
            np.maximum(abs(down - y), abs(across - x)) if number % 2 else np.hypot(down - y, across - x)
        )
        pixels[distance < size / 2] = random.uniform(0, 255)
    return Image.fromarray(pixels.astype(np.uint8)).convert("RGB")


CHANGES = {
    "same picture": [
        lambda image: image.resize((60, 60)),
        lambda image: image.convert("L").point(lambda value: value // 2 + 20),
    ],
    "turned 90°": [lambda image: image.transpose(Image.Transpose.ROTATE_270)],
    "turned 180°": [lambda image: image.transpose(Image.Transpose.ROTATE_180)],
    "mirrored": [lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)],
    "cropped": [lambda image: image.crop((8, 4, 112, 108)), lambda image: image.crop((0, 0, 97, 97))],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve scenes, and of the first ones a copy in each way."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(12):
        scene(number).save(images / f"{number:02}.png")
    ways = [(change, make) for change, makes in CHANGES.items() for make in makes]
    for number, (change, make) in enumerate(ways):
        make(scene(number)).save(images / f"{number:02} {change}.png")
    return images


def test_every_copy_is_found_with_its_change_and_nothing_else(folder: Path) -> None:
    pictures = read_pictures(find_images(folder), CPU)
    pairs = find_pairs(pictures, None, CPU)
    found = {
        (pictures.file_names[a], pictures.file_names[b]): change
        for a, b, change in zip(pairs.first, pairs.second, pairs.change, strict=True)
    }
    expected = {}
    for name in pictures.file_names:
        number, _, change = name.removesuffix(".png").partition(" ")
        if change:
            expected[tuple(sorted((name, f"{number}.png")))] = change
    # Which of the two was turned is not told by the pair.
    assert {pair: change.replace("270", "90") for pair, change in found.items()} == expected


def test_windows_that_turn_are_quarter_turns_and_mirrors() -> None:
    picture = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    for turn in range(4):
        for mirrored in (0, 1):
            expected = torch.rot90(picture, turn, (1, 2))
            expected = expected.flip(2) if mirrored else expected
            window = torch.tensor([[turn, mirrored, 1.0, 0, 0, 0]])
            torch.testing.assert_close(look(picture, window), expected, rtol=0, atol=1e-5)


def test_changes_have_names() -> None:
    assert name_of(torch.tensor([0, 0, 1.0, 0, 0, 0])) == "same picture"
    assert name_of(torch.tensor([1, 1, 0.8, 0, 0, 0])) == "turned 90°, mirrored, cropped"


def test_flat_images_are_copies_by_their_bytes_alone(tmp_path: Path) -> None:
    for name, grey in (("a", 100), ("b", 100), ("c", 130)):
        Image.new("L", (50, 50), grey).save(tmp_path / f"{name}.png")
    pictures = read_pictures(find_images(tmp_path), CPU)
    pairs = find_pairs(pictures, None, CPU)
    assert (pairs.first.tolist(), pairs.second.tolist(), pairs.change) == ([0], [1], ("same file",))


def test_a_frame_makes_neither_copies_nor_strangers(tmp_path: Path) -> None:
    for number in (0, 1):
        scene(number).save(tmp_path / f"{number}.png")
        framed = Image.new("RGB", (160, 160))
        framed.paste(scene(number), (20, 20))
        framed.save(tmp_path / f"{number} framed.png")
    pictures = read_pictures(find_images(tmp_path), CPU)
    pairs = find_pairs(pictures, None, CPU)
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == [(0, 1), (2, 3)]


def test_the_largest_is_kept_then_the_sharpest(tmp_path: Path) -> None:
    scene(0, 200).resize((150, 150)).save(tmp_path / "small.png")
    scene(0, 200).save(tmp_path / "z sharp.png")
    scene(0, 200).resize((120, 120)).resize((200, 200)).save(tmp_path / "blurred.png")
    scene(1).save(tmp_path / "another.png")
    pictures = read_pictures(find_images(tmp_path), CPU)
    (group,) = make_groups(pictures, find_pairs(pictures, None, CPU))
    assert [pictures.file_names[row] for row in group.rows] == ["z sharp.png", "blurred.png", "small.png"]
    assert group.change == ("", "same picture", "same picture")


def test_sharpness_against_a_loop() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (7, 9)).astype(np.uint8)
    light = grey / 255
    laplacians = [
        light[y - 1, x] + light[y + 1, x] + light[y, x - 1] + light[y, x + 1] - 4 * light[y, x]
        for y in range(1, 6)
        for x in range(1, 8)
    ]
    assert sharpness_of(grey) == pytest.approx(np.mean(np.square(laplacians)), rel=1e-5)
    assert sharpness_of(grey[:2]) == 0


def test_tables_name_the_keeper_and_the_leaks(folder: Path, tmp_path: Path) -> None:
    found = copies_to_csv(str(folder), NewTable(tmp_path / "copies.csv"), CPU)
    lines = (tmp_path / "copies.csv").read_text().splitlines()
    assert lines[0] == "group,file_name,keep,similarity,change,width,height,sharpness"
    assert (found.n_images, found.n_copies, found.n_groups, len(lines)) == (19, 7, 7, 15)
    test = tmp_path / "test"
    test.mkdir()
    scene(3).resize((77, 77)).save(test / "seen.png")
    scene(99).save(test / "new.png")
    leaks = leaks_to_csv(str(folder), str(test), NewTable(tmp_path / "leaks.csv"), CPU)
    rows = (tmp_path / "leaks.csv").read_text().splitlines()[1:]
    assert leaks.n_copies == 1 and leaks.n_images == 2
    assert {row.split(",")[1] for row in rows} == {"seen.png"}
    assert any(row.startswith("03.png,seen.png,") for row in rows)


def test_what_cannot_be_read_is_named_with_its_reason(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    found = copies_to_csv(str(folder), NewTable(tmp_path / "copies.csv"), CPU)
    assert [name for name, _ in found.skipped] == ["broken.png"] and found.n_images == 19
    assert (tmp_path / "copies_skipped.csv").read_text().splitlines()[1].startswith("broken.png,")


def test_a_run_on_features_has_no_images_to_compare(tmp_path: Path) -> None:
    rows = np.eye(3, 8, dtype=np.float32)[np.arange(30) % 3]
    np.save(
        tmp_path / "f.npy", rows + 0.1 * np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    )
    arguments = ["--features", str(tmp_path / "f.npy"), "-k", "3", "--epochs", "1", "-q"]
    with pytest.raises(SystemExit):
        main(["cluster", *arguments, "-o", str(tmp_path / "run")])
    with pytest.raises(InputError, match="is a run on features or an array; expected one on images"):
        copies_to_csv(str(tmp_path / "run"), NewTable(tmp_path / "copies.csv"), CPU)


def test_the_images_are_never_overwritten(folder: Path) -> None:
    with pytest.raises(RunFolderError, match="is a folder"):
        copies_to_csv(str(folder), NewTable(folder), CPU)


def test_nothing_is_a_copy_of_nothing() -> None:
    none = Pictures((), np.empty((0, 64, 64), np.uint8), (), *(np.empty(0, np.int64) for _ in range(3)), ())
    assert len(find_pairs(none, None, CPU).first) == 0


def test_without_any_readable_image_the_reason_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"none")
    with pytest.raises(InputError, match=r"none of 1 images can be read \(a.png: not an image\)"):
        read_pictures(find_images(tmp_path), CPU)
