"""One writer in a folder at a time; a lock goes with the process that holds it, however that ends."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from ruc.errors import RunFolderError

logger = logging.getLogger(__name__)

LOCK: Final = ".lock"  # a file in place of the folder itself, where folders can't be locked


@contextmanager
def alone_in(folder: Path, wait: bool = True) -> Iterator[None]:
    """Be the only writer in a folder that is there, for as long as the block takes.

    Parameters
    ----------
    folder
        Where to write.
    wait
        Until it is free; else `RunFolderError` is raised where it isn't.
    """
    with ExitStack() as held:
        if not _take(folder, held, blocking=False):
            if not wait:
                raise RunFolderError(
                    f"another ruc is at work in {folder}; expected to be alone there: wait for it, or give another -o"
                )
            logger.warning("waiting for another ruc, which is at work in %s", folder)
            _take(folder, held, blocking=True)
        yield


def _take(folder: Path, held: ExitStack, blocking: bool) -> bool:
    """Lock the folder until `held` is closed; False where somebody else has it."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
        held.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX if blocking else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):  # Windows, and network disks that lock only what is open for writing
        try:
            held.enter_context(FileLock(folder / LOCK, blocking=blocking))
        except Timeout:
            return False
    return True
