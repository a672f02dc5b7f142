"""A few of the generated tables; `python tests/labels/dialects.py 2000` judges as many as it is told to."""

from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("openpyxl")
pytest.importorskip("polars")

from dialects import disagreements, make_folder


@pytest.mark.parametrize("start", range(0, 48, 8))
def test_other_readers_find_the_same(tmp_path: Path, start: int) -> None:
    found = []
    for seed in range(start, start + 8):
        folder = tmp_path / str(seed)
        folder.mkdir()
        found += disagreements(make_folder(folder, seed))
    assert found == []
