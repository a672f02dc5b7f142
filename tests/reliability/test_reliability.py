"""A few of the stops and of the senseless inputs; `stops.py` and `fuzz.py` say how to give them all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def said(program: str, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_senseless_inputs_end_in_a_result_or_a_line() -> None:
    assert said("fuzz.py", "--count", "40", "--seed", "7") == "40 inputs, 0 faults: {}"


@pytest.mark.skipif(sys.platform != "linux", reason="a library is preloaded, as Linux does it")
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_command_that_was_stopped_is_given_again() -> None:
    assert said("stops.py", "--only", "undo", "--step", "20").endswith(" states, 0 wrong")
