"""File names as tables and folders write them, told to be the same."""

import unicodedata
from collections import Counter
from collections.abc import Set


def plain_name(name: str) -> str:
    """Forward slashes, no leading "./", no spaces around it, and composed Unicode (macOS decomposes it)."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/")).removeprefix("./")


def match_by_ending(names: Set[str], images: Set[str]) -> dict[str, str]:
    """Image to the one name that is an ending of its path, or that has it as an ending, where neither has another.

    `000.jpg` is `images/000.jpg`, unless there is `more/000.jpg` as well. Names and images are plain, and none is in
    both sets.
    """
    pairs = [
        *((image, ending) for image in images for ending in _endings(image) if ending in names),
        *((ending, name) for name in names for ending in _endings(name) if ending in images),
    ]
    times_image = Counter(image for image, _ in pairs)
    times_name = Counter(name for _, name in pairs)
    return {image: name for image, name in sorted(pairs) if times_image[image] == times_name[name] == 1}


def _endings(path: str) -> list[str]:
    """Of a/b/c: b/c and c."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(1, len(parts))]
