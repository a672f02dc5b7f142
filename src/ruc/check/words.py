"""What the answers say, in sentences."""

from collections.abc import Sequence

from ruc.check.checked import Checked
from ruc.check.estimate import Share


def checked_lines(checked: Checked, cluster_names: Sequence[str]) -> list[str]:
    """The result of a check in a few lines."""
    share = checked.accuracy
    lines = [
        f"checked: {checked.n_yes} of {share.n_answers} were in the right cluster; of all {share.n_images:,} "
        f"{share_text(share)}, so {_wrong_text(share)}"
    ]
    if checked.learned is not None:
        lines.append(
            f"learned from them: {share_text(checked.learned)} are right now, judged by answers that what was learned "
            "hadn't seen"
        )
    if checked.clusters:
        of_clusters = sorted(checked.clusters.items(), key=lambda item: item[1].value)
        lines.append(
            ("before that, " if checked.learned is not None else "")
            + "of single clusters: "
            + ", ".join(f"{cluster_names[cluster]}: {share_text(one)}" for cluster, one in of_clusters)
        )
    if share.n_answers < share.n_images:
        named = cluster_names[checked.next_cluster]
        lines.append(f"look next at cluster {named}: about {checked.expected_wrong:.0f} wrong there")
    if checked.n_open:
        lines.append(
            f"{checked.n_open} questions are open; the interval takes the answered ones for a random part of them"
        )
    if checked.n_beside:
        lines.append(
            f"{checked.n_beside} answers are about images that `ruc check` didn't draw: they count for these alone"
        )
    now = checked.learned or share
    if now.further_to_halve:
        lines.append(f"{now.further_to_halve} further answers would make the interval half as wide")
    return lines


def share_text(share: Share) -> str:
    """As "82% [69, 90]", or "82%" where all were looked at."""
    if share.n_answers == share.n_images:
        return f"{share.value:.0%}"
    return f"{share.value:.0%} [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _wrong_text(share: Share) -> str:
    fewest, most = round((1 - share.high) * share.n_images), round((1 - share.low) * share.n_images)
    return f"{most:,} were wrong" if fewest == most else f"{fewest:,} to {most:,} were wrong (95% interval)"
