"""The last line of a command that couldn't do what it was asked: the true cause, short enough to be read."""

import errno
import re
from typing import Final

from ruc.errors import RucError, UsageError, shortened

CANNOT: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130
LONG: Final = re.compile(r"'[^']{300,}'|\S{300,}")  # what was given, as a message repeats it
# torch, on the processor and on the accelerator; C++; the loader of a library; a thread's own; a system call
NO_MEMORY: Final = (
    "can't allocate memory", "out of memory", "bad_alloc", "failed to map segment", "can't start new thread",
    "Cannot allocate memory",
)  # fmt: skip


def last_line(error: BaseException) -> tuple[str, int] | None:
    """What to say and the exit status; None where nobody foresaw such an error: then its traceback is what helps."""
    match error:
        case UsageError():
            return readable(str(error)), WRONG_USAGE
        case RucError():
            return readable(str(error)), CANNOT
        case KeyboardInterrupt():
            return "interrupted; what was there is whole: give the same command again to go on", INTERRUPTED
        case MemoryError() | RuntimeError() | ImportError() | OSError() if _is_about_memory(error):
            return (
                f"too little memory ({readable(str(error)) or 'no more can be had'}); expected room: "
                "close other programs, or give fewer or smaller images (--image-size)"
            ), CANNOT
        case OSError(errno=errno.EPIPE):
            return None  # whoever read the output has seen enough, which typer knows
        case OSError():
            what = readable(str(error.filename or "the output"))
            return (
                f"{what}: {error.strerror or readable(str(error))}; expected to read from it, or to write to it"
            ), CANNOT
    return None


def readable(message: str) -> str:
    """One line, in which what a user gave is cut off where it's long."""
    return LONG.sub(lambda found: shortened(found[0]), " ".join(message.split()))


def _is_about_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(words in str(error) for words in NO_MEMORY)
