"""The first instants of `ruc`: while its modules are imported."""

import subprocess
import sys

import pytest

from ruc.__main__ import main


def test_ctrl_c_while_modules_are_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stop:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "ruc.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "ruc.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Stop(), *sys.meta_path])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130
    shown = capsys.readouterr().err
    assert shown.startswith("ruc: interrupted") and len(shown.splitlines()) == 1


def test_nothing_is_imported_before() -> None:
    code = (
        "import sys; before = set(sys.modules); import ruc.__main__; print(sorted({*sys.modules} - before))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "['ruc', 'ruc.__main__']\n"
