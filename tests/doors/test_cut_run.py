"""A run at another level: what it holds, which edits it keeps, and that it predicts as it says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ruc.cli import main
from ruc.doors.edit_folder import edit_folder
from ruc.edits import Junk, Move, Rename
from ruc.run_folder import Run, read_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from shapes import write_shapes

    folder = tmp_path_factory.mktemp("levels")
    write_shapes(folder / "images")
    command(f"cluster {folder / 'images'} -k 3 --embedder pixels --epochs 2 -o {folder / 'run'} -q")
    edit_folder(folder / "run", "names", lambda one: [Rename(0, "bars"), Junk(2), Move((confirmed(one),), 0)])
    return folder / "run"


def confirmed(run: Run) -> str:
    return run.file_names[int(np.flatnonzero(run.cluster == 0)[0])]


def command(line: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert (stopped.value.code or 0) == code


@pytest.mark.learns
def test_fewer_clusters_keep_names_places_and_junk(run: Path, tmp_path: Path) -> None:
    before = read_run(run)
    command(f"cut {run} -k 2 -o {tmp_path / 'two'} -q")
    two = read_run(tmp_path / "two")
    assert two.n_clusters == 2 and two.features.tobytes() == before.features.tobytes()
    assert two.cluster_names[0] == "bars"  # and cluster 1, which has no name
    assert two.marks["moved_by_hand"].tolist() == before.marks["moved_by_hand"].tolist()
    assert two.notes["junk_clusters"] == [1]
    same = (two.cluster == 1) == (before.cluster == 2)
    assert same.mean() > 0.95
    command(f"predict {tmp_path / 'two'} {run.parent / 'images'} -o {tmp_path / 'again.csv'} -q")
    assert pd.read_csv(tmp_path / "again.csv")["cluster"].tolist() == two.cluster.tolist()
    assert "ruc cut" in (tmp_path / "two" / "report.html").read_text()


@pytest.mark.learns
def test_more_clusters_are_parts_of_those_before(run: Path, tmp_path: Path) -> None:
    before = read_run(run)
    command(f"cut {run} -k 6 -o {tmp_path / 'six'} -q")
    six = read_run(tmp_path / "six")
    assert six.n_clusters == len(np.unique(six.initial_cluster)) == 6
    inside = [len(np.unique(before.cluster[six.initial_cluster == one])) for one in range(6)]
    assert inside == [1] * 6  # the level, before it was repaired
    assert six.cluster_names.count("bars") == 1


def test_a_level_that_is_not_there_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command(f"cut {run} -k 99 -o {tmp_path / 'new'} -q", code=1)
    assert "-k 99 given, and the tree of this run has 2 to " in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    command(f"cut {run} -k 2 -o {run} -q", code=1)
    assert "holds a run with other settings" in capsys.readouterr().err
