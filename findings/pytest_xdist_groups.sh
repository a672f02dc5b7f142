#!/usr/bin/env bash
# pytest-xdist 3.8.0 beside pytest 9.2.0: `--dist loadgroup` and `@pytest.mark.xdist_group` have no effect, and nothing says so. xdist
# writes the group behind `Item._nodeid`, which this pytest doesn't read any more, so tests of one group run in several
# processes, and what they share (a server, a cluster) is started in each. `--dist loadfile` keeps a file in one process.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pytest==9.2.0 pytest-xdist==3.8.0
cd "$folder"
cat > test_group.py <<'PYTHON'
import os
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(12))
def test_which_process(number):
    time.sleep(0.2)
    with Path(os.environ["SEEN"]).open("a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PYTHON
for dist in loadgroup loadfile; do
    SEEN=$folder/$dist venv/bin/python -m pytest -q -n 2 --dist "$dist" test_group.py
    echo "$dist: $(sort -u "$folder/$dist" | wc -l) processes ran the tests of one group, which all are in one file"
done
[ "$(sort -u loadgroup | wc -l)" = 2 ]
[ "$(sort -u loadfile | wc -l)" = 1 ]
