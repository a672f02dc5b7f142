"""The door of the questions: drawn, written, answered, put into the run, and taken back."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from chromium import chromium, reload_until
from PIL import Image

from ruc.check.checked import checked_of
from ruc.cli import main
from ruc.doors.check_folder import ask
from ruc.edits import follow_edits
from ruc.errors import InputError
from ruc.run_folder import Run, read_run, write_run


def ruc(*arguments: object) -> int:
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def finished(folder: Path, with_images: bool = True) -> Path:
    """A run of 60 images in three colours; every tenth is in a cluster of another colour."""
    random = np.random.default_rng(0)
    colour = np.arange(60) % 3
    cluster = np.where(np.arange(60) % 10 == 9, (colour + 1) % 3, colour)
    names = tuple(f"{row:02d}.png" for row in range(60))
    if with_images:
        (folder / "images").mkdir(parents=True)
        for name, one in zip(names, colour, strict=True):
            Image.new("RGB", (24, 24), tuple(np.eye(3, dtype=int)[one] * 200)).save(folder / "images" / name)
    probabilities = np.full((60, 3), 0.1, np.float32)
    probabilities[np.arange(60), cluster] = 0.8
    features = np.eye(3, dtype=np.float32)[colour] + 0.2 * random.standard_normal((60, 3)).astype(np.float32)
    run = Run(
        settings={"source": str(folder / "images") if with_images else None, "seed": 0, "review": 0.05,
                  "output": str(folder / "run"), "features": None if with_images else "f.npy"},
        file_names=names, cluster=cluster, confidence=probabilities.max(axis=1), initial_cluster=cluster.copy(),
        was_clean=np.ones(60, bool), is_clean=np.ones(60, bool), probabilities=probabilities,
        features=features / np.linalg.norm(features, axis=1, keepdims=True), cluster_names=("0", "1", "2"),
    )  # fmt: skip
    write_run(folder / "run", run)
    return folder / "run"


def names_in(table: Path) -> set[str]:
    with table.open(newline="") as file:
        return {row["file_name"] for row in csv.DictReader(file)}


def fill(run: Path) -> list[str]:
    """Answer as the colours say; returns the names that were asked about."""
    with (run / "check.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["answer"] = "yes" if int(row["file_name"][:2]) % 3 == int(row["cluster"]) else "no"
    with (run / "check.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return [row["file_name"] for row in rows]


def test_ask_fill_apply_undo(tmp_path: Path, capsys) -> None:
    run = finished(tmp_path)
    assert ruc("check", run, "--n", 30) == 0
    shown = capsys.readouterr().out
    assert f"30 questions: {run / 'check.html'}" in shown and f"ruc apply {run} edits.json" in shown
    asked = fill(run)
    n_wrong = sum(name[1] == "9" for name in asked)
    assert ruc("apply", run, run / "check.csv") == 0
    shown = capsys.readouterr().out
    assert f"checked: {30 - n_wrong} of 30 were in the right cluster; of all 60" in shown
    assert "look next at cluster" in shown and "further answers" in shown
    after = read_run(run)
    checked = checked_of(after)
    assert checked is not None and checked.accuracy.low <= 0.9 <= checked.accuracy.high
    row_of = {name: row for row, name in enumerate(after.file_names)}
    for name in asked:
        row, was = row_of[name], int(name[:2]) % 3
        assert (after.cluster[row] == was and after.confidence[row] == 1) or name[1] == "9"
    assert ruc("apply", run, run / "check.csv") == (1 if n_wrong else 0)  # those that left their cluster
    assert ruc("undo", run) == 0
    assert checked_of(read_run(run)) is None


def test_open_questions_stay_and_answered_ones_go(tmp_path: Path) -> None:
    run = finished(tmp_path)
    first = ask(run, 20)
    asked = names_in(first.table)
    assert first.page == run / "check.html" and first.n_asked == len(asked) == 20
    assert names_in(ask(run, 20).table) == asked
    fill(run)
    assert ruc("apply", run, run / "check.csv") == 0
    second = names_in(ask(run, 30).table)
    assert len(second) == 30 and not second & asked
    assert ask(run, 100).n_asked == 40
    fill(run)
    assert ruc("apply", run, run / "check.csv") == 0
    checked = checked_of(read_run(run))
    assert checked is not None and checked.accuracy.n_answers == 60
    assert checked.accuracy.low == checked.accuracy.high == pytest.approx(0.9)
    with pytest.raises(InputError, match="all images have an answer"):
        ask(run)


def name_right_clusters(run: Path) -> int:
    """Fill the column label by the colours; returns how many were asked about."""
    with (run / "check.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["label"] = str(int(row["file_name"][:2]) % 3)
    with (run / "check.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def test_a_run_learns_from_answers_and_forgets_them(tmp_path: Path, capsys) -> None:
    run, right = finished(tmp_path, with_images=False), np.arange(60) % 3
    before = read_run(run)
    assert ruc("refine", run) == 1
    assert "0 images placed by a person" in capsys.readouterr().err
    assert ruc("check", run, "--n", 40) == 0
    name_right_clusters(run)
    assert ruc("apply", run, run / "check.csv") == 0
    answered = read_run(run)
    is_answered = answered.marks["moved_by_hand"].astype(bool)
    assert (answered.cluster[~is_answered] == before.cluster[~is_answered]).all()
    assert ruc("refine", run, "--epochs", 3) == 2
    assert ruc("refine", run) == 0
    assert "learned from them: " in capsys.readouterr().out
    learned = read_run(run)
    assert (learned.cluster == right).all() and (before.cluster == right).mean() == 0.9
    assert (learned.cluster[is_answered] == answered.cluster[is_answered]).all()
    assert (learned.confidence[is_answered] == 1).all()
    checked = checked_of(learned)
    assert checked is not None and checked.learned is not None
    assert (
        checked.accuracy == checked_of(answered).accuracy and checked.learned.value > checked.accuracy.value
    )
    assert ruc("refine", run) == 1
    assert "has learned from all its answers" in capsys.readouterr().err
    assert ruc("undo", run) == 0
    forgotten = read_run(run)
    np.testing.assert_array_equal(forgotten.probabilities, answered.probabilities)
    np.testing.assert_array_equal(forgotten.cluster, answered.cluster)
    assert ruc("undo", run) == 0
    np.testing.assert_array_equal(read_run(run).probabilities, before.probabilities)


def test_new_images_follow_what_was_learned_and_a_second_round_counts(tmp_path: Path) -> None:
    run, right = finished(tmp_path, with_images=False), np.arange(60) % 3
    before = read_run(run)
    ask(run, 40)
    name_right_clusters(run)
    assert ruc("apply", run, run / "check.csv") == 0 and ruc("refine", run) == 0
    learned = read_run(run)
    cluster, probabilities = follow_edits(learned, before.probabilities, before.features)
    np.testing.assert_array_equal(cluster, learned.cluster)
    np.testing.assert_allclose(probabilities, learned.probabilities, atol=1e-5)
    moved = before.features + np.float32(0.01)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    assert (follow_edits(learned, before.probabilities, moved)[0] == right).all()
    ask(run, 20)
    name_right_clusters(run)
    assert ruc("apply", run, run / "check.csv") == 0
    checked = checked_of(
        read_run(run)
    )  # all answered: what the run was before is known, though it was other since
    assert checked is not None and checked.accuracy.value == pytest.approx(0.9)
    assert checked.learned is not None and checked.learned.value > 0.95


def test_without_images_there_is_a_table(tmp_path: Path, capsys) -> None:
    run = finished(tmp_path, with_images=False)
    assert ruc("check", run, "--n", 10) == 0
    assert "check.csv (fill the column answer" in capsys.readouterr().out
    assert not (run / "check.html").exists()
    assert len(names_in(run / "check.csv")) == 10


def test_another_run_in_the_same_folder_has_no_questions(tmp_path: Path) -> None:
    run = finished(tmp_path)
    ask(run, 10)
    again = read_run(run)
    write_run(run, Run(**{**vars(again), "notes": {}}))
    assert not (run / "check.html").exists() and not (run / "check.csv").exists()


def test_the_page_is_answered_by_keyboard(tmp_path: Path) -> None:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install 'ruc[dev]'"
    )
    run = finished(tmp_path)
    ask(run, 10)
    complaints, requests = [], []
    with chromium() as browser:
        page = browser.new_context(offline=True).new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((run / "check.html").as_uri())
        count = page.locator("#count")
        assert count.inner_text() == "1 of 10" and "Does this image belong to Cluster 0?" in page.inner_text(
            "h1"
        )
        for key in "ynuns":
            page.keyboard.press(key)
        playwright.expect(count).to_have_text("4 of 10")
        reload_until(page, lambda: count.inner_text() == "4 of 10")  # what was answered is kept
        page.locator(".elsewhere button").last.click()
        own = int(page.inner_text("h1").removesuffix("?").rsplit(" ", 1)[1])
        page.keyboard.press(str(own))  # that is a yes, and no other cluster
        page.keyboard.press("7")  # no cluster
        playwright.expect(count).to_have_text("5 of 10")
        page.keyboard.press(str((own + 1) % 3))
        playwright.expect(count).to_have_text("6 of 10")
        page.keyboard.press("u")
        for _ in range(6):
            page.keyboard.press("y")
        assert page.inner_text("h1") == "7 of 9 belong where they are"
        with page.expect_download() as download:
            page.keyboard.press("d")
        download.value.save_as(tmp_path / "edits.json")
    assert not complaints and all(url.startswith(("file:", "data:", "blob:")) for url in requests)
    edits = json.loads((tmp_path / "edits.json").read_text())["edits"]
    assert len(edits) == 9
    assert [edit["right"] for edit in edits[:3]] == [0, None, 2]
    assert ruc("apply", run, tmp_path / "edits.json") == 0
    checked = checked_of(read_run(run))
    assert checked is not None and (checked.n_yes, checked.n_open) == (7, 1)


def test_fifty_answers_by_keyboard_end_in_a_run_that_has_learned(tmp_path: Path, capsys) -> None:
    """The page, its edits.json, `ruc apply` and `ruc refine`: what was wrong is mended, asked about or not."""
    run = finished(tmp_path)
    ask(run, 50)
    with (run / "check.csv").open(newline="") as file:
        questions = [(int(row["file_name"][:2]) % 3, int(row["cluster"])) for row in csv.DictReader(file)]
    with chromium() as browser:
        page = browser.new_context(offline=True).new_page()
        page.set_default_timeout(60_000)
        page.goto((run / "check.html").as_uri())
        for right, cluster in questions:
            page.keyboard.press("y" if right == cluster else str(right))
        n_right = sum(right == cluster for right, cluster in questions)
        assert page.inner_text("h1") == f"{n_right} of 50 belong where they are"
        with page.expect_download() as download:
            page.keyboard.press("d")
        download.value.save_as(tmp_path / "edits.json")
    assert ruc("apply", run, tmp_path / "edits.json") == 0
    assert f"checked: {n_right} of 50 were in the right cluster" in capsys.readouterr().out
    assert ruc("refine", run) == 0
    assert "learned from them: " in capsys.readouterr().out
    assert (read_run(run).cluster == np.arange(60) % 3).all()
