"""What is no plain file is never opened: a pipe would wait for ever."""

import errno
import os
import stat
from pathlib import Path


def check_plain(path: Path) -> None:
    """Raise `OSError` where there is nothing, or something else than a plain file, which its `strerror` names."""
    kind = path.stat().st_mode
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, _what_it_is(path, kind), str(path))


def _what_it_is(path: Path, kind: int) -> str:
    if stat.S_ISDIR(kind):
        return (
            "a folder, not a file" if os.access(path, os.R_OK | os.X_OK) else "a folder that may not be read"
        )
    names = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in names if test(kind)), "a device") + ", not a file"
