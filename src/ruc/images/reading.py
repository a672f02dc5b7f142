"""How the files of a run become pixels: the same for each of them, and for the images predicted later."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Page = Literal["first", "middle", "max"]
PAGES: tuple[str, ...] = get_args(Page)

Range = tuple[float, float]

MOST_MEGAPIXELS = 300  # phones take 200 since 2022; beyond, a small file may claim more than the memory holds


@dataclass(frozen=True)
class Reading:
    """The rules by which every image of a run is read.

    Attributes
    ----------
    page
        Of a file with several pages, slices or frames of one size: the first, the middle one (of n the one with
        n // 2 before it), or their maximum pixel by pixel.
    max_megapixels
        Larger images are refused, from their header.
    value_range
        For each kind of values of more than 8 bits ("uint16", "float", …) the value that is black and the one that is
        white; None: not found yet, and each file is read by its own.
    """

    page: Page = "first"
    max_megapixels: float = MOST_MEGAPIXELS
    value_range: Mapping[str, Range] | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Reading":
        """From the settings of a run, or from what `to_config` made; what isn't there is as by default."""
        given = config.get("value_range")
        ranges = (
            None
            if given is None
            else {kind: (float(low), float(high)) for kind, (low, high) in given.items()}
        )
        return cls(config.get("page", "first"), config.get("max_megapixels", MOST_MEGAPIXELS), ranges)

    def to_config(self) -> dict[str, Any]:
        """Plain values that YAML and JSON can hold."""
        ranges = (
            None
            if self.value_range is None
            else {kind: list(ends) for kind, ends in self.value_range.items()}
        )
        return {"page": self.page, "max_megapixels": self.max_megapixels, "value_range": ranges}


READING = Reading()
"""As by default, each file by its own range."""
