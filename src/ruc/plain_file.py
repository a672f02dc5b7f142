"""What is no plain file is never opened: a pipe would wait for ever."""

import errno
import os
import stat
from pathlib import Path


class NotPlainError(OSError):
    """Something else than a plain file is there; `strerror` says what."""


def check_plain(path: Path) -> None:
    """Raise `NotPlainError` where there is no plain file but something else, and `OSError` where there is nothing."""
    kind = path.stat().st_mode
    if not stat.S_ISREG(kind):
        raise NotPlainError(errno.EINVAL, _what_it_is(path, kind), str(path))


def _what_it_is(path: Path, kind: int) -> str:
    if stat.S_ISDIR(kind):
        return (
            "a folder, not a file" if os.access(path, os.R_OK | os.X_OK) else "a folder that may not be read"
        )
    names = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
    return next((name for test, name in names if test(kind)), "a device") + ", not a file"
