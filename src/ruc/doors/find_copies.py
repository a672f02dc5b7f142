"""The doors `ruc copies` and `ruc leaks`: tables of images that show the same picture. Nothing is deleted."""

from dataclasses import dataclass
from pathlib import Path

from ruc.copies.groups import Group, make_groups
from ruc.copies.pairs import find_pairs
from ruc.copies.pictures import Pictures, read_pictures
from ruc.errors import InputError
from ruc.images.reading import READING, Reading
from ruc.images.source import ImageSource, find_images
from ruc.images.survey import survey
from ruc.run_folder import read_run
from ruc.runtime import Runtime
from ruc.skipped import NewTable


@dataclass(frozen=True)
class Found:
    """What a door found.

    Attributes
    ----------
    n_images
        Images that were read.
    n_copies
        Of them, those that could go: in a group, and not its keeper; or with a copy on the other side.
    n_groups
        Groups, or images of the first folder that have a copy in the second.
    skipped
        (file_name, reason) of images that couldn't be read.
    """

    n_images: int
    n_copies: int
    n_groups: int
    skipped: tuple[tuple[str, str], ...]


def copies_to_csv(source: str, output: NewTable, runtime: Runtime) -> Found:
    """Write `group, file_name, keep, similarity, change, width, height, sharpness`, a row an image of a group.

    `source`: a folder of images, a table of them, or a finished run on images.
    """
    output.check([source])
    pictures = read_pictures(survey(*_images_of(source)), runtime)
    groups = make_groups(pictures, find_pairs(pictures, None, runtime))
    columns = ["group", "file_name", "keep", "similarity", "change", "width", "height", "sharpness"]
    rows = (row for number, group in enumerate(groups) for row in _rows_of(number, group, pictures))
    output.write(columns, rows, pictures.skipped)
    n_copies = sum(len(group.rows) - 1 for group in groups)
    return Found(len(pictures.file_names), n_copies, len(groups), pictures.skipped)


def leaks_to_csv(train: str, test: str, output: NewTable, runtime: Runtime) -> Found:
    """Write `train, test, similarity, change`: each image of `test` that is (nearly) in `train`, with each copy.

    Parameters are those of `copies_to_csv`, with two sources.
    """
    output.check([train, test])
    found, asked_for = _images_of(train), _images_of(test)
    first = survey(*found)
    second = survey(asked_for[0], first.reading)  # the same values are black and white in both
    known, asked = read_pictures(first, runtime), read_pictures(second, runtime)
    pairs = find_pairs(known, asked, runtime)
    rows = (
        [known.file_names[a], asked.file_names[b], round(float(similarity), 4), change]
        for a, b, similarity, change in zip(
            pairs.first, pairs.second, pairs.similarity, pairs.change, strict=True
        )
    )
    skipped = known.skipped + asked.skipped
    output.write(["train", "test", "similarity", "change"], rows, skipped)
    n_asked, n_known = len({*pairs.second.tolist()}), len({*pairs.first.tolist()})
    return Found(len(asked.file_names), n_asked, n_known, skipped)


def _rows_of(number: int, group: Group, pictures: Pictures) -> list[list[object]]:
    """Of each image of a group, the one to keep first."""
    return [
        [
            number,
            pictures.file_names[row],
            place == 0,
            round(similarity, 4),
            change,
            int(pictures.width[row]),
            int(pictures.height[row]),
            round(float(pictures.sharpness[row]), 5),
        ]
        for place, (row, similarity, change) in enumerate(
            zip(group.rows, group.similarity, group.change, strict=True)
        )
    ]


def _images_of(source: str) -> tuple[ImageSource, Reading]:
    """The images of a folder, a table or a finished run, which says itself how they are read; none is opened yet."""
    if not (Path(source) / "config.yaml").is_file():
        return find_images(source), READING
    settings = read_run(Path(source)).settings
    if settings.get("source") is None:
        raise InputError(
            f"{source} is a run on features or an array; expected one on images, or the folder of the images"
        )
    return find_images(settings["source"]), Reading.from_config(settings)
