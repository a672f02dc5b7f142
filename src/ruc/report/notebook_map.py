"""The 2-D map as a picture that a notebook keeps: points, colours and numbers, without scripts."""

from typing import Any, Final

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from ruc.errors import InputError
from ruc.report.data import ReportData
from ruc.report.positions import into_square, map_positions

MOST_POINTS: Final = 3_000  # of more images a part is drawn: notebooks are kept under version control
SIDE: Final = 640  # units of the picture
MARGIN: Final = 20
COLOURS: Final = (
    "#0072b2", "#e08a00", "#009e73", "#cc79a7", "#45a8e0", "#d55e00",
    "#882255", "#793df2", "#4c4313", "#392699", "#9fb86e", "#5c2e73",
)  # fmt: skip
"""As in report.css: told apart by the colour-blind too, with three shapes for more than twelve clusters."""


def map_html(data: ReportData, seed: int = 0) -> str:
    """An SVG in which alike images lie close together; hovering over a point says its name.

    Raises
    ------
    InputError
        There are no features to lay the images out by, or fewer than two images.
    """
    if data.features is None or len(data.file_names) < 2:
        raise InputError(
            "part='map' given and no features are kept here; expected those of two images or more: "
            "a run folder (ruc.show) or an ImageClusterer"
        )
    positions = data.positions
    if positions is None:
        positions, _ = map_positions(data.features, seed)
    places = MARGIN + into_square(positions) * [1, -1] * (SIDE - 2 * MARGIN) + [0, SIDE - 2 * MARGIN]
    drawn = np.random.default_rng(seed).permutation(len(places))[:MOST_POINTS]
    points = "".join(_point(data, int(row), places[row]) for row in drawn)
    numbers = "".join(
        _number(data, cluster, np.median(places[data.cluster == cluster], axis=0))
        for cluster in np.unique(data.cluster[data.cluster >= 0]).tolist()
    )
    part = f"; {len(drawn):,} of {len(places):,} are drawn" if len(drawn) < len(places) else ""
    return (
        f'<div class="ruc"><svg class="map" viewBox="0 0 {SIDE} {SIDE}" role="img" '
        f'aria-label="Map of {len(places)} {data.noun}s">{points}{numbers}</svg>'
        f'<p class="note">Alike {data.noun}s lie close together{part}. Hover over one for its name.</p></div>'
    )


def _point(data: ReportData, row: int, place: NDArray[Any]) -> str:
    cluster = int(data.cluster[row])
    colour = COLOURS[cluster % len(COLOURS)] if cluster >= 0 else "#999999"
    x, y = (f"{value:.1f}" for value in place)
    title = f"<title>{escape(data.file_names[row])}: {escape(data.cluster_names[cluster])}</title>"
    kind = cluster // len(COLOURS) % 3 if cluster >= 0 else 0
    shape = ("m-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0", "m-3,-3h6v6h-6z", "m0,-4l4,7h-8z")[kind]
    return f'<path d="M{x},{y}{shape}" fill="{colour}" fill-opacity="0.8">{title}</path>'


def _number(data: ReportData, cluster: int, place: NDArray[Any]) -> str:
    x, y = (f"{value:.1f}" for value in place)
    return (
        f'<text x="{x}" y="{y}" text-anchor="middle" dominant-baseline="central" font-size="15" font-weight="650" '
        f'fill="#111111" stroke="#ffffff" stroke-width="4" paint-order="stroke">'
        f"{escape(data.cluster_names[cluster])}</text>"
    )
