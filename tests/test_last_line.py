"""The last line says the true cause, in one line, whatever a user gave."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ruc.cli import main
from ruc.errors import InputError
from ruc.last_line import last_line, readable


def ruc(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)


def test_what_a_user_gave_is_cut_off_where_it_is_long() -> None:
    shown = readable(
        f"--labels {'x' * 5000} cannot be read ({'a long name' * 500!r} given,\nand more); expected a CSV"
    )
    assert (
        len(shown) < 400 and shown.startswith("--labels xxx") and shown.endswith("and more); expected a CSV")
    )


@pytest.mark.parametrize(
    ("error", "words", "status"),
    [
        (InputError("no"), "no", 1),
        (KeyboardInterrupt(), "give the same command again to go on", 130),
        (MemoryError("Unable to allocate 5.00 GiB"), "too little memory (Unable to allocate 5.00 GiB)", 1),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "too little memory (Default", 1),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "too little memory (CUDA", 1),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            "too little memory (lib",
            1,
        ),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "too little memory", 1),
        (RuntimeError("std::bad_alloc"), "too little memory", 1),
        (OSError(errno.ENOSPC, "No space left on device"), "the output: No space left on device", 1),
        (PermissionError(errno.EACCES, "Permission denied", "a.png"), "a.png: Permission denied", 1),
    ],
)
def test_the_cause_is_said(error: BaseException, words: str, status: int) -> None:
    said = last_line(error)
    assert said is not None and words in said[0] and said[1] == status


def test_a_bug_keeps_its_traceback() -> None:
    assert last_line(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


@pytest.mark.parametrize("place", ["ruc.cli.app", "typer.core.TyperGroup.parse_args"])
def test_ctrl_c_before_a_command_has_begun(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(place, stop)
    assert ruc("info", "run") == 130
    assert capsys.readouterr().err == "ruc: " + str(last_line(KeyboardInterrupt())[0]) + "\n"


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [(KeyboardInterrupt, 130, "interrupted"), (MemoryError, 1, "too little memory")],
)
@pytest.mark.parametrize(
    "command", [["rename", "run", "0", "a"], ["export", "run", "--to", "coco"], ["undo", "run"]]
)
def test_every_command_says_it(
    command: list[str],
    raised: type[BaseException],
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.chdir(tmp_path)
    for place in ("ruc.doors.edit_folder.update_run", "ruc.export.export.read_run"):
        monkeypatch.setattr(place, stop)
    assert ruc(*command) == status
    shown = capsys.readouterr().err
    assert shown.startswith(f"ruc: {words}") and len(shown.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("option", ["--version", "--help"])
def test_a_result_that_cannot_be_shown_is_no_success(option: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ruc", option],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("ruc: the output: No space left on device; expected")
    assert len(done.stderr.splitlines()) == 1
