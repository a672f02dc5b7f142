"""A run in a notebook: a few lines of what came out, or a gallery of its clusters, as HTML without scripts."""

import importlib
import importlib.util
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ruc.edits.nearest import nearest_images
from ruc.errors import InputError
from ruc.images.source import find_images
from ruc.report.data import ReportData, report_data
from ruc.report.found import typicality
from ruc.report.notebook_map import map_html
from ruc.report.page import filled, template_text
from ruc.report.prototypes import typical_ranks
from ruc.report.thumbnails import make_thumbnails
from ruc.run_folder import Run, read_run

Part = Literal["clusters", "map", "review"]
MOST_CLUSTERS: Final = 30
MOST_NEAREST: Final = 8
SIDE: Final = 128  # twice as large as displayed, for fine screens
BUDGET: Final = 1_500_000  # characters of pictures: notebooks are kept under version control
SHOWN: Final = (
    '{% macro shown(picture, kind) %}{% if picture.source %}<img class="{{ kind }}" '
    'src="data:image/webp;base64,{{ picture.source }}" alt="{{ picture.text }}" title="{{ picture.text }}">'
    '{% else %}<code class="{{ kind }}" title="{{ picture.text }}">{{ picture.name }}</code>{% endif %}{% endmacro %}'
)


def show(
    run: Run | str | Path,
    images: str | Path | None = None,
    n_images: int = 12,
    cluster: int | str | None = None,
    part: Part = "clusters",
) -> None:
    """Display a finished run in a notebook, as HTML without scripts.

    Parameters
    ----------
    run
        The run folder, or what `read_run` made of it.
    images
        Where its images are now, if not where the run found them.
    n_images
        Images of each cluster, of each row, or to review.
    cluster
        The number or name of one cluster: its typical, doubtful and farthest images.
    part
        "clusters": each one's most typical and most doubtful images; "map": alike images close together; "review": the
        images most worth a look, each with its nearest ones.

    Raises
    ------
    InputError
        IPython isn't installed, `images` can't be found, or there is no such cluster or part.
    RunFolderError
        The folder holds no finished run.
    """
    found = run if isinstance(run, Run) else read_run(run)
    data = report_data(found, None if images is None else find_images(images))
    display_part(data, n_images, cluster, part)


def summary_html(data: ReportData) -> str:
    """Counts, and a bar for each cluster."""
    return _rendered(data, n_images=0, note="show() displays their images.")


def gallery_html(data: ReportData, n_images: int = 12) -> str:
    """The clusters, largest first, each with its most typical and its most doubtful images.

    Parameters
    ----------
    data
        What to show.
    n_images
        Images of each cluster; a third of them are the most doubtful ones.
    """
    return _rendered(
        data, n_images, note="Most typical first; framed: the most doubtful. Hover over one for its name."
    )


def cluster_html(data: ReportData, cluster: int | str, n_images: int = 12) -> str:
    """One cluster: its most typical, its most doubtful images, and those farthest from its middle.

    Raises
    ------
    InputError
        There is no such cluster, or no image is in it.
    """
    number = _number_of(data, cluster)
    members = np.flatnonzero(data.cluster == number)
    doubt = data.how_doubtful
    ranks = typical_ranks(data.cluster, data.features)
    closeness, _ = typicality(data)
    doubtful = members[doubt[members] >= data.doubtful_from]
    chosen = {
        "Typical": members[np.argsort(ranks[members], kind="stable")],
        "Doubtful": doubtful[np.argsort(-doubt[doubtful], kind="stable")],
        "Farthest from its middle": members[np.argsort(closeness[members], kind="stable")],
    }
    chosen = {title: rows[:n_images] for title, rows in chosen.items()}
    pictures = _pictures(data, [int(row) for rows in chosen.values() for row in rows])
    return _filled(
        "notebook_cluster.html",
        one=_numbers(data, number, doubt, max(1, len(members))),
        noun=f"{data.noun}s",
        rows=[(title, [pictures[int(row)] for row in rows]) for title, rows in chosen.items()],
    )


def review_html(data: ReportData, n_images: int = 12) -> str:
    """The images most worth a look, each with its nearest images and their clusters."""
    order = np.argsort(-data.how_doubtful, kind="stable")
    rows = order[~data.by_hand[order]][:n_images]
    features = data.features
    nearest = np.zeros((len(order), 0), np.int64) if features is None else nearest_images(features)
    near = {int(row): nearest[row, :MOST_NEAREST].tolist() for row in rows}
    pictures = _pictures(data, sorted({*near, *(other for others in near.values() for other in others)}))
    return _filled(
        "notebook_review.html",
        noun=f"{data.noun}s",
        rows=[
            {
                "picture": pictures[row],
                "own": _name_of(data, int(data.cluster[row])),
                "second": _second_of(data, row),
                "n_agreeing": sum(int(data.cluster[other] == data.cluster[row]) for other in others),
                "near": [(pictures[other], int(data.cluster[other])) for other in others],
            }
            for row, others in near.items()
        ],
    )


def display_part(
    data: ReportData, n_images: int = 12, cluster: int | str | None = None, part: Part = "clusters"
) -> None:
    """Display a part in the notebook that runs this.

    Raises
    ------
    InputError
        IPython is not installed, fewer than one image is asked for, or there is no such cluster or part.
    """
    if part not in get_args(Part):
        raise InputError(f"part={part!r} given; expected one of {', '.join(get_args(Part))}")
    if n_images < 1:
        raise InputError(f"n_images={n_images} given; expected at least 1")
    if importlib.util.find_spec("IPython") is None:
        raise InputError(
            "IPython is not installed; expected a notebook to show images in: pip install ipython, "
            "or save a report and open it in a browser: save('run') of an ImageClusterer, `ruc cluster -o run/`"
        )
    ipython = importlib.import_module("IPython.display")
    if cluster is not None:
        html = cluster_html(data, cluster, n_images)
    elif part == "map":
        html = _styled(map_html(data))
    else:
        html = review_html(data, n_images) if part == "review" else gallery_html(data, n_images)
    ipython.display(ipython.HTML(html))


def _rendered(data: ReportData, n_images: int, note: str) -> str:
    doubt = data.how_doubtful
    typical = -typical_ranks(data.cluster, data.features) if n_images else np.zeros(len(doubt), np.float32)
    sizes = np.bincount(data.cluster[data.cluster >= 0], minlength=data.n_clusters)
    order = [int(one) for one in np.argsort(-sizes, kind="stable") if sizes[one]]
    chosen = {
        one: _examples(np.flatnonzero(data.cluster == one), typical, doubt, data.doubtful_from, n_images)
        for one in order[:MOST_CLUSTERS]
    }
    pictures = _pictures(data, [row for rows in chosen.values() for part in rows for row in part])
    if len(order) > MOST_CLUSTERS:
        note = f"The largest {MOST_CLUSTERS} of {len(order)} clusters. {note}"
    return _filled(
        "notebook.html",
        n_rows=len(data.file_names),
        n_clusters=len(order),
        n_changed=int(data.changed.sum()),
        n_placed=int(data.placed.sum()),
        n_doubtful=int((doubt >= data.doubtful_from).sum()),
        doubt_only_ranks=data.doubt_only_ranks,
        how_right=_how_right(data),
        noun=f"{data.noun}s",
        warnings=data.warnings,
        clusters=[
            {
                **_numbers(data, one, doubt, int(sizes.max())),
                "typical": [pictures[row] for row in chosen[one][0]],
                "unsure": [pictures[row] for row in chosen[one][1]],
            }
            for one in chosen
        ],
        n_images=n_images,
        note=note,
    )


def _filled(template: str, **values: Any) -> str:
    return _styled(filled(SHOWN + template_text(template), **values))


def _styled(html: str) -> str:
    text = f"<style>\n{template_text('notebook.css')}</style>\n{html}"
    return text.encode("utf-8", "replace").decode("utf-8")  # names of files may be no text


def _number_of(data: ReportData, cluster: int | str) -> int:
    names = [str(name) for name in data.cluster_names]
    number = names.index(str(cluster)) if str(cluster) in names else cluster
    there = np.unique(data.cluster[data.cluster >= 0]).tolist()
    if not isinstance(number, int | np.integer) or number not in there:
        known = ", ".join(_name_of(data, one) for one in there[:MOST_CLUSTERS])
        raise InputError(
            f"cluster={cluster!r} given; expected the number or name of one with images: {known}"
        )
    return int(number)


def _name_of(data: ReportData, cluster: int) -> str:
    name = str(data.cluster_names[cluster]) if cluster >= 0 else "none"
    return f"Cluster {cluster}" if name == str(cluster) else name


def _second_of(data: ReportData, row: int) -> str:
    if data.probabilities is None or data.probabilities.shape[1] < 2:
        return ""
    shares = np.array(data.probabilities[row], np.float32)
    shares[[data.cluster[row], *data.junk, *data.merged_into]] = -1
    second = int(shares.argmax())
    return _name_of(data, second) if shares[second] > 0 else ""


def _examples(
    members: NDArray[np.int64],
    typical: NDArray[np.float32],
    doubt: NDArray[Any],
    doubtful_from: float,
    n_images: int,
) -> tuple[list[int], list[int]]:
    """Rows of the most typical members, and of the most doubtful others that are doubtful at all."""
    unsure = members[np.argsort(-doubt[members], kind="stable")][: n_images // 3]
    unsure = unsure[doubt[unsure] >= doubtful_from]
    rest = np.setdiff1d(members, unsure)
    rest = rest[np.argsort(-typical[rest], kind="stable")][: n_images - len(unsure)]
    return rest.tolist(), unsure.tolist()


def _numbers(data: ReportData, cluster: int, doubt: NDArray[Any], most: int) -> dict[str, Any]:
    members = np.flatnonzero(data.cluster == cluster)
    n_doubtful = int((doubt[members] >= data.doubtful_from).sum())
    return {
        "name": _name_of(data, cluster),
        "size": len(members),
        "n_doubtful": n_doubtful,
        "sure": round(100 * (len(members) - n_doubtful) / most, 2),
        "doubtful": round(100 * n_doubtful / most, 2),
        "right": _right_of(data, members),
    }


def _how_right(data: ReportData) -> str:
    """Measured before answered; where nobody has looked nothing is claimed."""
    if data.metrics is not None:
        return f"by the truth, {data.metrics['refined']['numbers']['accuracy']['value']:.1%} are right"
    if data.checked is not None:
        share = data.checked.get("learned") or data.checked["accuracy"]
        return f"by {share['n_answers']} answers, {share['low']:.0%} to {share['high']:.0%} are right"
    return "how many are right isn't known (ruc check asks)"


def _right_of(data: ReportData, members: NDArray[np.int64]) -> str:
    if data.checked is not None:
        return f"{data.confidence[members].mean():.0%} expected right"
    return "" if data.stability is None else f"{data.stability[members].mean():.0%} stay together"


def _pictures(data: ReportData, rows: list[int]) -> dict[int, dict[str, str]]:
    sources: dict[int, str] = {}
    if data.open_thumbnail is not None and rows:
        made = make_thumbnails(data.open_thumbnail, rows, BUDGET, SIDE)
        sources = {int(row): image for row, image in zip(made.rows, made.images, strict=True)}
    return {
        row: {
            "name": data.file_names[row],
            "text": f"{data.file_names[row]}: {data.confidence[row]:.0%} confidence",
            "source": sources.get(row, ""),
        }
        for row in rows
    }
