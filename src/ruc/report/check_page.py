"""The page of questions: does this image belong to these? One HTML file that works offline."""

import hashlib
import shlex
from typing import Final

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ruc.edits import junk_clusters, merged_clusters, run_id
from ruc.errors import UnreadableImageError
from ruc.report.data import ReportData, report_data
from ruc.report.found import typicality
from ruc.report.page import page, template_text
from ruc.report.payload import as_script_json
from ruc.report.thumbnails import encode
from ruc.run_folder import Run

N_TYPICAL: Final = 9
ASKED_SIDE, TYPICAL_SIDE = 360, 140  # pixels of the shorter side
MOST_OTHERS: Final = 60  # clusters to choose the right one from; of more nobody sees it at a glance


def check_page(run: Run, rows: NDArray[np.int64]) -> str | None:
    """The page as the text of one HTML file; None where the run's images aren't there to be shown.

    `run`: as it is now. `rows`: the images to ask about, in order.
    """
    data = report_data(run)
    if data.open_thumbnail is None:
        return None
    typical = typicality(data)[0]
    gone = merged_clusters(run).keys()
    clusters = {
        str(cluster): {
            "name": "" if name == str(cluster) else name,
            "typical": _typical_pictures(data, np.flatnonzero(run.cluster == cluster), typical, rows),
        }
        for cluster, name in enumerate(run.cluster_names)
        if cluster not in gone
    }
    content = {
        "title": data.title,
        "noun": data.noun,
        "run": run_id(run.file_names, run.cluster, run.cluster_names, junk_clusters(run)),
        "draw": hashlib.sha256(repr(rows.tolist()).encode()).hexdigest()[:12],
        "runFolder": shlex.quote(str(run.settings.get("output") or "run/")),
        "mostOthers": MOST_OTHERS,
        "questions": [
            {
                "file": run.file_names[row],
                "cluster": int(run.cluster[row]),
                "image": _picture(data, row, ASKED_SIDE),
            }
            for row in rows.tolist()
        ],
        "clusters": clusters,
    }
    html, style, script = (template_text(f"check.{kind}") for kind in ("html", "css", "js"))
    return page(html, data.title, style, script, data=Markup(as_script_json(content)))


def _typical_pictures(
    data: ReportData, members: NDArray[np.int64], typical: NDArray[np.float32], asked: NDArray[np.int64]
) -> list[str]:
    """The most typical images of a cluster; none that is asked about, nor a copy of another."""
    copies = data.marks.get("copy_of", np.zeros(len(typical), np.str_))
    near = data.marks.get("near_copy_of", np.zeros(len(typical), np.str_))
    able = [
        row
        for row in members[np.argsort(-typical[members], kind="stable")].tolist()
        if row not in asked and not copies[row] and not near[row]
    ]
    pictures: list[str] = []
    for row in able:
        picture = _picture(data, row, TYPICAL_SIDE)
        if picture is not None:
            pictures.append(picture)
        if len(pictures) == N_TYPICAL:
            break
    return pictures


def _picture(data: ReportData, row: int, side: int) -> str | None:
    assert data.open_thumbnail is not None
    try:
        return encode(data.open_thumbnail(row, side), side)
    except (OSError, UnreadableImageError):
        return None
