"""A run is picked from, searched, compared and described by the commands."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ruc.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from shapes import write_shapes

    folder = tmp_path_factory.mktemp("curating")
    write_shapes(folder / "images")
    arguments = ["-k", "3", "--embedder", "pixels", "-q", "--epochs", "2"]
    main_exits(["cluster", str(folder / "images"), "-o", str(folder / "run"), *arguments])
    return folder / "run"


def main_exits(arguments: list[str], code: int = 0) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert (stopped.value.code or 0) == code


@pytest.mark.parametrize("by", ["representative", "balanced", "diverse", "uncertain"])
def test_picked_images_are_copied_and_listed(run: Path, tmp_path: Path, by: str) -> None:
    main_exits(["pick", str(run), "-n", "6", "--by", by, "-o", str(tmp_path / "picked")])
    table = pd.read_csv(tmp_path / "picked" / "picked.csv")
    assert len(table) == table["file_name"].nunique() == 6
    for name in table["file_name"]:
        original = run.parent / "images" / name
        assert (tmp_path / "picked" / "images" / name).read_bytes() == original.read_bytes()
    if by == "balanced":
        assert table.groupby("cluster").size().tolist() == [2, 2, 2]


def test_so_many_of_each_cluster_and_no_other_strategy(run: Path, tmp_path: Path, capsys) -> None:
    main_exits(["pick", str(run), "-n", "3", "--per-cluster", "-o", str(tmp_path / "picked")])
    assert pd.read_csv(tmp_path / "picked" / "picked.csv").groupby("cluster").size().tolist() == [3, 3, 3]
    main_exits(["pick", str(run), "--by", "luck", "-o", str(tmp_path / "other")], 2)
    assert "--by 'luck' given; expected one of representative, diverse" in capsys.readouterr().err
    main_exits(["pick", str(run), "-o", str(tmp_path / "picked")], 1)
    assert "exists already" in capsys.readouterr().err


def test_an_image_of_the_run_is_nearest_to_itself(run: Path, capsys) -> None:
    image = sorted((run.parent / "images").rglob("*.png"))[7]
    main_exits(["nearest", str(run), str(image), "-n", "3"])
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["image", "nearest", "similarity", "cluster"] and len(rows) == 4
    assert image.name in rows[1] and rows[1].split()[-2] == "1.000"
    main_exits(["nearest", str(run), str(image), "-n", "0"], 2)


def test_a_run_is_the_same_as_itself(run: Path, tmp_path: Path, capsys) -> None:
    main_exits(["compare", str(run), str(run), "-o", str(tmp_path / "moved.csv")])
    assert "60 images in both; 0 moved; NMI of the two 1.000" in capsys.readouterr().out
    assert (tmp_path / "moved.csv").read_text().splitlines() == ["file_name,before,after"]


def test_info_says_how_a_run_was_made(run: Path, capsys) -> None:
    main_exits(["info", str(run)])
    shown = capsys.readouterr().out
    assert "60 images in 3 clusters" in shown
    assert "embedder: pixels   base: " in shown
    assert "with: python 3." in shown


def test_tables_are_printed_as_json(run: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("ruc.doors.measure.evaluation_figures", lambda *_: {})

    def printed(*arguments: str):
        main_exits([*arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    image = sorted((run.parent / "images").rglob("*.png"))[7]
    near = printed("nearest", str(run), str(image), "-n", "2")
    assert [one["asked"] for one in near] == [image.name] * 2 and near[0]["file_name"] == image.name
    assert printed("compare", str(run), str(run))["n_common"] == 60
    about = printed("info", str(run))
    assert about["n_images"] == 60 and sum(one["n_images"] for one in about["clusters"]) == 60
    assert about["settings"]["embedder"] == "pixels"
    copies = printed("copies", str(run), "-o", str(tmp_path / "copies.csv"), "-q")
    assert copies["n_images"] == 60 and copies["skipped"] == []
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "file_name,label\n" + "".join(f"{number:03d}.png,{number % 3}\n" for number in range(60))
    )
    assert printed("evaluate", str(run), "--truth", str(truth), "-q")[str(run)]["n_with_truth"] == 60
    assert printed("cache", str(tmp_path / "none")) == []


def test_undo_says_what_it_undid_and_names_are_unique(run: Path, capsys) -> None:
    main_exits(["rename", str(run), "0", "bars"])
    main_exits(["rename", str(run), "1", " bars "], 1)
    assert "cluster 0 is called 'bars' already" in capsys.readouterr().err
    main_exits(["split", str(run), "bars"])
    main_exits(["merge", str(run), "1", "2"])
    capsys.readouterr()
    for said in ("2 went into cluster 1", "cluster 0 was split into 2", "cluster 0 was called 'bars'"):
        main_exits(["undo", str(run)])
        assert capsys.readouterr().out.splitlines()[0] == f"taken back: {said}"


def test_the_report_is_opened_at_the_end(run: Path, tmp_path: Path, monkeypatch) -> None:
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    images = str(run.parent / "images")
    arguments = ["cluster", images, "-k", "3", "--embedder", "pixels", "-q", "--epochs", "1", "--open"]
    main_exits([*arguments, "-o", str(tmp_path / "run")])
    assert opened == [(tmp_path / "run" / "report.html").as_uri()]
