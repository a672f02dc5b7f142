"""An evaluation in words: rows for tables, and sentences."""

import math
from collections.abc import Mapping

from ruc.evaluation.bootstrap import Estimate
from ruc.evaluation.evaluate import Evaluation, Scores

# number: (how it is called in tables, whether it is a share shown in percent)
NUMBERS: dict[str, tuple[str, bool]] = {
    "accuracy": ("accuracy", True),
    "purity": ("purity (many-to-one)", True),
    "nmi": ("NMI", True),
    "ari": ("ARI", True),
    "mean_confidence": ("mean confidence", True),
    "ece": ("ECE, 15 equal-width bins", True),
    "ece_equal_mass": ("ECE, 15 equal-mass bins", True),
    "brier": ("Brier score", False),
    "nll": ("negative log-likelihood", False),
}


def evaluation_rows(found: Evaluation) -> list[tuple[str, str, str, str]]:
    """Rows for a table, as text: name, base, refined, difference; "–" where there is nothing."""
    rows = []
    for name, (title, in_percent) in NUMBERS.items():
        base = found.base.numbers.get(name) if found.base else None
        refined, difference = found.refined.numbers.get(name), found.difference.get(name)
        if base or refined:
            rows.append(
                (
                    title,
                    _estimate_text(base, in_percent),
                    _estimate_text(refined, in_percent),
                    _estimate_text(difference, in_percent, signed=True),
                )
            )
    for name, scores in found.clean_sets.items():
        rows.append(
            (
                f"clean set, {name}",
                f"precision {_percent(scores.precision)}",
                f"recall {_percent(scores.recall)}",
                f"F1 {_percent(scores.f1)}",
            )
        )
    return rows


def evaluation_lines(found: Evaluation) -> list[str]:
    """What the numbers rest on, in sentences."""
    lines = [
        f"{found.n_with_truth} of {found.n_images} images have a known truth: {len(found.classes)} classes, "
        f"{found.n_clusters} clusters. Intervals: {found.level:.0%}, bootstrap over images."
    ]
    if found.changes:
        changes = found.changes
        lines.append(
            f"{changes.n_changed} labels were changed: {changes.n_mended} mended, {changes.n_broken} broken, "
            f"{changes.n_still_wrong} wrong before and after."
        )
        if changes.n_placed:
            lines.append(
                f"{changes.n_placed} images had no label and were placed: {changes.n_placed_right} right."
            )
    return lines


def compare(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, ...]]:
    """Rows that set several runs side by side, as text: a header, then one row per number.

    `evaluations`: name of each run, in the order of the columns. Runs are comparable when measured on the same images.
    """
    rows: list[tuple[str, ...]] = [("", *evaluations)]
    rows.append(("images with truth", *(str(one.n_with_truth) for one in evaluations.values())))
    rows.append(("clusters", *(str(one.n_clusters) for one in evaluations.values())))
    rows.append(("base accuracy", *(_number_text(one.base, "accuracy") for one in evaluations.values())))
    for name, (title, _) in NUMBERS.items():
        texts = [_number_text(one.refined, name) for one in evaluations.values()]
        if any(text != "–" for text in texts):
            rows.append((title, *texts))
    return rows


def _estimate_text(estimate: Estimate | None, in_percent: bool, signed: bool = False) -> str:
    if estimate is None:
        return "–"
    scale, digits, sign = (100, 1, "+" if signed else "") if in_percent else (1, 3, "+" if signed else "")
    value, low, high = (scale * number for number in (estimate.value, estimate.low, estimate.high))
    text = f"{value:{sign}.{digits}f}"
    return text if math.isnan(low) else f"{text} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def _number_text(scores: Scores | None, name: str) -> str:
    return _estimate_text(scores.numbers.get(name) if scores else None, NUMBERS[name][1])


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.1f}"
