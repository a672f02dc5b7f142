"""Flags for images that are unlike the others of their set in light, colour, sharpness, shape or size.

What is dark among photographs by day isn't among those by night: every threshold but one is a fence about what most
images of the set have (Tukey 1977). Nothing is dropped for a flag.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ruc.cache import Cache
from ruc.images.load import stream_batches
from ruc.images.measures import MEASURES, Measured
from ruc.images.source import ImageSource
from ruc.progress import progress
from ruc.run_folder import Run
from ruc.runtime import Runtime

COLUMN: Final = "quality"
FENCES: Final = "quality_fences"  # in the notes
CACHED_AS: Final = "quality"
FENCE: Final = 3.0  # quartile ranges beyond the quartiles: Tukey's "far out"
# A quartile range counts as no narrower than this, or in a uniform set what no eye sees would be far out.
LEAST_RANGE: Final = {
    "light": 0.25,
    "shade": 0.25,
    "contrast": 0.25,
    "sharpness": 0.25,
    "shape": 0.07,
    "size": 0.25,
}
SMALLEST: Final = 1e-4  # whose logarithm is taken
NEARLY_ALL: Final = 0.98  # of the pixels are of one colour, or grey
MOSTLY: Final = 0.9  # of the images have colour, where a grey one is flagged; or are black, where it is said
BLACK: Final = 16 / 255  # to the eye, where the mean and two deviations are below it
BATCH: Final = 256


def quality_fences(measures: NDArray[np.float32]) -> dict[str, list[float]]:
    """Within which values an image of this set is like the others: lowest and highest, by name; for `quality_flags`.

    `measures`: (n, 7) of `ruc.images.measures.MEASURES`; a row of NaN is of an image that isn't known.
    """
    known = measures[np.isfinite(measures[:, 0])]
    fences = {}
    for name, values in _scaled(known).items() if len(known) else ():
        low, high = np.percentile(values, (25, 75))
        reach = FENCE * max(float(high - low), LEAST_RANGE[name])
        fences[name] = [float(low - reach), float(high + reach)]
    are_grey = known[:, MEASURES.index("grey")] >= NEARLY_ALL
    fences["colour"] = [1 - MOSTLY, 1.0] if len(known) and (~are_grey).mean() >= MOSTLY else [0.0, 1.0]
    return fences


def quality_flags(
    measures: NDArray[np.float32], fences: Mapping[str, Sequence[float]]
) -> dict[str, NDArray[np.bool_]]:
    """Flag images by what was measured of them; one that isn't known has no flag.

    Returns
    -------
    dict
        Flag to (n,) bool: blurred, dark, bright, low_contrast, odd_shape, odd_size, one_colour, grey_among_colour.
    """
    scaled = _scaled(measures)
    none = np.zeros(len(measures), np.bool_)
    below = {name: scaled[name] < fences[name][0] if name in fences else none for name in LEAST_RANGE}
    above = {name: scaled[name] > fences[name][1] if name in fences else none for name in LEAST_RANGE}
    one_colour = measures[:, MEASURES.index("one_colour")] >= NEARLY_ALL
    is_grey = measures[:, MEASURES.index("grey")] >= NEARLY_ALL
    return {
        "blurred": below["sharpness"] & ~one_colour,
        "dark": below["light"],
        "bright": below["shade"],
        "low_contrast": below["contrast"],
        "odd_shape": below["shape"] | above["shape"],
        "odd_size": below["size"] | above["size"],
        "one_colour": one_colour,
        "grey_among_colour": is_grey & (fences["colour"][0] > 0),
    }


def with_quality(run: Run, measures: NDArray[np.float32]) -> Run:
    """The run with its flags, with the fences by which later images get theirs, and a warning where most are black."""
    fences = quality_fences(measures)
    column = as_text(quality_flags(measures, fences))
    warnings = [*run.notes.get("warnings", ()), *_black(measures)]
    notes = {**run.notes, FENCES: fences, "warnings": warnings}
    return replace(run, marks={**run.marks, COLUMN: column}, notes=notes)


def _black(measures: NDArray[np.float32]) -> list[str]:
    """A line where nothing is to be seen, as of masks that hold 0 and 1: no set is so by itself."""
    known = measures[np.isfinite(measures[:, 0])]
    brightness, contrast = (known[:, MEASURES.index(name)] for name in ("brightness", "contrast"))
    are_black = brightness + 2 * contrast < BLACK
    if not len(known) or are_black.mean() < MOSTLY:
        return []
    return [
        f"{are_black.sum()} of {len(known)} images are black to the eye: nearly all values are below 16 of 255; "
        "if they are masks, or numbers of classes, spread their values over 0 to 255 first"
    ]


def as_text(flags: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.str_]:
    """(n,) the flags of each image, joined by spaces."""
    columns = [np.where(column, name, "").tolist() for name, column in flags.items()]
    return np.array([" ".join(filter(None, row)) for row in zip(*columns, strict=True)], np.str_)


def flags_of_text(texts: Sequence[str]) -> Mapping[str, NDArray[np.bool_]]:
    """The flags that occur, each (n,) bool: what `as_text` joined."""
    rows = [set(str(text).split()) for text in texts]
    return {name: np.array([name in row for row in rows]) for name in sorted(set().union(*rows))}


def measures_of(
    source: ImageSource, hashes: Sequence[str], measured: Measured, cache: Cache | None, runtime: Runtime
) -> NDArray[np.float32]:
    """(n, 7) measures of all images: those looked at while they were embedded; of the others kept ones, or made now.

    Parameters
    ----------
    hashes
        Of their bytes.
    measured
        What was measured already; completed here.
    cache
        Where measures of earlier runs are, and where these go.
    """
    about = {"reading": source.reading.to_config(), "measures": MEASURES}
    missing = [place for place, name in enumerate(source.file_names) if name not in measured.rows]
    if cache is not None and missing:
        kept = cache.known(CACHED_AS, about, [hashes[place] for place in missing])
        measured.rows |= {source.file_names[missing[at]]: row for at, row in kept.items()}
        missing = [place for place in missing if source.file_names[place] not in measured.rows]
    if missing:
        rest = source.take(missing).watched_by(measured)
        with progress("looking at images", len(missing), "images", runtime.verbose) as advance:
            for batch in stream_batches(rest, lambda _: np.empty(0), BATCH):
                advance(len(batch.indices) + len(batch.skipped))
    unknown = np.full(len(MEASURES), np.nan, np.float32)
    rows = np.array([measured.rows.get(name, unknown) for name in source.file_names], np.float32)
    if cache is not None:
        known = np.flatnonzero(np.isfinite(rows[:, 0])).tolist()
        cache.keep(CACHED_AS, about, [hashes[place] for place in known], rows[known])
    return rows.reshape(len(source), len(MEASURES))


def _scaled(measures: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """What fences are put around: logarithms, since images differ by factors; shade is what light leaves of white."""
    values = dict(zip(MEASURES, np.asarray(measures, np.float64).T, strict=True))
    scaled = {
        "light": values["brightness"],
        "shade": 1 - values["brightness"],
        "contrast": values["contrast"],
        "sharpness": values["sharpness"],
        "shape": values["width"] / values["height"],
        "size": values["width"] * values["height"],
    }
    return {name: np.log(np.maximum(column, SMALLEST)) for name, column in scaled.items()}
