"""A run follows its folder: new images join, vanished ones stay or go, and what was there stays as it was."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from shapes import write_shapes

from ruc.cli import main
from ruc.doors.edit_folder import edit_folder
from ruc.edits import Move, Rename, apply_edits, split_cluster, undo_edits
from ruc.run_folder import read_run

pytestmark = pytest.mark.learns


def command(line: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(line.split())
    assert (stopped.value.code or 0) == code


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("growing")
    write_shapes(folder / "images")
    command(f"cluster {folder / 'images'} -k 3 --embedder pixels --epochs 2 -o {folder / 'run'} -q")
    write_shapes(folder / "more", per_class=3, seed=5)
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "more").iterdir():
        path.rename(tmp_path / "images" / f"0_{path.name}")  # before, between and behind those there are
    return tmp_path


def test_new_images_join_and_the_others_stay(place: Path, capsys: pytest.CaptureFixture) -> None:
    before = read_run(place / "run")
    command(f"predict {place / 'run'} {place / 'images'} -o {place / 'all.csv'} -q")
    command(f"update {place / 'run'} {place / 'images'} -q")
    assert (
        capsys.readouterr().out.splitlines()[1]
        == f"9 images joined, {len(before.file_names)} stay as they were"
    )
    after = read_run(place / "run")
    assert list(after.file_names) == sorted(path.name for path in (place / "images").iterdir())
    old = np.isin(after.file_names, before.file_names)
    assert (~old).sum() == 9
    for name in ("cluster", "confidence", "probabilities", "features", "initial_cluster", "is_clean"):
        np.testing.assert_array_equal(getattr(after, name)[old], getattr(before, name))
    for name, column in before.marks.items():
        np.testing.assert_array_equal(after.marks[name][old], column)
    predicted = pd.read_csv(place / "all.csv").set_index("file_name").loc[list(after.file_names)]
    np.testing.assert_array_equal(after.cluster, predicted["cluster"])
    np.testing.assert_allclose(after.confidence[~old], predicted["confidence"][~old], atol=2e-4)
    assert (after.initial_cluster[~old] == -1).all() and not after.is_clean[~old].any()
    assert "0_000.png" in (place / "run" / "report.html").read_text()
    command(f"update {place / 'run'} -q")
    assert "0 images joined" in capsys.readouterr().out


def test_other_pictures_of_the_same_names_are_said(place: Path, capsys: pytest.CaptureFixture) -> None:
    names = list(read_run(place / "run").file_names)
    pictures = {name: (place / "images" / name).read_bytes() for name in names}
    command(f"update {place / 'run'} {place / 'images'} -q")
    assert "warning" not in capsys.readouterr().out
    for name, other in zip(names, [*names[25:], *names[:25]], strict=True):
        (place / "images" / name).write_bytes(pictures[other])
    command(f"update {place / 'run'} -q")
    said = capsys.readouterr().out
    assert "0 images joined" in said
    assert "of 32 images that were looked at show something else than the run's of the same name" in said


def test_edits_survive_new_images_follow_and_undo_still_works(place: Path) -> None:
    run = place / "run"
    moved = read_run(run).file_names[3]
    edit_folder(run, "split", lambda one: [split_cluster(one, 1), Rename(0, "bars")])
    edit_folder(run, "move", lambda one: [Move((moved,), 2)])
    before = read_run(run)
    command(f"update {run} {place / 'images'} -q")
    after = read_run(run)
    old = np.isin(after.file_names, before.file_names)
    np.testing.assert_array_equal(after.cluster[old], before.cluster)
    np.testing.assert_array_equal(after.confidence[old], before.confidence)
    assert after.cluster_names == before.cluster_names and after.cluster_names[0] == "bars"
    assert after.marks["moved_by_hand"][old].tolist() == before.marks["moved_by_hand"].tolist()
    again = apply_edits(after, [Rename(1, "rest")])  # which repeats all of them
    np.testing.assert_array_equal(again.cluster, after.cluster)
    plain = undo_edits(undo_edits(after))
    assert plain.n_clusters == 3 and len(plain.file_names) == len(after.file_names)


@pytest.mark.parametrize("vanished", ["keep", "drop"])
def test_what_vanished_stays_or_goes(place: Path, vanished: str) -> None:
    run = place / "run"
    before = read_run(run)
    edit_folder(run, "move", lambda one: [Move(before.file_names[:3], 2)])
    gone = [before.file_names[0], before.file_names[9]]
    for name in gone:
        (place / "images" / name).unlink()
    command(f"update {run} {place / 'images'} --vanished {vanished} -q")
    after = read_run(run)
    n_gone = len(gone) if vanished == "drop" else 0
    assert len(after.file_names) == len(before.file_names) + 9 - n_gone
    assert bool(set(gone) & set(after.file_names)) == (vanished == "keep")
    assert list(after.file_names) == sorted(after.file_names)
    assert not {*gone} & {str(name) for name in after.marks["copy_of"]} or vanished == "keep"
    command(f"undo {run}")


def test_of_an_edit_one_image_stays(place: Path, capsys: pytest.CaptureFixture) -> None:
    run = place / "run"
    name = read_run(run).file_names[0]
    edit_folder(run, "move", lambda one: [Move((name,), 3)])  # a cluster of its own
    (place / "images" / name).unlink()
    command(f"update {run} {place / 'images'} --vanished drop -q")
    assert "1 that aren't there any more stay in the run" in capsys.readouterr().out
    assert read_run(run).cluster_names == ("0", "1", "2", "3")


def test_what_fits_no_cluster_is_named_and_may_have_one(place: Path, capsys: pytest.CaptureFixture) -> None:
    run, random = place / "run", np.random.default_rng(0)
    for number in range(6):
        checks = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((4, 4))) * 200 + random.integers(
            0, 40, (32, 32)
        )
        Image.fromarray(checks.astype(np.uint8)).save(place / "images" / f"checks_{number}.png")
    command(f"update {run} {place / 'images'} -q")
    shown = capsys.readouterr().out
    assert "fit no cluster (" in shown and f"ruc update {run} --new-clusters 1" in shown
    joined = read_run(run)
    unlike = np.char.startswith(np.array(joined.file_names), "checks")
    assert joined.marks["fits_no_cluster"][unlike].all()
    command(f"update {run} {place / 'images'} --new-clusters 1 -q")
    own = read_run(run)
    (number,) = np.unique(own.cluster[unlike])
    assert number not in joined.cluster and set(np.flatnonzero(own.cluster == number)) >= set(
        np.flatnonzero(unlike)
    )
    command(f"undo {run}")
    np.testing.assert_array_equal(read_run(run).cluster, joined.cluster)
    command(f"update {run} {place / 'images'} --new-clusters 500 -q", code=1)
    assert "--new-clusters 500 given, and" in capsys.readouterr().err


def test_new_clusters_need_images_that_fit_none(made: Path, capsys: pytest.CaptureFixture) -> None:
    command(f"update {made / 'run'} {made / 'images'} --new-clusters 1 -q", code=1)
    assert "given, and each image that joined fits a cluster" in capsys.readouterr().err


def test_another_folder_is_refused(place: Path, capsys: pytest.CaptureFixture) -> None:
    write_shapes(place / "other" / "sub", per_class=1)
    before = (place / "run" / "clusters.csv").read_bytes()
    command(f"update {place / 'run'} {place / 'other'} -q", code=1)
    assert "none of the run's images is in" in capsys.readouterr().err
    assert (place / "run" / "clusters.csv").read_bytes() == before
