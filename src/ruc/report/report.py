"""The report: one HTML file that works offline, with the thumbnails inside."""

from dataclasses import replace
from typing import Final

import numpy as np
from markupsafe import Markup

from ruc.edits.nearest import MOST_IN_FULL, N_NEAREST
from ruc.neighbors.graphs import N_NEIGHBORS
from ruc.neighbors.search import Neighbors, nearest_neighbors
from ruc.report.data import ReportData
from ruc.report.found import find
from ruc.report.page import page, template_text
from ruc.report.payload import as_script_json, payload
from ruc.report.positions import MOST_FOR_GRAPH, map_positions
from ruc.report.thumbnails import MOST_SHOWN, choose_shown, make_thumbnails
from ruc.runtime import Runtime

SCRIPTS: Final = (
    "dom.js", "focus.js", "data.js", "doubt.js", "state.js", "live.js", "edits.js", "gallery.js", "nearest.js",
    "belonging.js", "detail.js", "flows.js", "summary.js", "suggestions.js", "review.js", "review_sheet.js",
    "review_one.js", "clusters.js", "marked.js", "levels.js", "table.js", "map.js", "charts.js", "confusion.js",
    "evaluation.js", "closing.js", "main.js",
)  # fmt: skip
STYLES: Final = ("report.css", "levels.css")
IMAGES_PER_SHEET: Final = 250  # parsed together, when the first of them is looked at


def write_report(
    data: ReportData,
    n_thumbnails: int = MOST_SHOWN,
    seed: int = 0,
    live_token: str | None = None,
    near: Neighbors | None = None,
) -> str:
    """Write the report as the text of one HTML file.

    The page makes no request: style, script and images are inside, and its content security policy
    allows nothing else. File names, labels and settings reach it as JSON and are only ever set as
    text, so that nothing in them can run.

    Parameters
    ----------
    n_thumbnails
        Most images inside the page; of more, a fair sample of each cluster is shown, and the page says so.
    seed
        Of the 2-D map, which is computed where `data.positions` is absent.
    live_token
        Where a server is to be told of the edits, as `ruc.doors.live` does: what the page shows it.
    near
        Nearest neighbours in `data.features`, where they were found already.
    """
    near = _neighbors(data, seed, near)
    with Runtime("cpu", seed).side_by_side(2) as run:
        data, found = run(lambda work: work(data, seed, near), (_placed, find))
    images: tuple[str, ...] = ()
    shown = np.zeros(0, dtype=np.int64)
    if data.open_thumbnail is not None:
        chosen = choose_shown(
            data.cluster,
            -found.ranks,
            data.confidence,
            data.how_doubtful,
            data.cluster != data.initial_cluster,
            n_thumbnails,
        )
        # neighbours on the page are neighbours in the file: a gallery reads few sheets
        thumbnails = make_thumbnails(
            data.open_thumbnail, chosen[np.argsort(data.cluster[chosen], kind="stable")]
        )
        shown, images = thumbnails.rows, thumbnails.images
    return page(
        template_text("report.html"),
        data.title,
        style="\n".join(map(template_text, STYLES)),
        script="\n".join(map(template_text, SCRIPTS)),
        n_rows=f"{len(data.file_names):,}",
        noun=data.noun,
        is_live=live_token is not None,
        n_clusters=len(np.unique(data.cluster[data.cluster >= 0])),
        data=Markup(as_script_json(payload(data, found, shown) | {"liveToken": live_token})),
        sheets=[
            Markup(as_script_json(images[start : start + IMAGES_PER_SHEET]))
            for start in range(0, len(images), IMAGES_PER_SHEET)
        ],
        images_per_sheet=IMAGES_PER_SHEET,
    )


def _neighbors(data: ReportData, seed: int, near: Neighbors | None) -> Neighbors | None:
    """Neighbours for both the map and what is found; those of many samples only where they were found already."""
    if data.features is None or len(data.features) < 2:
        return None
    wanted = min(max(N_NEIGHBORS, N_NEAREST), len(data.features) - 1)
    if near is not None and near.indices.shape[1] >= wanted:
        return Neighbors(near.indices, near.similarities)  # of several embeddings those in all of them
    if len(data.features) > min(MOST_IN_FULL, MOST_FOR_GRAPH):
        return None  # what is found looks along fewer directions, and the map at a part
    return nearest_neighbors(data.features, wanted, Runtime("cpu", seed))


def _placed(data: ReportData, seed: int, near: Neighbors | None) -> ReportData:
    """The same with a place on the map for each image, where there is none and there are features to tell."""
    if data.positions is not None or data.features is None or len(data.file_names) < 2:
        return data
    positions, name = map_positions(data.features, seed, near)
    return replace(data, positions=positions, positions_name=name)
