"""Files that are written beside the work: what would keep them from it is said before, and nothing is lost."""

import os
from pathlib import Path

import pytest

from ruc.errors import RunFolderError, UsageError
from ruc.run_folder import check_csv, check_file, check_new_folder, check_writable


def test_a_new_file_and_one_to_replace_may_be_written_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    for target in ("old.csv", "new.csv", "not/yet/there.csv"):
        check_file(tmp_path / target, [tmp_path / "photos", "nowhere"], overwrite=True)
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(RunFolderError, match=r"old\.csv exists already; expected a new file"):
        check_file(tmp_path / "old.csv")


@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_what_is_no_plain_file_is_not_replaced(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    if kind == "folder":
        target.mkdir()
    elif kind == "link":
        target.symlink_to(tmp_path / "elsewhere.csv")
    else:
        os.mkfifo(target)
    with pytest.raises(RunFolderError, match=rf"{target} is a folder, a link or a device; expected"):
        check_file(target, [])


def test_a_name_that_says_another_kind_is_refused(tmp_path: Path) -> None:
    for name in ("p.csv", "p.CSV", "p.txt"):
        check_csv(tmp_path / name)
    for name in ("p.xlsx", "p.parquet", "p.csv.gz", "p"):
        with pytest.raises(UsageError, match=r"what is written is CSV; expected a name that ends in \.csv"):
            check_csv(tmp_path / name)
    for name in ("picked", "run.v2", "2026.11", "shards.parquet"):
        check_new_folder(tmp_path / name)
    with pytest.raises(UsageError, match=r"what is written is a folder; .*: -o .*picked$"):
        check_new_folder(tmp_path / "picked.csv")
    (tmp_path / "odd.csv").mkdir()  # an empty folder that somebody made
    check_new_folder(tmp_path / "odd.csv")


def test_what_is_read_is_not_replaced(tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text("file_name\na.png\n")
    with pytest.raises(RunFolderError, match=r"photos\.csv would be replaced, and is read from"):
        check_file(tmp_path / "." / "photos.csv", [str(table)])


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunFolderError, match=r"cannot write to .*file.* expected a folder to write into"):
            check_writable(folder)
