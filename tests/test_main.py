"""The first instants of `ruc`: while its modules are imported, and until the command line waits for Ctrl-C itself."""

import subprocess
import sys

import pytest

from ruc.__main__ import main


def stop(*_: object) -> None:
    raise KeyboardInterrupt


class Interrupted:
    """What finds modules, and is stopped at one."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "ruc.cli":
            stop()


def test_ctrl_c_while_modules_are_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "ruc.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as stopped:
        main(["info", "run"])
    shown = capsys.readouterr().err
    assert stopped.value.code == 130 and shown.startswith("ruc: interrupted") and len(shown.splitlines()) == 1


def test_ctrl_c_before_it_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ruc.cli.main", stop)
    with pytest.raises(SystemExit) as stopped:
        main(["info", "run"])
    assert stopped.value.code == 130 and capsys.readouterr().err.startswith("ruc: interrupted")
    with pytest.raises(KeyboardInterrupt):
        main(["info", "run", "--debug"])


def test_nothing_is_imported_before() -> None:
    code = (
        "import sys; before = set(sys.modules); import ruc.__main__; print(sorted({*sys.modules} - before))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "['ruc', 'ruc.__main__']\n"
