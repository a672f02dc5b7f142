"""What the files of a run hold, by their headers and a sample of their pixels: found once, before all are read."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ruc.errors import UnreadableImageError
from ruc.images.damage import DAMAGED
from ruc.images.decode import pages_of, read
from ruc.images.formats import (
    HEAD,
    is_dicom,
    is_jpeg,
    is_jpeg2000,
    is_jxl,
    is_tiff,
    jpeg2000_alpha,
    jpeg2000_depths,
    jpeg_precision,
    may_move,
    png_depth,
)
from ruc.images.load import n_workers
from ruc.images.opening import by_pillow, opened, pillow_warnings_ignored, tiff_header_of
from ruc.images.packed import Stored
from ruc.images.reading import Range, Reading
from ruc.images.scientific import dicom_data, dicom_kind
from ruc.images.source import ImageSource, counted, names_alike
from ruc.images.value_range import Ends, common_range, ends_of
from ruc.images.values import Values

logger = logging.getLogger(__name__)

SAMPLE = 128  # files of a kind whose pixels are looked at, evenly spread


class Facts(NamedTuple):
    """What a header says that matters for reading others alike.

    `kind` groups files whose values are of more than 8 bits, or may be; `bands` counts them where some are left out.
    """

    kind: str | None = None
    pages: int = 1
    bands: int = 0


def survey(source: ImageSource, reading: Reading) -> ImageSource:
    """Find what is black and what is white in the images of a source, and what else is worth knowing before.

    `reading`: the rules asked for, or those of an earlier run: ranges that it holds stay as they are.

    Returns it with the rules completed, and a line on each thing a user should know.
    """
    with ThreadPoolExecutor(n_workers()) as pool, pillow_warnings_ignored:
        facts = list(pool.map(facts_of, source.items))
        ranges = dict(reading.value_range or {})
        found = _ranges(source, facts, replace(reading, value_range=ranges), pool)
    ranges |= {kind: ends for kind, ends in found.items() if kind not in ranges}
    remarks = tuple(_remarks(source, facts, ranges, reading))
    for remark in remarks:
        logger.info("%s", remark)
    return replace(source, reading=replace(reading, value_range=ranges), remarks=remarks)


def facts_of(item: Stored | NDArray[Any]) -> Facts:
    """What the header of one image says; nothing where it can't be read, which decoding will report."""
    if isinstance(item, np.ndarray):
        return Facts("uint16" if item.dtype == np.uint16 else None)
    try:
        with opened(item) as (file, header):
            return _facts(file, header)
    except (UnreadableImageError, *DAMAGED):
        return Facts()


def _facts(file: IO[bytes], header: bytes) -> Facts:
    if is_tiff(header):
        tiff = tiff_header_of(file)
        return Facts(
            tiff.kind if tiff.is_deep else None, len(tiff.pages), tiff.n_bands if tiff.n_left_out else 0
        )
    if is_dicom(header):
        data, _ = dicom_data(file, header_only=True)
        return Facts(dicom_kind(data), int(data.get("NumberOfFrames") or 1))
    if png_depth(header) == 16:
        return Facts("uint16")
    file.seek(0)
    head = file.read(HEAD)
    if is_jpeg(header):
        bits = jpeg_precision(head)
        return Facts(f"uint{bits}" if bits > 8 else None)
    if is_jpeg2000(header):
        depths = jpeg2000_depths(head)
        bits, n_used = max(depths, default=8), 1 if len(depths) < 3 else 3
        has_others = len(depths) > n_used + (jpeg2000_alpha(head) is not None)
        return Facts(
            f"JPEG 2000 of {bits} bits" if bits > 8 else None, bands=len(depths) if has_others else 0
        )
    if is_jxl(header):
        return Facts("JPEG XL")  # it says so nowhere that is quick to read
    if header.startswith((b"P2", b"P3", b"P5", b"P6", b"Pf", b"PF")):
        return Facts("Netpbm")
    image = by_pillow(file, header) if may_move(head) else None
    return Facts() if image is None else Facts(pages=len(pages_of(image, None)))


def _ranges(
    source: ImageSource, facts: Sequence[Facts], reading: Reading, pool: ThreadPoolExecutor
) -> dict[str, Range]:
    """The range of each kind, from a sample of the files of each."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, fact in enumerate(facts):
        if fact.kind is not None and fact.kind not in (reading.value_range or {}):
            members[fact.kind].append(index)

    def ends(index: int) -> tuple[str, Ends | None] | None:
        try:
            content, _ = read(source.items[index], None, reading)
        except UnreadableImageError:
            return None
        return (content.kind, ends_of(content)) if isinstance(content, Values) else None

    found: dict[str, list[Ends]] = defaultdict(list)
    for places in members.values():
        sample = np.unique(np.linspace(0, len(places) - 1, min(SAMPLE, len(places))).astype(int))
        for kind, one in filter(None, pool.map(ends, [places[at] for at in sample])):
            if one is not None:
                found[kind].append(one)
    return {kind: common_range(kind, images) for kind, images in sorted(found.items())}


def _files_hold(count: int) -> str:
    return "1 file holds" if count == 1 else f"{count} files hold"


def _remarks(
    source: ImageSource, facts: Sequence[Facts], ranges: Mapping[str, Range], reading: Reading
) -> list[str]:
    remarks = []
    shown = [f"{kind} from {low:.6g} (black) to {high:.6g} (white)" for kind, (low, high) in ranges.items()]
    if shown and any(fact.kind for fact in facts):
        remarks.append(f"values are shown alike in all images: {'; '.join(shown)}")
    pages = Counter(fact.pages for fact in facts if fact.pages > 1)
    if pages:
        many = ", ".join(str(n) for n in sorted(pages)[:5]) + (", …" if len(pages) > 5 else "")
        used = {
            "first": "the first is used",
            "middle": "the middle one is used",
            "max": "their maximum is used",
        }
        others = " or ".join(page for page in ("first", "middle", "max") if page != reading.page)
        remarks.append(
            f"{_files_hold(pages.total())} several pages ({many}); {used[reading.page]} (--page {others})"
        )
    bands = Counter(fact.bands for fact in facts if fact.bands)
    for n_bands, count in sorted(bands.items()):
        used_bands = "the first three are red, green and blue" if n_bands > 2 else "the first is used"
        remarks.append(f"{_files_hold(count)} {n_bands} bands, not all of them colours; {used_bands}")
    if alike := names_alike(source.file_names):
        remarks.append(
            f"beside {alike[0]!a} there is a name that differs only in how accents are coded"
            + (f" ({len(alike)} such names)" if len(alike) > 1 else "")
            + "; some disks and programs take the two for one file"
        )
    if source.left_out:
        remarks.append(f"left out: {counted(source.left_out)}")
    return remarks
