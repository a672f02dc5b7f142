"""Images within tar archives and Parquet tables: the same as in a folder, and what can't be read is named."""

import io
import os
import pickle
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from ruc.errors import InputError, NothingToClusterError
from ruc.images.load import content_hashes, load_pixels
from ruc.images.packed import ROWS_KEPT, RowReader
from ruc.images.reading import READING
from ruc.images.source import find_images
from ruc.images.survey import survey
from ruc.runtime import Runtime

CPU = Runtime("cpu")
N_IMAGES = 40


@pytest.fixture
def folder(tmp_path):
    """Images of noise, some in 16 bits as TIFF, which have a range in common, and one that is damaged."""
    made = tmp_path / "photos"
    (made / "sub").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(N_IMAGES):
        if number % 4 == 0:
            values = generator.integers(1000, 3000, (20, 24), dtype=np.uint16)
            Image.fromarray(values).save(made / f"{number:03}.tif")
        else:
            Image.fromarray(generator.integers(0, 256, (24, 20, 3), dtype=np.uint8)).save(
                made / "sub" / f"{number:03}.png"
            )
    (made / "sub" / "999.png").write_bytes(b"damaged")
    (made / "notes.json").write_text("{}")
    return made


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def make_tar(path, folder, files):
    with tarfile.open(path, "w") as archive:
        for file in files:
            archive.add(file, file.relative_to(folder))


def make_table(path, contents, rows_a_group=7, **columns):
    parquet.write_table(pa.table({**columns, "image": contents}), path, row_group_size=rows_a_group)


def pixels_of(source):
    return load_pixels(survey(source, READING), 16, CPU, max_skipped=0.5)


def assert_same_images(one, other):
    first, second = pixels_of(one), pixels_of(other)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.indices, second.indices)
    assert [skipped.reason for skipped in first.skipped] == [skipped.reason for skipped in second.skipped]
    assert len(first.skipped) == 1
    assert content_hashes(one) == content_hashes(other)


def test_an_archive_is_read_as_its_folder_is(folder, tmp_path):
    make_tar(tmp_path / "all.tar", folder, files_in(folder))
    expected, found = find_images(folder), find_images(tmp_path / "all.tar")
    assert found.file_names == expected.file_names and found.left_out == {".json": 1}
    assert_same_images(found, expected)
    assert found.files == (tmp_path / "all.tar",)


def test_a_folder_of_shards(folder, tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    expected = find_images(folder)
    for number in range(3):
        make_tar(
            shards / f"{number}.tar", folder, [expected.items[row] for row in range(number, N_IMAGES, 3)]
        )
    (shards / "4.tar").write_bytes(b"damaged" * 1000)
    found = find_images(shards)
    rows = [row for number in range(3) for row in range(number, N_IMAGES, 3)]
    assert found.file_names[:-1] == tuple(f"{row % 3}.tar/{expected.file_names[row]}" for row in rows)
    read = pixels_of(found)
    np.testing.assert_array_equal(read.pixels, pixels_of(expected.take(rows)).pixels)
    assert [(one.file_name, one.reason.partition(":")[0]) for one in read.skipped] == [("4.tar", "damaged")]


def test_beside_photographs_archives_are_left_out(folder, tmp_path):
    make_tar(folder / "backup.tar", folder, files_in(folder))
    assert find_images(folder).left_out == {".json": 1, ".tar": 1}


def png(value=0):
    content = io.BytesIO()
    Image.new("L", (8, 8), value).save(content, "PNG")
    return content.getvalue()


def add(archive, name, content=b"", kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, len(content)
    archive.addfile(member, io.BytesIO(content))


def test_no_member_leaves_the_archive(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(99))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "./good.png", png(1))
        add(archive, "../secret.png", png(2))
        add(archive, "a/../back.png", png(2))
        add(archive, "link.png", kind=tarfile.SYMTYPE, link=str(tmp_path / "secret.png"))
        add(archive, "hard.png", kind=tarfile.LNKTYPE, link="good.png")
        add(archive, "pipe.png", kind=tarfile.FIFOTYPE)
        add(archive, "/absolute.png", png(3))
        add(archive, "good.png", png(4))  # as `tar --update` appends it
        add(archive, ".hidden.png", png(5))
        add(archive, "label.cls", b"7")
        add(archive, "without suffix", png(6))
        add(archive, "empty.png")
    found = find_images(tmp_path / "a.tar")
    assert found.left_out == {"replaced by later members": 1, "hidden": 1, ".cls": 1}
    read = load_pixels(found, 8, CPU, max_skipped=0.9)
    assert dict(zip(read.file_names, read.pixels[:, 0, 0, 0].tolist(), strict=True)) == {
        "absolute.png": 3,
        "good.png": 4,
        "without suffix": 6,
    }
    assert {one.file_name: one.reason for one in read.skipped} == {
        "../secret.png": "its name leads out of the archive",
        "a/../back.png": "its name has .. in it, which tar takes for an attack",
        "link.png": "a link within an archive",
        "hard.png": "a link within an archive",
        "pipe.png": "not a plain member of its archive",
        "empty.png": "empty file",
    }


def test_names_are_whole_and_endings_of_any_kind(tmp_path):
    names = ("0.jpg", "1.jpeg", "2.JPG", "n3.JPEG", "2021.04.jpg", "2021.05.jpg")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for value, name in enumerate(names):
            add(archive, name, png(value))
    read = load_pixels(find_images(tmp_path / "a.tar"), 8, CPU)
    assert read.file_names == names and read.pixels[:, 0, 0, 0].tolist() == list(range(6))


@pytest.fixture
def three(tmp_path):
    """An archive of three images, and where the header and the content of the second are."""
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(3):
            add(archive, f"{number}.png", png(number))
    with tarfile.open(tmp_path / "a.tar") as archive:
        second = archive.getmember("1.png")
    return tmp_path / "a.tar", second.offset, second.offset_data


def reasons(path):
    read = load_pixels(find_images(path), 8, CPU, max_skipped=0.9)
    return read.file_names, {one.file_name: one.reason for one in read.skipped}


def test_an_archive_that_is_cut_off(three):
    path, _, content = three
    os.truncate(path, content + 20)
    assert reasons(path) == (("0.png",), {"1.png": "truncated", "a.tar": "truncated"})


def test_a_damaged_header_does_not_end_an_archive_silently(three):
    path, header, _ = three
    with path.open("r+b") as file:
        file.seek(header + 150)  # where its checksum is
        file.write(b"broken")
    names, skipped = reasons(path)
    assert names == ("0.png",)
    assert skipped == {"a.tar": f"damaged: what follows its byte {header} can't be read"}


def test_a_compressed_archive_says_so(three):
    path, _, _ = three
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "0.png", png())
    with pytest.raises(InputError, match=r"'a\.tar' holds no image .*: a compressed archive: decompress it$"):
        find_images(path)
    path.rename(path.with_name("a.tar.gz"))
    with pytest.raises(InputError, match="is a tar archive that is compressed"):
        find_images(path.with_name("a.tar.gz"))


def test_what_only_is_called_an_archive_is_refused(tmp_path, three):
    for name, content, fault in (("b.tar", b"text" * 500, "damaged: "), ("c.tar", b"", "damaged: empty")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"'{name}' holds no image that can be read: {fault}"):
            find_images(tmp_path / name)
    assert find_images(tmp_path).file_names[-2:] == ("b.tar", "c.tar")  # beside a sound one they are skipped
    three[0].unlink()
    with pytest.raises(InputError, match=r"'b\.tar' holds no image .*\(2 such archives\)"):
        find_images(tmp_path)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_a_table_of_bytes_is_read_as_the_folder_is(folder, tmp_path, kind):
    expected = find_images(folder)
    contents = pa.array([path.read_bytes() for path in expected.items], kind)
    make_table(
        tmp_path / "all.parquet", contents, file_name=list(expected.file_names), number=range(len(expected))
    )
    found = find_images(tmp_path / "all.parquet")
    assert found.file_names == expected.file_names
    assert_same_images(found, expected)
    assert_same_images(pickle.loads(pickle.dumps(found)), expected)


@pytest.mark.parametrize("heading", ["image", "image.raw"])
def test_a_table_of_bytes_alone_is_called_by_its_rows(tmp_path, heading):
    parquet.write_table(pa.table({heading: [png(number) for number in range(4)]}), tmp_path / "a.parquet")
    found = find_images(tmp_path / "a.parquet")
    assert found.file_names == ("0", "1", "2", "3")
    assert load_pixels(found, 8, CPU).pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def structs(contents, paths):
    return pa.StructArray.from_arrays(
        [pa.array(contents, pa.binary()), pa.array(paths, pa.string())], ["bytes", "path"]
    )


def test_structs_as_datasets_writes_them(tmp_path):
    contents = [png(number) for number in range(10)]
    make_table(
        tmp_path / "a.parquet", structs(contents, [f"{number}.png" for number in range(10)]), label=range(10)
    )
    assert find_images(tmp_path / "a.parquet").file_names == tuple(f"{number}.png" for number in range(10))
    paths = ["a.png", "", "c.png", None, "../e.png", *(f"{row}.png" for row in range(5, 10))]
    make_table(tmp_path / "a.parquet", structs(contents, paths))
    expected = ("a.png", "1", "c.png", "3", "4", *paths[5:])
    assert find_images(tmp_path / "a.parquet").file_names == expected
    for paths in ([None] * 10, ["same.png"] * 10, ["../a.png", *map(str, range(9))]):
        make_table(tmp_path / "a.parquet", structs(contents, paths))
        found = find_images(tmp_path / "a.parquet")
        assert found.file_names == tuple(map(str, range(10)))
        assert load_pixels(found, 8, CPU).pixels[:, 0, 0, 0].tolist() == list(range(10))


def test_a_folder_of_tables(tmp_path):
    for number in range(2):
        contents = [png(number), None, b""]
        make_table(tmp_path / f"{number}.parquet", structs(contents, [None] * 3))
    (tmp_path / "2.parquet").write_bytes(b"PAR1damaged")
    found = find_images(tmp_path)
    assert found.file_names == (*(f"{n}.parquet/{row}" for n in range(2) for row in range(3)), "2.parquet")
    read = load_pixels(found, 8, CPU, max_skipped=0.9)
    assert read.pixels[:, 0, 0, 0].tolist() == [0, 1]
    assert [one.reason.partition(":")[0] for one in read.skipped] == [
        "no image in this row", "empty file", "no image in this row", "empty file", "damaged",
    ]  # fmt: skip
    (tmp_path / "2.parquet").unlink()
    (tmp_path / "_SUCCESS").touch()  # as Spark writes it
    assert len(find_images(tmp_path)) == 6


def test_a_table_that_names_files_is_one_of_files(tmp_path):
    (tmp_path / "0.png").write_bytes(png(200))
    make_table(tmp_path / "a.parquet", pa.array([png(1)]), file_name=["0.png"])
    assert load_pixels(find_images(tmp_path / "a.parquet"), 8, CPU).pixels[0, 0, 0, 0] == 200


def test_names_that_are_missing_or_given_twice(tmp_path):
    for names, message in (
        [["a", None], "row 1: has no file_name"],
        [["a", "a"], "listed more than once: 'a'"],
    ):
        make_table(tmp_path / "a.parquet", pa.array([png(), png()]), file_name=names)
        with pytest.raises(InputError, match=message):
            find_images(tmp_path / "a.parquet")
    make_table(tmp_path / "a.parquet", pa.array([png()]), thumbnail=pa.array([png()]))
    with pytest.raises(InputError, match="images in the columns thumbnail, image"):
        find_images(tmp_path / "a.parquet")


def test_a_list_with_a_heading_twice_is_a_list(tmp_path):
    twice = pa.table([["a.png"], ["b.png"]], names=["file_name", "file_name"])
    parquet.write_table(twice, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="2 columns have the name 'file_name'"):
        find_images(tmp_path / "a.parquet")


def test_shards_without_images_say_what_they_hold(tmp_path):
    parquet.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        add(archive, "a.txt", b"text")
    with pytest.raises(
        NothingToClusterError, match=r"1 \.parquet without images, 1 \.tar without images, 1 \.txt"
    ):
        find_images(tmp_path)


def test_rows_in_any_order_by_many_threads_with_few_in_memory(tmp_path):
    contents = [f"{row}".encode() for row in range(1000)]
    make_table(tmp_path / "a.parquet", pa.array(contents, pa.binary()), rows_a_group=300)
    reader = RowReader()
    rows = list(range(1000))
    for _ in range(2):
        with ThreadPoolExecutor(8) as pool:
            read = pool.map(
                lambda row: reader.read(tmp_path / "a.parquet", "image", row // 300, row % 300), rows
            )
            assert list(read) == [contents[row] for row in rows]
        assert len(reader._kept) <= ROWS_KEPT
        random.Random(0).shuffle(rows)
        rows = rows[:60]
