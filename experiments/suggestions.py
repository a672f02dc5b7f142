"""How many of the report's suggestions are right, and how many of what there is to merge and to split they find.

    python experiments/suggestions.py DATA/stl10/truth.csv:runs/stl10_6 DATA/stl10/truth.csv:runs/stl10_15 ...

Of each run the first ten suggestions are looked at. A merge is right where both clusters mostly hold one and the same
class; a split where its parts mostly hold different ones. To be found are all pairs of clusters of which more than half
are of one and the same class, and all clusters of which a second class is at least 30 %.
"""

import argparse
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ruc.edits.nearest import nearest_images
from ruc.edits.suggest import SuggestedMerge, SuggestedSplit, suggest
from ruc.evaluation.truth import read_truth
from ruc.run_folder import read_run

FIRST = 10
SECOND_CLASS = 0.3


def most_common(codes: NDArray[np.integer]) -> tuple[int, float]:
    """The class that most images have, and their share."""
    code, count = Counter(codes.tolist()).most_common(1)[0]
    return code, count / len(codes)


def is_merge(codes: NDArray[np.integer], cluster: NDArray[np.int64], pair: tuple[int, int]) -> bool:
    """Whether both clusters are one class."""
    (one, share), (other, other_share) = (most_common(codes[cluster == number]) for number in pair)
    return one == other and min(share, other_share) > 0.5


def is_split(codes: NDArray[np.integer], cluster: NDArray[np.int64], number: int) -> bool:
    """Whether a second class is a large part of the cluster."""
    counts = Counter(codes[cluster == number].tolist()).most_common(2)
    return len(counts) > 1 and counts[1][1] >= SECOND_CLASS * (cluster == number).sum()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", nargs="+", help="truth.csv:run")
    options = parser.parse_args()
    print(
        "| run | clusters | merges right | merges found | splits right | splits found |\n|---|---|---|---|---|---|"
    )
    sums = np.zeros(8, int)
    for pair in options.pairs:
        truth_file, folder = pair.split(":")
        run = read_run(folder)
        codes = np.asarray(read_truth(Path(truth_file), run.file_names).codes)
        there = np.unique(run.cluster)
        first = suggest(run.cluster, run.features, nearest_images(run.features)).ranked()[:FIRST]
        merges = [one for one in first if isinstance(one, SuggestedMerge)]
        splits = [one for one in first if isinstance(one, SuggestedSplit)]
        merges_right = [one for one in merges if is_merge(codes, run.cluster, one.clusters)]
        splits_right = []
        for one in splits:
            rest = np.setdiff1d(np.flatnonzero(run.cluster == one.cluster), one.rows)
            if most_common(codes[one.rows])[0] != most_common(codes[rest])[0]:
                splits_right.append(one)
        n_merges = sum(is_merge(codes, run.cluster, (int(a), int(b))) for a, b in combinations(there, 2))
        to_split = {int(number) for number in there if is_split(codes, run.cluster, int(number))}
        found = len(to_split & {one.cluster for one in splits_right})
        row = [
            len(merges_right),
            len(merges),
            len(merges_right),
            n_merges,
            len(splits_right),
            len(splits),
            found,
            len(to_split),
        ]
        sums += row
        print(_line(Path(folder).name, str(len(there)), row), flush=True)
    print(_line("all", "", sums.tolist()))


def _line(name: str, clusters: str, row: list[int]) -> str:
    shares = [f"{right} of {all_}" for right, all_ in zip(row[::2], row[1::2], strict=True)]
    return f"| {name} | {clusters} | {' | '.join(shares)} |"


if __name__ == "__main__":
    main()
