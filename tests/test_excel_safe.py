"""File names that a spreadsheet would compute, through every command that writes a table."""

import csv
import shutil
from pathlib import Path

import pytest
from shapes import write_shapes

from ruc.cli import main

FORMULA = "=1+1.png"


def ruc(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images, one of them called as a formula, and a broken one."""
    images = tmp_path / "shapes"
    write_shapes(images, per_class=4)
    first = min(images.iterdir())
    shutil.copy(first, images / FORMULA)
    (images / "-broken.png").write_bytes(b"none")
    monkeypatch.chdir(images.parent)
    monkeypatch.setattr("ruc.doors.measure.evaluation_figures", lambda *_: {})  # tables are looked at
    return images


def names(path: str, column: str = "file_name") -> list[str]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return [row[column] for row in csv.DictReader(file)]


def test_no_table_has_a_formula_and_all_are_read_back(folder: Path) -> None:
    safe = "--excel-safe"
    begin = ("--embedder", "pixels", "--epochs", "1", "-k", "3", "--review", "100%", "-q")
    assert ruc("cluster", folder, "-o", "run", *begin, safe) == 0
    assert ruc("cluster", folder, "-o", "plain", *begin) == 0
    assert FORMULA in names("plain/clusters.csv")  # only where it's asked for
    assert ruc("rename", "run", "0", "=cats") == 0  # an edit writes the tables anew
    assert ruc("predict", "run", folder, "-o", "new.csv", "-q", safe) == 0
    assert ruc("copies", folder, "-o", "copies.csv", "-q", safe) == 0
    assert ruc("leaks", folder, folder, "-o", "leaks.csv", "-q", safe) == 0
    assert ruc("pick", "run", "-n", "99", "-o", "picked", safe) == 0
    assert ruc("check", "run", "--n", "99") == 0
    tables = [
        "run/clusters.csv",
        "run/review.csv",
        "new.csv",
        "copies.csv",
        "picked/picked.csv",
        "run/check.csv",
    ]
    for table in tables:
        assert f"'{FORMULA}" in names(table) and FORMULA not in names(table), table
    assert f"'{FORMULA}" in names("leaks.csv", "test")
    assert names("run/skipped.csv") == names("new_skipped.csv") == ["'-broken.png"]
    assert "'=cats" in names("run/clusters.csv", "cluster_name")

    answers = Path("run/check.csv").read_text().replace(",,\r\n", ",yes,\r\n").replace(",,\n", ",yes,\n")
    Path("answers.csv").write_text(answers)
    assert ruc("apply", "run", "answers.csv") == 0
    rows = zip(names("run/clusters.csv"), names("run/clusters.csv", "cluster"), strict=True)
    Path("labels.csv").write_text("file_name,label\n" + "".join(f"{name},{label}\n" for name, label in rows))
    assert ruc("evaluate", "run", "--truth", "labels.csv", "-q") == 0
    assert ruc("undo", "run") == 0
    assert names("run/skipped.csv") == ["'-broken.png"]  # read and written again, quoted once
