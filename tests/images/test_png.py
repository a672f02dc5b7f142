"""PNG of every colour type, depth, transparent colour and interlacing comes out as the numbers in it say."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from png_by_hand import chunk, png

from ruc.images.decode import decode
from ruc.images.reading import Reading

GREY, COLOUR, PALETTE, GREY_WITH_ALPHA, COLOUR_WITH_ALPHA = 0, 2, 3, 4, 6
N_CHANNELS = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_WITH_ALPHA: 2, COLOUR_WITH_ALPHA: 4}
KINDS = [
    *((GREY, depth) for depth in (1, 2, 4, 8, 16)),
    *((PALETTE, depth) for depth in (1, 2, 4, 8)),
    *product((COLOUR, GREY_WITH_ALPHA, COLOUR_WITH_ALPHA), (8, 16)),
]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("has_key", [False, True])
@pytest.mark.parametrize(("colour_type", "depth"), KINDS)
def test_the_numbers_are_seen(
    tmp_path: Path, colour_type: int, depth: int, has_key: bool, interlaced: bool
) -> None:
    random, largest = np.random.default_rng(depth), 2**depth - 1
    for height, width in ((6, 8), (11, 13), (1, 3)):
        numbers = random.integers(0, largest + 1, (height, width, N_CHANNELS[colour_type]))
        alpha, more = np.ones((height, width)), b""
        colours = numbers / largest * 255
        if colour_type in (GREY_WITH_ALPHA, COLOUR_WITH_ALPHA):
            colours, alpha = colours[:, :, :-1], numbers[:, :, -1] / largest
        elif colour_type == PALETTE:
            palette = random.integers(0, 256, (largest + 1, 4))
            palette[len(palette) // 2 :, 3] = 255
            colours, more = (
                palette[numbers[:, :, 0], :3],
                chunk(b"PLTE", palette[:, :3].astype("u1").tobytes()),
            )
            if has_key:
                alpha = palette[numbers[:, :, 0], 3] / 255
                more += chunk(b"tRNS", palette[: len(palette) // 2, 3].astype("u1").tobytes())
        elif has_key:
            alpha = 1.0 - (numbers == numbers[0, 0]).all(axis=2)
            more = chunk(b"tRNS", numbers[0, 0].astype(">u2").tobytes())
        (tmp_path / "a.png").write_bytes(png(numbers, depth, colour_type, more, interlaced))
        image = decode(tmp_path / "a.png", None, Reading(value_range={"uint16": (0, 65535)})).convert("RGB")
        expected = colours * alpha[:, :, None] + 255 * (1 - alpha[:, :, None])
        assert np.abs(np.asarray(image) - expected).max() <= 1.6  # rounded twice
