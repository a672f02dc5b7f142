"""Which images are found, and what they are called."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ruc.errors import InputError, NothingToClusterError
from ruc.images.reading import READING
from ruc.images.source import find_images, names_alike
from ruc.images.survey import survey

PNG = b"\x89PNG\r\n\x1a\n" + bytes(30)
JPEG = b"\xff\xd8\xff\xe0" + bytes(30)


def touch(folder: Path, **files: bytes) -> None:
    """Files by name, with `__` for a folder and `_dot_` for a dot."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_folder_is_searched_below_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, b_dot_png=PNG, a__z_dot_JPG=JPEG, a__b__c_dot_webp=b"", B_dot_gif=b"")
    source = find_images(tmp_path)
    assert source.file_names == ("B.gif", "a/b/c.webp", "a/z.JPG", "b.png")
    assert [path.relative_to(tmp_path).as_posix() for path in source.items] == list(source.file_names)


def test_the_order_of_the_directory_does_not_matter(tmp_path: Path, backward_walk: None) -> None:
    touch(tmp_path, b_dot_png=PNG, a__z_dot_png=PNG, a__y_dot_png=PNG, c__x_dot_png=PNG)
    source = find_images(tmp_path)
    assert source.file_names == ("a/y.png", "a/z.png", "b.png", "c/x.png")


def test_suffix_or_first_bytes_make_an_image(tmp_path: Path) -> None:
    touch(
        tmp_path, no_suffix=JPEG, wrong_dot_dat=PNG, notes_dot_txt=b"notes", text_dot_jpg=b"text", empty=b""
    )
    touch(tmp_path, letters_dot_text=b"BM, dear friend, is no bitmap")
    assert find_images(tmp_path).file_names == ("no_suffix", "text.jpg", "wrong.dat")


def test_compressed_archives_are_counted_as_such(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for name in ("b.tar.gz", "c.TAR.GZ", "d.csv.zst", "e.gz", "f.tgz", "g"):
        (tmp_path / name).write_bytes(b"nothing")
    left_out = {".tar.gz": 2, ".csv.zst": 1, ".gz": 1, ".tgz": 1, "without a suffix": 1}
    assert find_images(tmp_path).left_out == left_out


def test_folders_of_systems_are_left_out(tmp_path: Path) -> None:
    for name in (
        "a.png",
        "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg",
        "more/__MACOSX/a.png",
        "more/$RECYCLE.BIN/S-1/$R1.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(PNG)
    found = find_images(tmp_path)
    assert found.file_names == ("a.png",)
    assert found.left_out == {"$RECYCLE.BIN/": 1, "@eaDir/": 1, "__MACOSX/": 1}


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, _dot_hidden_dot_png=PNG, _dot_cache__a_dot_png=PNG, a_dot_png=PNG, _dot_DS_Store=PNG)
    assert find_images(tmp_path).file_names == ("a.png",)


def test_links_are_followed_within_the_folder_alone(tmp_path: Path) -> None:
    touch(tmp_path, inside__a_dot_png=PNG, outside__b_dot_png=PNG)
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "again.png").symlink_to(inside / "a.png")
    (inside / "out.png").symlink_to(outside / "b.png")
    (inside / "folder").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    assert find_images(inside).file_names == ("a.png", "again.png")
    (tmp_path / "link").symlink_to(inside)
    assert find_images(tmp_path / "link").file_names == ("a.png", "again.png")


def test_folder_of_links_says_why_it_is_empty(tmp_path: Path) -> None:
    touch(tmp_path, outside__b_dot_png=PNG, inside__notes_dot_txt=b"x")
    (tmp_path / "inside/out.png").symlink_to(tmp_path / "outside/b.png")
    with pytest.raises(
        NothingToClusterError,
        match=r"2 left out \(1 \.txt, 1 links that lead out of the folder\) \(give those as a list",
    ):
        find_images(tmp_path / "inside")


def test_unicode_names_stay_as_they_are(tmp_path: Path) -> None:
    names = ["이미지 café.jpg", "cafe\u0301.jpg", "caf\u00e9.jpg"]
    for name in names:
        (tmp_path / name).write_bytes(JPEG)
    assert find_images(tmp_path).file_names == tuple(sorted(names))


def test_names_that_are_no_unicode_are_escaped(tmp_path: Path) -> None:
    try:
        (tmp_path / "caf\udce9.jpg").write_bytes(JPEG)
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes Unicode names alone")
    source = find_images(tmp_path)
    assert source.file_names == (r"caf\udce9.jpg",)
    assert source.items[0].is_file()


def test_list_of_absolute_paths_is_named_from_the_common_folder(tmp_path: Path) -> None:
    touch(tmp_path, a__2_dot_png=PNG, b__1_dot_png=PNG)
    source = find_images([tmp_path / "b/1.png", str(tmp_path / "a/2.png")])
    assert source.file_names == ("b/1.png", "a/2.png")
    assert source.items == (tmp_path / "b/1.png", tmp_path / "a/2.png")
    assert find_images([tmp_path / "a/2.png"]).file_names == ("2.png",)


def test_list_of_relative_paths_keeps_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, a__2_dot_png=PNG, a__1_dot_png=PNG)
    monkeypatch.chdir(tmp_path)
    source = find_images(["a/2.png", Path("./a/1.png")])
    monkeypatch.chdir("/")
    assert source.file_names == ("a/2.png", "a/1.png")
    assert all(path.is_file() for path in source.items)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_table_names_are_relative_to_its_folder(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, images__007=PNG, images__8=PNG)
    table = tmp_path / f"images/table.{suffix}"
    if suffix == "csv":
        table.write_text("\ufefffile_name,label\n8,x\n007,\n", encoding="utf-8")
    else:
        pq.write_table(pa.table({"label": ["x", None], "file_name": ["8", "007"]}), table)
    source = find_images(str(table))
    assert source.file_names == ("8", "007")  # text, though it looks like numbers
    assert [path.parent.name for path in source.items] == ["images", "images"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file_name\na.png\nb.png\n./a.png\n", "'a.png'"),
        ("name\na.png\n", r"columns \['name'\]; expected one called file_name"),
        ("file_name,x\na.png,1\n,2\n", "line 3: has no file_name"),
        ("file_name,x\na.png,1,3,4\n", "line 2: 4 values for 2 columns"),
        ("file_name\n", "list of images is empty"),
        ("", "is empty"),
    ],
)
def test_wrong_table_says_what_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        find_images(tmp_path / "t.csv")


def test_listing_an_image_twice_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 image is listed more than once: 'a\.png'"):
        find_images([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "a.png"])


@pytest.mark.parametrize("shape", [(5, 8, 9), (5, 8, 9, 1), (5, 8, 9, 3), (5, 8, 9, 4)])
def test_array_rows_are_named_by_number(shape: tuple[int, ...]) -> None:
    source = find_images(np.zeros((12, *shape[1:]), dtype=np.uint8))
    assert source.file_names == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11")
    assert len(source) == 12


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((5, 3, 8, 8), np.uint8), r"transpose\(0, 2, 3, 1\)"),
        (np.zeros((8, 8, 3, 5), np.uint8), r"transpose\(3, 0, 1, 2\)"),
        (np.zeros((32, 32, 3), np.uint8), "single image"),
        (np.zeros((5, 64), np.uint8), r"shape \(5, 64\)"),
        (np.zeros((0, 8, 8), np.uint8), "no image"),
        (np.zeros((2, 8, 8), np.int64), "int64"),
        (np.full((2, 8, 8), 255.0), r"\[255, 255\]; expected values in \[0, 1\]"),
        (np.full((2, 8, 8), np.nan), "nan"),
    ],
)
def test_wrong_array_says_what_is_wrong(array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_images(array)


def test_images_along_the_last_axis_are_asked_about(caplog: pytest.LogCaptureFixture) -> None:
    for shape in ((9, 8, 8), (5, 8, 9), (8, 8, 8)):
        find_images(np.zeros(shape, np.uint8))
    assert not caplog.text
    find_images(np.zeros((8, 8, 50), np.uint8))
    assert "8 images of 50 × 8 pixels are read; if these are 50 of 8 × 8, images come first" in caplog.text


def test_things_that_are_no_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_images(tmp_path / "nowhere")
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="is a single image; expected a folder"):
        find_images(tmp_path / "a.png")
    with tarfile.open(tmp_path / "shard.tgz", "w:gz") as archive:
        archive.add(tmp_path / "a.png")
    with pytest.raises(InputError, match="is a tar archive that is compressed, or called otherwise"):
        find_images(tmp_path / "shard.tgz")
    with pytest.raises(InputError, match="holds the folder"):
        find_images([tmp_path])
    what_is_none: tuple[Any, ...] = (None, 3, [3], iter([Path("a.png"), 3]))
    for given in what_is_none:
        with pytest.raises(InputError, match=r"images hold (None|3); expected a folder, paths, a table"):
            find_images(given)
    with pytest.raises(NothingToClusterError, match="empty"):
        find_images([])
    with pytest.raises(NothingToClusterError, match="no image in"):
        find_images(tmp_path.joinpath("empty").resolve().mkdir() or tmp_path / "empty")


def test_take_keeps_names(tmp_path: Path) -> None:
    array = find_images(np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 8, 8), np.uint8)).take(
        [3, 1]
    )
    assert array.file_names == ("3", "1")
    assert [row[0, 0] for row in array.items] == [3, 1]
    files = find_images([tmp_path / name for name in "cab"]).take(np.array([2, 0]))
    assert files.file_names == ("b", "c")
    assert find_images(files) is files


def test_a_stack_of_images_in_a_file(tmp_path: Path) -> None:
    stack = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    np.save(tmp_path / "stack.npy", stack)
    source = find_images(tmp_path / "stack.npy")
    assert source.file_names == ("0", "1", "2")
    assert np.array_equal(source.items, stack)
    np.save(tmp_path / "stack.npy", stack.astype(np.int32))
    with pytest.raises(InputError, match="the type int32"):
        find_images(tmp_path / "stack.npy")


def test_a_list_without_heading_keeps_its_first_line(tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.png"):
        Image.new("L", (4, 4)).save(tmp_path / name)
    (tmp_path / "list.txt").write_text("b.png\nc.png\na.png\n")
    assert find_images(tmp_path / "list.txt").file_names == ("b.png", "c.png", "a.png")
    (tmp_path / "list.csv").write_text("b.png,1\nc.png,2\n")
    with pytest.raises(InputError, match=r"first line names the file 'b\.png' instead of columns"):
        find_images(tmp_path / "list.csv")


def test_images_within_a_table_are_said_to_be(tmp_path: Path) -> None:
    images = pa.array([{"bytes": b"...", "path": "a.png"}])
    pq.write_table(pa.table({"image": images, "label": [0]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"'image' of struct<.*or a column of bytes"):
        find_images(tmp_path / "t.parquet")


def test_names_that_differ_in_how_accents_are_coded_are_found(tmp_path: Path) -> None:
    touch(tmp_path, **dict.fromkeys(("é.jpg", "é.jpg", "á.jpg", "e.jpg"), JPEG))
    source = find_images(tmp_path)
    if len(source.file_names) == 3:
        pytest.skip("this disk takes the two for one")
    assert names_alike(source.file_names) == ["e\u0301.jpg"]
    remarks = survey(source, READING).remarks
    assert any(r"beside 'e\u0301.jpg' there is a name that differs only" in remark for remark in remarks)


def test_a_table_whose_files_are_gone_is_said_to_name_them(tmp_path: Path) -> None:
    """As `datasets` writes an image folder: paths alone, without bytes."""
    images = pa.array(
        [{"bytes": None, "path": "/elsewhere/a.png"}], pa.struct({"bytes": pa.binary(), "path": pa.string()})
    )
    pq.write_table(pa.table({"image": images, "label": [0]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"\('/elsewhere/a.png', the first image.path, isn't there\)"):
        find_images(tmp_path / "t.parquet")
