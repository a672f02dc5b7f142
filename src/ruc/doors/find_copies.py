"""The doors `ruc copies` and `ruc leaks`: tables of images that show the same picture. Nothing is deleted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruc.copies.groups import Group, make_groups
from ruc.copies.pairs import find_pairs
from ruc.copies.pictures import read_pictures
from ruc.errors import InputError
from ruc.images.reading import READING, Reading
from ruc.images.source import ImageSource, find_images
from ruc.images.survey import survey
from ruc.run_folder import check_file, new_outputs, read_run, write_csv
from ruc.runtime import Runtime
from ruc.skipped import skipped_file, write_skipped


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


def copies_to_csv(
    source: str, output: Path, runtime: Runtime, overwrite: bool = False, excel_safe: bool = False
) -> Found:
    """Write `group, file_name, keep, similarity, change, width, height, sharpness`, a row an image of a group.

    Parameters
    ----------
    source
        A folder of images, a table of them, or a finished run on images.
    output
        CSV to write; what can't be read is named in a table beside it.
    runtime
        Whether progress is shown.
    overwrite
        Whether a file that is there may be replaced.
    excel_safe
        Whether names that spreadsheets take for formulas are quoted.
    """
    for target in (output, skipped_file(output)):
        check_file(target, [source], overwrite)
    pictures = read_pictures(survey(*_images_of(source)), runtime)
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
    rows = (row for number, group in enumerate(groups) for row in rows_of(number, group))
    _write(output, columns, rows, pictures.skipped, excel_safe)
    n_copies = sum(len(group.rows) - 1 for group in groups)
    return Found(len(pictures.file_names), n_copies, len(groups), pictures.skipped)


def leaks_to_csv(
    train: str, test: str, output: Path, runtime: Runtime, overwrite: bool = False, excel_safe: bool = False
) -> Found:
    """Write `train, test, similarity, change`: each image of `test` that is (nearly) in `train`, with each copy.

    Parameters are those of `copies_to_csv`, with two sources.
    """
    for target in (output, skipped_file(output)):
        check_file(target, [train, test], overwrite)
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
    _write(output, ["train", "test", "similarity", "change"], rows, skipped, excel_safe)
    n_asked, n_known = len({*pairs.second.tolist()}), len({*pairs.first.tolist()})
    return Found(len(asked.file_names), n_asked, n_known, skipped)


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


def _write(
    output: Path,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    skipped: Sequence[tuple[str, str]],
    excel_safe: bool,
) -> None:
    with new_outputs(output, [skipped_file(output)]) as new:
        write_csv(new / output.name, columns, rows, excel_safe)
        write_skipped(new / output.name, skipped, excel_safe)
