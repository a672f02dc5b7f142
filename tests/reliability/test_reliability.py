"""A few of the stops and of the senseless inputs; `stops.py` and `fuzz.py` say how to give them all."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz import Fuzz, fault_of


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="nothing else ends an input that hangs")
def test_senseless_inputs_end_in_a_result_or_a_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has all imported already."""
    fuzz = Fuzz(tmp_path)
    fuzz.prepare()
    capfd.readouterr()
    for number in range(40):
        kind = Fuzz.kinds[number % len(Fuzz.kinds)]
        assert fault_of(fuzz, kind, number // len(Fuzz.kinds), seed=7) is None, (kind, number)
    assert capfd.readouterr() == ("", "")  # what libraries print past Python


@pytest.mark.skipif(sys.platform != "linux", reason="a library is preloaded, as Linux does it")
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_command_that_was_stopped_is_given_again() -> None:
    program = Path(__file__).with_name("stops.py")
    command = [sys.executable, str(program), "--only", "undo", "--step", "20"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(" states, 0 wrong")
