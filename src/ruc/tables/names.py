"""Which column of a table names the images, and which row is which image's.

A row belongs to an image by its name, whatever the heading of the names. By its place it belongs to one only where
nothing has names.
"""

import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from ruc.errors import InputError
from ruc.tables.formulas import as_meant

logger = logging.getLogger(__name__)

FILE_NAME: Final = "file_name"
HEADINGS: Final = (
    "file_name", "filename", "file", "image_name", "image_file", "image_path", "image", "img", "path", "file_path",
    "filepath", "name", "image_id", "id",
)  # fmt: skip
"""What others call the column of names, compared as `plain_heading` writes them; the first one counts."""
ROW_NUMBERS: Final = frozenset(("", "index", "unnamed:_0", "__index_level_0__", "row", "rownames", "row_id"))
"""What programs call the column in which they count the rows."""
INTEGER: Final = re.compile(r"0|[1-9][0-9]*")
WHOLE_FLOAT: Final = re.compile(r"([0-9]+)\.0+")
NUMBER_OR_TIME: Final = re.compile(r"[-+−]?[0-9.,:eE+\-/ TZ%]+|nan|inf|true|false", re.IGNORECASE)
IMAGE_SUFFIX: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}")
AMONG_MANY: Final = 0.5  # so many of its values, or of the images, make a column the one of the names


def plain_name(name: str) -> str:
    """Forward slashes, no leading "./", no spaces around it, and composed Unicode (macOS decomposes it)."""
    return unicodedata.normalize("NFC", name.strip().replace("\\", "/")).removeprefix("./")


def plain_heading(heading: str) -> str:
    """In lower case, with underscores: `File Name` is `file_name`."""
    return re.sub(r"[\s\-]+", "_", heading.strip().casefold())


def match_names(names: Iterable[str], images: Sequence[str]) -> dict[str, str]:
    """The image of each name that is one's; several names may be one image's, as `a.png` and `./a.png`.

    A name that is no image's counts as that of the one image whose path ends with it, or with which it ends: `000.jpg`
    for `images/000.jpg`; without suffix (`000`), or in another case, where no other can be meant.
    """
    times = Counter(map(plain_name, images))  # `a/b` and `a\\b` may be in one folder
    exact = {plain_name(image): image for image in images if times[plain_name(image)] == 1}
    exact |= {image: image for image in images}
    found: dict[str, str] = {}
    left: list[str] = []
    for name in dict.fromkeys(names):
        image = exact.get(name) or exact.get(plain_name(name)) or exact.get(plain_name(as_meant(name)))
        if image is None:
            left.append(name)
        else:
            found[name] = image
    free = list(dict.fromkeys(images).keys() - set(found.values())) if left else []
    for of_name, of_image in (
        (plain_name, plain_name),
        (_bare, _stem),
        (_folded, _folded),
        (lambda name: _bare(name).casefold(), lambda image: _stem(image).casefold()),
    ):
        if not left or not free:
            break
        by_name, by_image = _unique(left, of_name), _unique(free, of_image)
        both = by_name.keys() & by_image.keys()
        matched = {key: key for key in both} | match_by_ending(by_name.keys() - both, by_image.keys() - both)
        pairs = {by_name[name]: by_image[image] for image, name in matched.items()}
        found |= pairs
        left = [name for name in left if name not in pairs]
        taken = set(pairs.values())
        free = [image for image in free if image not in taken]
    return found


def _unique(texts: Iterable[str], key: Callable[[str], str]) -> dict[str, str]:
    """Key to the one text that has it; none for "" and for keys that several have."""
    texts = list(texts)
    times = Counter(map(key, texts))
    return {key(text): text for text in texts if key(text) and times[key(text)] == 1}


def _bare(name: str) -> str:
    """A name without suffix, "" for others: `000.png` isn't `000.jpg`."""
    plain = plain_name(name)
    return "" if IMAGE_SUFFIX.fullmatch(PurePosixPath(plain).suffix) else plain


def _stem(image: str) -> str:
    plain = plain_name(image)
    return plain.removesuffix(PurePosixPath(plain).suffix)


def _folded(name: str) -> str:
    return plain_name(name).casefold()


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


def heading_of_names(headings: Collection[str]) -> str | None:
    """`file_name`, or what others call it, by the heading alone; None where there is none."""
    if FILE_NAME in headings:
        return FILE_NAME
    ranked = sorted(
        (HEADINGS.index(plain_heading(each)), each) for each in headings if plain_heading(each) in HEADINGS
    )
    return ranked[0][1] if ranked else None


@dataclass(frozen=True)
class Names:
    """The column that names the images.

    Attributes
    ----------
    heading
        What it's called.
    cells
        The name of each row, as it stands; "" where it has none.
    image_of
        The image of each name that is one's, see `match_names`.
    """

    heading: str
    cells: Sequence[str]
    image_of: Mapping[str, str]


def column_of_names(
    source: str, columns: Mapping[str, Sequence[str]], images: Sequence[str], are_rows: bool = False
) -> Names | None:
    """The column that names the images, or None where nothing in the table has names.

    Parameters
    ----------
    source
        The file, for messages.
    columns
        The cells of each column that may hold the names: all but labels and probabilities.
    images
        What the images are called, in their order; the numbers of the rows where samples have no names.
    are_rows
        Whether the samples are rows of features, so that their numbers from 0 name them too.

    Raises
    ------
    InputError
        A column that has names, but not of these images, so that rows mustn't be taken by their place; or two columns
        that name different images.
    """
    filled = {
        heading: _as_whole(cells, images)
        for heading, cells in columns.items()
        if any(cell.strip() for cell in cells)
    }
    candidates: dict[str, Names] = {}
    unclear: list[str] = []
    for heading, cells in filled.items():
        start = _counted_from(cells, in_order=True)
        if start is not None and _is_only_a_counter(cells, start, images):
            continue
        if plain_heading(heading) in ROW_NUMBERS and not _count_and_name_alike(cells, images):
            unclear.append(heading)
            continue
        _refuse_numbers_from_one(source, heading, cells, images)
        found = match_names({cell for cell in cells if cell.strip()}, images)
        if _are_names(cells, found, images) or (heading == FILE_NAME and found):
            candidates[heading] = Names(heading, cells, found)
    if unclear and not candidates:
        raise InputError(
            f"{source}: its column {unclear[0]!r} counts the rows, and the images are called like numbers, in another "
            f"order ({images[0]!r}, {images[1]!r}, …); expected a column file_name: rename {unclear[0]!r} so if it "
            "names them, or remove it if the rows are in the order of the images"
        )
    if candidates:
        return candidates.get(FILE_NAME) or _best(source, candidates)
    if FILE_NAME in filled:
        cells = filled[FILE_NAME]
        if are_rows and len(cells) == len(images) and _counted_from(cells, in_order=False) == 0:
            return Names(FILE_NAME, cells, {cell: images[int(cell)] for cell in cells})
        counts_rows = _are_row_numbers(images) and _counted_from(cells, in_order=True) == 1
        return None if counts_rows else Names(FILE_NAME, cells, {})
    _refuse_other_names(source, filled, images)
    return None


def _as_whole(cells: Sequence[str], images: Sequence[str]) -> Sequence[str]:
    """1.0, 2.0, … as 1, 2, …, unless images are called 1.0: where one was missing pandas makes floats of numbers."""
    whole = [WHOLE_FLOAT.fullmatch(cell.strip()) for cell in cells]
    if not all(found or not cell.strip() for found, cell in zip(whole, cells, strict=True)):
        return cells
    return cells if match_names(cells, images) else [found[1] if found else "" for found in whole]


def _are_names(cells: Sequence[str], found: Mapping[str, str], images: Sequence[str]) -> bool:
    n_filled = sum(bool(cell.strip()) for cell in cells)
    n_distinct = len({cell for cell in cells if cell.strip()})
    many = len(found) >= AMONG_MANY * n_distinct or len(set(found.values())) >= AMONG_MANY * len(images)
    return bool(found) and many and n_filled >= AMONG_MANY * len(cells)


def _counted_from(cells: Sequence[str], in_order: bool) -> int | None:
    """0 or 1 where the cells are the numbers from there on, each once."""
    longest = len(str(len(cells)))
    if not all(INTEGER.fullmatch(cell.strip()) and len(cell.strip()) <= longest for cell in cells):
        return None
    numbers = [int(cell) for cell in cells]
    counted = numbers if in_order else sorted(numbers)
    return next((start for start in (0, 1) if counted == list(range(start, start + len(counted)))), None)


def say_by_place(source: str, images: Sequence[str]) -> None:
    """Log that rows without names are taken for those of the images in their order, where these have names.

    Some are named: whether 10.png comes before 2.png isn't the same to all who make such files.
    """
    if not _are_row_numbers(images):
        first = ", ".join(map(repr, images[:3]))
        logger.info("%s: no names; its rows are taken for %s and so on, in this order", source, first)


def _are_row_numbers(images: Sequence[str]) -> bool:
    """Whether samples are called 0, 1, 2, …, as those are that have no names."""
    return all(image == str(row) for row, image in enumerate(images))


def _is_only_a_counter(cells: Sequence[str], start: int, images: Sequence[str]) -> bool:
    """Whether a column 0, 1, 2, … or 1, 2, 3, … counts the rows, instead of naming images that are called so."""
    if _are_row_numbers(images):
        return start == 1
    found = match_names([cell.strip() for cell in cells], images)
    return not _are_names(cells, found, images)


def _count_and_name_alike(cells: Sequence[str], images: Sequence[str]) -> bool:
    """Whether numbers count the rows of the same images that they name, or only one of the two can be meant.

    They may count from 0 or from 1, and rows may be gone.
    """
    texts = [cell.strip() for cell in cells]
    if _are_row_numbers(images) or not all(INTEGER.fullmatch(text) for text in texts):
        return True
    found = match_names(texts, images)
    if not _are_names(cells, found, images):
        return True
    numbers = [int(text) for text in texts]
    starts = [start for start in (0, 1) if start <= min(numbers) and max(numbers) - start < len(images)]
    return all(
        found.get(text) == images[number - start]
        for start in starts
        for text, number in zip(texts, numbers, strict=True)
    )


def _refuse_numbers_from_one(source: str, heading: str, cells: Sequence[str], images: Sequence[str]) -> None:
    are_shuffled = _counted_from(cells, in_order=False) == 1 and _counted_from(cells, in_order=True) is None
    if are_shuffled and _are_row_numbers(images) and len(cells) == len(images):
        raise InputError(
            f"{source}: its column {heading!r} numbers the samples from 1, in another order than theirs; expected "
            "file_name from 0, or rows in the order of the samples without that column"
        )


def _best(source: str, candidates: Mapping[str, Names]) -> Names:
    """Names before bare numbers, then by heading; columns that name the same images for every row are one."""

    def rank(names: Names) -> tuple[bool, int]:
        plain = plain_heading(names.heading)
        are_numbers = all(INTEGER.fullmatch(cell.strip()) for cell in names.cells)
        return (are_numbers, HEADINGS.index(plain) if plain in HEADINGS else len(HEADINGS))

    def images(names: Names) -> list[str | None]:
        return [names.image_of.get(cell) for cell in names.cells]

    first, *others = sorted(candidates.values(), key=rank)
    for other in others:
        if rank(other) == rank(first) and images(other) != images(first):
            raise InputError(
                f"{source}: the columns {first.heading!r} and {other.heading!r} both hold names of the images, and of "
                "different ones; rename the one that counts to file_name"
            )
    return first


def _refuse_other_names(source: str, columns: Mapping[str, Sequence[str]], images: Sequence[str]) -> None:
    """Raise where a column names something in each row, and not these images."""
    for heading, cells in columns.items():
        plain = plain_heading(heading)
        texts = [cell.strip() for cell in cells]
        if len(texts) < 2 or len(set(texts)) < len(texts) or not all(texts):
            continue
        if all(INTEGER.fullmatch(text) for text in texts):
            is_key = (
                plain in HEADINGS or plain in ROW_NUMBERS or _counted_from(texts, in_order=False) is not None
            )
            if not is_key or _counted_from(texts, in_order=True) is not None:
                continue
        elif all(NUMBER_OR_TIME.fullmatch(text) for text in texts):
            continue
        what = (
            f"the samples have no names: keep beside the .npy a CSV that names its rows, or remove {heading!r} if the "
            "rows are in the order of the samples"
            if _are_row_numbers(images)
            else f"an image is {images[0]!r}: put the images' names into a column file_name, or remove {heading!r} if "
            "the rows are in the order of the images"
        )
        raise InputError(
            f"{source}: its column {heading!r} has names ({texts[0]!r}, …), but none of the images; {what}"
        )
