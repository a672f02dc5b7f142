import logging

import pytest

from ruc.progress import progress


def test_plain_lines_without_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), progress("reading", 3, "images", visible=True) as advance:
        advance(1)
        advance(2)
    assert "reading: 3 images in" in caplog.text


def test_silent_when_not_visible(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), progress("reading", 3, "images", visible=False) as advance:
        advance(3)
    assert caplog.text == "" and capsys.readouterr() == ("", "")


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress("reading", 3, "images", visible=True) as advance:
        advance(3)
    shown = capsys.readouterr().err
    assert "reading" in shown and "3/3" in shown and "images" in shown
