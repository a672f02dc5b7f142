"""Pictures of an evaluation: confusion, reliability, confidence, training, coverage, attacks.

Each function returns a matplotlib `Figure` of its own; nothing touches pyplot's global state. Colours can be told
apart with any colour vision, and every line has a marker or a dash of its own too.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ruc.edits import UNWRITABLE
from ruc.evaluation.calibration import Reliability

if TYPE_CHECKING:  # matplotlib takes half a second to import
    from matplotlib.figure import Figure

# Okabe and Ito's palette, with the marker and dash that each name always has
STYLES: Final[dict[str, tuple[str, str, str]]] = {
    "base": ("#D55E00", "^", "--"),
    "refined": ("#0072B2", "o", "-"),
}
OTHERS: Final = (("#009E73", "s", "-."), ("#CC79A7", "D", ":"), ("#E69F00", "v", "--"), ("#56B4E9", "P", "-"))
RIGHT_COLOUR, WRONG_COLOUR, GREY = "#56B4E9", "#D55E00", "#777777"
MANY = 10  # images in a bin, from which its accuracy says something
MOST_NUMBERED = 25  # classes up to which each cell of a confusion matrix shows its number
MOST_NAMED = 60  # … and up to which each class and cluster has its name at the border
# Of Linux, macOS and Windows: Chinese, Japanese and Korean, which matplotlib's own font lacks
FALLBACK_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "Source Han Sans",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Arial Unicode MS", "Hiragino Sans",
    "PingFang SC", "Apple SD Gothic Neo", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic",
)  # fmt: skip

Curve = tuple[Sequence[float] | NDArray[np.float64], Sequence[float] | NDArray[np.float64]]


def confusion_figure(
    counts: NDArray[np.int64],
    columns: Sequence[int] | NDArray[np.int64],
    classes: Sequence[str],
    title: str = "",
) -> "Figure":
    """Draw a confusion matrix: classes down, clusters across; colour is the share of the class.

    `counts`, `columns`: from `metrics.confusion_matrix`. `classes`: name of each row.
    """
    n_classes, n_columns = counts.shape
    figure = _figure(width=min(4.0 + 0.42 * n_columns, 14), height=min(2.6 + 0.38 * n_classes, 13))
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    if max(counts.shape) <= MOST_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "black" if shares[row, column] > 0.55 else "white"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    if n_classes <= MOST_NAMED:
        # Names are no formulas: `$` is a dollar.
        axes.set_yticks(
            range(n_classes), [_shortened(name) for name in classes], parse_math=False, family=_families()
        )
    if n_columns <= MOST_NAMED:
        axes.set_xticks(range(n_columns), ["none" if number < 0 else str(number) for number in columns])
    axes.set_xlabel("cluster, in the order of the classes they match")
    axes.set_ylabel("true class")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="share of the class", fraction=0.046, pad=0.03)
    return figure


def reliability_figure(curves: Mapping[str, Reliability]) -> "Figure":
    """Draw accuracy against confidence, and below it how many images have which confidence.

    Bins of fewer than ten images are pale, and no line leads to them: their accuracy is mostly chance.

    `curves`: name, such as "base" and "refined", to its reliability.
    """
    figure = _figure(width=5.2, height=5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    upper.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    for number, (name, curve) in enumerate(curves.items()):
        colour, marker, dash = _style(name, number)
        many, few = curve.count >= MANY, (curve.count > 0) & (curve.count < MANY)
        error = curve.expected_calibration_error
        upper.plot(
            curve.confidence[many], curve.accuracy[many], color=colour, marker=marker, linestyle=dash,
            label=f"{name}: ECE {100 * error:.1f}%",
        )  # fmt: skip
        upper.plot(
            curve.confidence[few], curve.accuracy[few], color=colour, marker=marker, linestyle="", alpha=0.25,
            clip_on=False,
        )  # fmt: skip
        lower.step(
            np.r_[curve.lower, curve.upper[-1]], np.r_[curve.count, curve.count[-1]] / curve.count.sum(),
            where="post", color=colour, linestyle=dash,
        )  # fmt: skip
    upper.set(
        ylabel="share that is right",
        xlim=(0, 1),
        ylim=(0, 1),
        title="Reliability: below the line is over-confident",
    )
    figure.legend(loc="outside lower center", ncols=max(len(curves), 1))
    lower.set(xlabel="confidence", ylabel="share of images", ylim=(0, None))
    return figure


def confidence_figure(curves: Mapping[str, Reliability]) -> "Figure":
    """Draw, for each name, how many right and wrong images have which confidence; images on a logarithmic scale."""
    figure = _figure(width=3.6 * len(curves) + 1.2, height=3.4)
    all_axes = np.atleast_1d(figure.subplots(1, len(curves), sharey=True))
    for axes, (name, curve) in zip(all_axes, curves.items(), strict=True):
        right = np.where(curve.count > 0, curve.count * np.nan_to_num(curve.accuracy), 0.0)
        widths = curve.upper - curve.lower
        axes.bar(
            curve.lower, right, widths, align="edge", color=RIGHT_COLOUR, edgecolor="white", label="right"
        )
        axes.bar(
            curve.lower + 0.2 * widths, curve.count - right, 0.6 * widths, align="edge", color=WRONG_COLOUR,
            hatch="////", edgecolor="white", label="wrong",
        )  # fmt: skip
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.set(title=name, xlabel="confidence", xlim=(0, 1))
    all_axes[0].set_ylabel("images")
    all_axes[0].legend(loc="upper left")
    return figure


def training_figure(history: Sequence[Mapping[str, float]]) -> "Figure":
    """Draw the three losses, and the shares of clean images and of agreement, over the epochs.

    `history`: one mapping per epoch, as in `history.csv`; what is missing is left out.
    """
    figure = _figure(width=8.4, height=3.4)
    losses, shares = figure.subplots(1, 2)
    epochs = [row.get("epoch", number) for number, row in enumerate(history)]
    panels = (
        (losses, ("clean_loss", "unclean_loss", "smoothing_loss"), "loss"),
        (shares, ("clean_share", "agreement"), "share of images"),
    )
    for axes, names, title in panels:
        for number, name in enumerate(names):
            if history and name in history[0]:
                colour, marker, dash = (*STYLES.values(), *OTHERS)[number]
                axes.plot(
                    epochs, [row[name] for row in history], color=colour, linestyle=dash, marker=marker, markersize=3.5,
                    markevery=max(len(history) // 12, 1), label=name.replace("_", " "),
                )  # fmt: skip
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if axes.lines:
            axes.legend()
    losses.set_ylim(bottom=0)
    shares.set_ylim(0, 1.02)
    return figure


def clean_set_figure(by_epoch: Sequence[Mapping[str, float | None]]) -> "Figure":
    """Draw precision, recall and F1 of the clean set after each epoch, from `Evaluation.clean_by_epoch`."""
    figure = _figure(width=5.2, height=3.4)
    axes = figure.subplots()
    for (colour, marker, dash), name in zip(OTHERS, ("precision", "recall", "f1"), strict=False):
        shares = np.array([one[name] for one in by_epoch], dtype=np.float64)  # None becomes NaN
        axes.plot(shares, color=colour, linestyle=dash, marker=marker, markersize=3.5, label=name)
    axes.set(
        xlabel="epochs trained",
        title="Clean set",
        ylim=(0, 1.02),
        xticks=range(0, len(by_epoch), len(by_epoch) // 12 + 1),
    )
    axes.legend()
    return figure


def coverage_figure(curves: Mapping[str, Curve]) -> "Figure":
    """Draw the accuracy of the images kept, against their share, the most confident kept first.

    `curves`: name to shares kept and accuracies, from `calibration.coverage_curve`.
    """
    figure = _figure(width=5.2, height=3.8)
    axes = figure.subplots()
    for number, (name, (shares, accuracies)) in enumerate(curves.items()):
        colour, marker, dash = _style(name, number)
        axes.plot(
            shares, accuracies, color=colour, linestyle=dash, marker=marker, markersize=4,
            markevery=max(len(shares) // 10, 1), label=name,
        )  # fmt: skip
    lowest = min((min(accuracies) for _, accuracies in curves.values()), default=0.0)
    axes.set(
        xlabel="share of images kept, most confident first", ylabel="accuracy of those kept", xlim=(0, 1.01),
        ylim=(max(0.0, lowest - 0.05), 1.01), title="Accuracy against coverage",
    )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=max(len(curves), 1))
    return figure


def attack_figure(drops: Mapping[str, Mapping[str, Curve]]) -> "Figure":
    """Draw the accuracy lost under each attack, in points, against its strength, as the paper's figure 6 does.

    `drops`: attack, such as "FGSM", to name, such as "base", to strengths and drops in [0, 1].
    """
    figure = _figure(width=4.2 * len(drops), height=3.4)
    all_axes = np.atleast_1d(figure.subplots(1, len(drops)))
    for axes, (attack, lines) in zip(all_axes, drops.items(), strict=True):
        for number, (name, (strengths, lost)) in enumerate(lines.items()):
            colour, marker, dash = _style(name, number)
            axes.plot(
                strengths, 100 * np.asarray(lost), color=colour, marker=marker, linestyle=dash, label=name
            )
        axes.set(title=attack, xlabel="ε, of pixels in [0, 1]")
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.margins(y=0.08)
    all_axes[0].set_ylabel("accuracy drop, points")
    names = len(all_axes[0].lines)
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=max(names, 1))
    return figure


def evaluation_figures(
    metrics: Mapping[str, Any], history: Sequence[Mapping[str, float]] = ()
) -> "dict[str, Figure]":
    """Draw everything that `metrics.json` and `history.csv` hold.

    `metrics`: from `Evaluation.to_dict`. `history`: one mapping per epoch.

    Returns
    -------
    Name to figure: confusion_base, confusion_refined, reliability, confidence, coverage, training, clean_set,
    attacks, where there is something to draw.
    """
    scores = {name: metrics[name] for name in ("base", "refined") if metrics.get(name)}
    figures: dict[str, Figure] = {}
    for name, one in scores.items():
        counts, columns = np.array(one["confusion"], dtype=np.int64), one["confusion_clusters"]
        figures[f"confusion_{name}"] = confusion_figure(counts, columns, metrics["classes"], title=name)
    curves = {name: _reliability(one["reliability"]) for name, one in scores.items() if one["reliability"]}
    if curves:
        figures["reliability"] = reliability_figure(curves)
        figures["confidence"] = confidence_figure(curves)
        figures["coverage"] = coverage_figure({name: tuple(scores[name]["coverage"]) for name in curves})
    if history:
        figures["training"] = training_figure(history)
    if metrics.get("clean_by_epoch"):
        figures["clean_set"] = clean_set_figure(metrics["clean_by_epoch"])
    if metrics.get("attacks"):
        figures["attacks"] = attack_figure(_attack_curves(metrics["attacks"]["results"]))
    return figures


def figure_to_svg(figure: "Figure") -> str:
    """One `<svg>` element to put into a page; the same numbers drawn anew give the same text."""
    import matplotlib as mpl

    text = StringIO()
    with _letters_may_lack(), mpl.rc_context({"svg.hashsalt": "ruc", "svg.fonttype": "path"}):
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def figure_to_png(figure: "Figure", dpi: int = 150) -> bytes:
    """A PNG file."""
    content = BytesIO()
    with _letters_may_lack():
        figure.savefig(content, format="png", dpi=dpi)
    return content.getvalue()


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _style(name: str, number: int) -> tuple[str, str, str]:
    return STYLES.get(name) or OTHERS[number % len(OTHERS)]


def _families() -> list[str]:
    """The usual font, then those of this machine that have the letters it lacks; matplotlib logs those that aren't."""
    import matplotlib as mpl
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return [*mpl.rcParams["font.family"], *(name for name in FALLBACK_FONTS if name in there)]


@contextmanager
def _letters_may_lack() -> Iterator[None]:
    """Letters that no font of the machine has are drawn as boxes; tables and the report have the names in full."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        yield


def _shortened(name: str, length: int = 24) -> str:
    name = UNWRITABLE.sub(" ", name)
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _attack_curves(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Curve]]:
    """Attack to model to strengths and drops."""
    curves: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for one in results:
        for name, drop in one["drop"].items():
            strengths, drops = curves.setdefault(one["attack"].upper(), {}).setdefault(name, ([], []))
            strengths.append(one["epsilon"])
            drops.append(drop)
    return {attack: dict(models) for attack, models in curves.items()}


def _reliability(content: Mapping[str, Any]) -> Reliability:
    def of(name: str) -> NDArray[np.float64]:
        return np.array(content[name], dtype=np.float64)  # None, in an empty bin, becomes NaN

    return Reliability(
        of("lower"), of("upper"), of("count").astype(np.int64), of("confidence"), of("accuracy")
    )
