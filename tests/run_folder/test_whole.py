"""Outputs are in place whole or not at all, wherever the writer is stopped."""

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ruc.errors import RunFolderError
from ruc.readers import load_json
from ruc.run_folder import (
    Places,
    Run,
    finish_outputs,
    new_output,
    new_outputs,
    read_run,
    update_run,
    write_evaluation,
    write_run,
)
from ruc.run_folder.locks import alone_in
from ruc.skipped import NewTable

OPERATIONS = ("replace", "rename", "unlink", "rmdir", "mkdir", "fsync", "open")


class Stopped(BaseException):
    """What a kill would be: nothing may catch it."""


def stopped_at(n_done: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> bool:
    """Work until so many operations on files were done, then do nothing more; whether all was done before."""
    left = [n_done]

    def counted(real: Callable) -> Callable:
        def operation(*arguments: object, **options: object) -> object:
            if left[0] == 0:
                raise Stopped
            left[0] -= 1
            return real(*arguments, **options)

        return operation

    with monkeypatch.context() as patched:
        for name in OPERATIONS:
            patched.setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        except Stopped:
            return False
    return True


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def every_stop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: Callable[[Path], None],
    work: Callable[[Path], object],
) -> list[Path]:
    """Folders in which the work was stopped before each of its operations; the last one has it done."""
    folders = []
    while True:
        folder = tmp_path / f"stop{len(folders)}"
        folder.mkdir()
        begin(folder)
        folders.append(folder)
        if stopped_at(len(folders) - 1, monkeypatch, lambda folder=folder: work(folder)):
            return folders


def test_one_file_or_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(folder: Path) -> None:
        with new_output(folder / "file") as new:
            new.write_text("new")
        with new_output(folder / "sorted") as new:
            new.mkdir()
            (new / "a").write_text("a")
            (new / "b").write_text("b")

    folders = every_stop(tmp_path, monkeypatch, lambda folder: (folder / "file").write_text("old"), work)
    assert len(folders) > 10
    for folder in folders:
        assert (folder / "file").read_text() in ("old", "new")
        assert not (folder / "sorted").exists() or len(list((folder / "sorted").iterdir())) == 2
        shutil.rmtree(folder / "sorted", ignore_errors=True)
        work(folder)
        assert contents(folder) == {"file": b"new", "sorted/a": b"a", "sorted/b": b"b"}


def test_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(folder: Path) -> None:
        for name in ("f.npy", "f.csv", "f_skipped.csv", "other"):
            (folder / name).write_text("old")

    def work(folder: Path) -> None:
        with new_outputs(folder / "f.npy", [folder / "f.csv", folder / "f_skipped.csv"]) as new:
            (new / "f.npy").write_text("new")
            (new / "f.csv").write_text("new")

    found = set()
    for folder in every_stop(tmp_path, monkeypatch, begin, work):
        places = Places.of(folder, "f.npy")
        paths = [places.path(name) for name in ("f.npy", "f.csv", "f_skipped.csv")]
        seen = tuple(path.read_text() if path.exists() else "" for path in paths)
        found.add(seen)
        finish_outputs(folder / "f.npy")  # as before features are read with the names beside them
        assert seen == tuple(
            (folder / name).read_text() if (folder / name).exists() else ""
            for name in ("f.npy", "f.csv", "f_skipped.csv")
        )
        work(folder)
        assert contents(folder) == {"f.npy": b"new", "f.csv": b"new", "other": b"old"}
    assert found == {("old", "old", "old"), ("new", "new", "")}


def test_a_table_that_is_refused_as_it_is_there_already_is_there_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = NewTable(Path("t.csv"))

    def work(folder: Path) -> None:
        replace(table, path=folder / "t.csv").write(("file_name",), [("a",)], [("b", "truncated")])

    n_refused = 0
    for folder in every_stop(tmp_path, monkeypatch, lambda folder: None, work):
        try:
            replace(table, path=folder / "t.csv").check([])
        except RunFolderError as error:
            assert "exists already" in str(error)
            n_refused += 1
        else:
            work(folder)
        assert sorted(contents(folder)) == ["t.csv", "t_skipped.csv"]
    assert n_refused > 3


def test_a_run_is_read_as_it_was_or_as_it_is(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = replace(run, metrics={"accuracy": 1.0})

    def begin(folder: Path) -> None:
        write_run(folder, run, {}, "<old>")
        write_evaluation(folder, run, {"accuracy": 1.0}, {"reliability": "<svg/>"}, "<old>")

    def rename(before: Run) -> Run:
        return replace(before, cluster_names=("cats", "sea"), metrics=None)

    def work(folder: Path) -> None:
        update_run(folder, rename, lambda _: {"report.html": "<new>"}, "rename 0 cats")

    undisturbed = tmp_path / "undisturbed"
    begin(undisturbed)
    work(undisturbed)
    seen = set()
    for folder in every_stop(tmp_path, monkeypatch, begin, work):
        found = read_run(folder)
        seen.add((found.cluster_names, found.metrics is None))
        work(folder)
        assert contents(folder) == contents(undisturbed)
    assert seen == {(run.cluster_names, measured.metrics is None), (("cats", "sea"), True)}


def shout(folder: Path, say: Callable[[Run], None] = lambda _: None) -> None:
    """An edit that, repeated, would do more."""

    def louder(run: Run) -> Run:
        return replace(run, cluster_names=tuple(name + "!" for name in run.cluster_names))

    update_run(folder, louder, lambda _: {}, "shout", say)


def test_what_counted_already_is_not_done_twice(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops = every_stop(tmp_path, monkeypatch, lambda folder: write_run(folder, run, {}, ""), shout)
    for folder in stops[:-1]:
        read_run(folder)  # readers leave it for the command that was interrupted
        shout(folder)
        assert read_run(folder).cluster_names == ("0!", "sea!")


def test_what_was_not_told_is_not_done_twice(run: Run, tmp_path: Path) -> None:
    def interrupted(_: Run) -> None:
        raise KeyboardInterrupt

    write_run(tmp_path, run, {}, "")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            shout(tmp_path, interrupted)
    told: list[Run] = []
    shout(tmp_path, told.append)
    assert read_run(tmp_path).cluster_names == told[0].cluster_names == ("0!", "sea!")
    shout(tmp_path)
    assert read_run(tmp_path).cluster_names == ("0!!", "sea!!")


def _name(folder: Path, cluster: int) -> None:
    def named(run: Run) -> Run:
        names = list(run.cluster_names)
        names[cluster] = f"name {cluster}"
        return replace(run, cluster_names=tuple(names))

    update_run(folder, named, lambda _: {}, f"rename {cluster}")


@pytest.mark.skipif(os.name == "nt", reason="processes are forked")
def test_two_edits_at_once_lose_none(run: Run, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for trial in range(8):
        folder = tmp_path / str(trial)
        write_run(folder, run, {}, "")
        both = [context.Process(target=_name, args=(folder, cluster)) for cluster in (0, 1)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        assert read_run(folder).cluster_names == ("name 0", "name 1")


def test_a_change_may_be_put_in_place_while_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".run.pending").mkdir()
    (tmp_path / ".run.pending" / "change.json").write_text("{}")

    def too_late(path: Path) -> object:
        path.unlink()
        return load_json(path)

    monkeypatch.setattr("ruc.run_folder.whole.load_json", too_late)
    assert Places.of(tmp_path, "run") == Places(tmp_path)


def test_what_was_changed_while_it_was_measured_keeps_no_measure(run: Run, tmp_path: Path) -> None:
    write_run(tmp_path, run, {}, "")
    _name(tmp_path, 0)
    with pytest.raises(RunFolderError, match="was changed while it was measured"):
        write_evaluation(tmp_path, run, {"accuracy": 1.0}, {}, "")
    assert read_run(tmp_path).metrics is None


def test_another_writer_is_waited_for_or_said(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path),
        pytest.raises(RunFolderError, match="another ruc is at work"),
        alone_in(tmp_path, wait=False),
    ):
        pass
    with alone_in(tmp_path, wait=False):
        assert not list(tmp_path.iterdir())  # a lock leaves nothing


@pytest.mark.parametrize(
    "removed", [["../thesis"], ["/thesis"], ["model/../../thesis"], [".."], "thesis", [7]]
)
def test_a_strangers_change_reaches_nothing_outside(removed: object, run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis").write_text("mine")
    write_run(tmp_path / "run", run, {}, "")
    (tmp_path / "run" / ".run.pending").mkdir()
    change = {"removed": removed, "made_by": ""}
    (tmp_path / "run" / ".run.pending" / "change.json").write_text(json.dumps(change))
    with pytest.raises(RunFolderError, match="holds no change that ruc made"):
        _name(tmp_path / "run", 0)
    assert (tmp_path / "thesis").read_text() == "mine"


@pytest.mark.parametrize("within", ["figures", "model"])
def test_a_strangers_link_is_not_followed(within: str, run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "mine"
    outside.mkdir()
    for name in ("a.svg", "pair.json"):
        (outside / name).write_text("mine")
    write_run(tmp_path / "run", replace(run, metrics={}), None, "")
    (tmp_path / "run" / within).symlink_to(outside)
    update_run(tmp_path / "run", lambda run: replace(run, metrics=None), lambda _: {}, "merge")
    with pytest.raises(RunFolderError, match="is a link"):
        update_run(
            tmp_path / "run",
            lambda run: replace(run, confidence=np.zeros(3, np.float32)),
            lambda _: {f"{within}/a.svg": "theirs"},
            "draw",
        )
    assert contents(outside) == {"a.svg": b"mine", "pair.json": b"mine"}
