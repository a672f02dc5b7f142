"""The doors `ruc copies` and `ruc leaks`: tables of images that show the same picture. Nothing is deleted."""

from dataclasses import dataclass
from pathlib import Path

from ruc.copies.groups import Group, make_groups
from ruc.copies.pairs import find_pairs
from ruc.copies.pictures import read_pictures
from ruc.images.load import Skipped
from ruc.images.reading import READING
from ruc.images.source import find_images
from ruc.images.survey import survey
from ruc.run_folder import check_file, new_output, read_run, write_csv
from ruc.runtime import Runtime


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
        Images that couldn't be read.
    """

    n_images: int
    n_copies: int
    n_groups: int
    skipped: tuple[Skipped, ...]


def copies_to_csv(source: str, output: Path, runtime: Runtime, overwrite: bool = False) -> Found:
    """Write `group, file_name, keep, similarity, change, width, height, sharpness`, a row an image of a group.

    Parameters
    ----------
    source
        A folder of images, a table of them, or a finished run on images.
    output
        CSV to write.
    runtime
        Whether progress is shown.
    overwrite
        Whether a file that is there may be replaced.
    """
    check_file(output, [source], overwrite)
    pictures = read_pictures(survey(find_images(_images_of(source)), READING), runtime)
    groups = make_groups(pictures, find_pairs(pictures, None, runtime))

    def rows_of(number: int, group: Group) -> list[list[object]]:
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

    columns = ["group", "file_name", "keep", "similarity", "change", "width", "height", "sharpness"]
    with new_output(output) as new:
        write_csv(
            new,
            columns,
            (row for number, group in enumerate(groups) for row in rows_of(number, group)),
        )
    n_copies = sum(len(group.rows) - 1 for group in groups)
    return Found(len(pictures.file_names), n_copies, len(groups), pictures.skipped)


def leaks_to_csv(train: str, test: str, output: Path, runtime: Runtime, overwrite: bool = False) -> Found:
    """Write `train, test, similarity, change`: each image of `test` that is (nearly) in `train`, with each copy.

    Parameters are those of `copies_to_csv`, with two sources.
    """
    check_file(output, [train, test], overwrite)
    first = survey(find_images(_images_of(train)), READING)
    second = survey(
        find_images(_images_of(test)), first.reading
    )  # the same values are black and white in both
    known, asked = read_pictures(first, runtime), read_pictures(second, runtime)
    pairs = find_pairs(known, asked, runtime)
    rows = (
        [known.file_names[a], asked.file_names[b], round(float(similarity), 4), change]
        for a, b, similarity, change in zip(
            pairs.first, pairs.second, pairs.similarity, pairs.change, strict=True
        )
    )
    with new_output(output) as new:
        write_csv(new, ["train", "test", "similarity", "change"], rows)
    n_asked = len({*pairs.second.tolist()})
    return Found(len(asked.file_names), n_asked, len({*pairs.first.tolist()}), known.skipped + asked.skipped)


def _images_of(source: str) -> str:
    """Where the images of a finished run are, or the source as it is."""
    if not (Path(source) / "config.yaml").is_file():
        return source
    return str(read_run(Path(source)).settings["source"])
