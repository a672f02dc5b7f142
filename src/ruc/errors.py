"""What can go wrong, as names.

Every error a user can meet is a `RucError`. Its message is one line: what was given, what was
expected, and what to do. The command line prints it and exits with status 1, with 2 where it is a `UsageError`.
What is done all the same but may need a hand is a `ClusterWarning`: the estimators warn of it, the command line says
it in its summary.
"""

from pathlib import Path
from typing import Final
from unicodedata import category

LONGEST: Final = 120  # characters of something that a message repeats


class RucError(Exception):
    """Anything that stops the work and that a user can mend."""


class InputError(RucError, ValueError):
    """A parameter, a file of labels or an array is not what it has to be."""


class UsageError(InputError):
    """An option, or a setting, has a value that it can't have, whatever the input is; or two exclude each other."""


class UnreadableImageError(RucError):
    """One image cannot be decoded; its message is the reason shown in `skipped.csv`."""


class NothingToClusterError(InputError):
    """No image, or too few of them, could be read, or nothing tells the samples apart."""


class WeightsError(RucError):
    """Pretrained weights cannot be had, or are not what they have to be."""


class ClusterWarning(UserWarning):
    """A cluster is empty, was lost, or has no sample whose label can be trusted; the message says what to do."""


class RunFolderError(RucError):
    """A run folder cannot be read, or it, or another output, cannot or must not be written."""


class UnreadableFileError(InputError):
    """A file isn't there, or isn't of the kind that it has to be.

    Attributes
    ----------
    path, kind
        Which file, and what it was read as.
    reason
        Why that failed, for messages that say more.
    """

    def __init__(self, path: Path, kind: str, reason: str) -> None:
        super().__init__(f"{shortened(str(path))} cannot be read as {kind} ({reason})")
        self.path, self.kind, self.reason = path, kind, reason


def shown(value: object) -> str:
    """How a message repeats a value of any kind: in one line, and of what is long its beginning."""
    try:
        return shortened(" ".join(repr(value).split()))
    except ValueError:  # Python doesn't write integers of more than 4,300 digits
        return f"something of type {type(value).__name__}, too long to be shown,"


def shortened(text: str, longest: int = LONGEST) -> str:
    """The text, or its beginning where it is long: what a message repeats must leave room for the message."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def visible(text: str) -> str:
    """The text in one line, control characters as Python writes them: a name may hold any, a terminal obeys them."""
    return "".join(repr(each)[1:-1] if category(each) == "Cc" else each for each in text)
