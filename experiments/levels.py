"""How right a run is when it is cut to another number of clusters, beside a run that was made with that number.

    python experiments/levels.py runs/stl10_6 runs/stl10_15 --truth DATA/stl10/truth.csv -k 10

No network is trained: the groups are those of the tree, as `ruc cut` starts from them and as the report shows them.
"""

import argparse
from pathlib import Path

from ruc.edits.nearest import nearest_images
from ruc.evaluation.metrics import accuracy
from ruc.evaluation.truth import read_truth
from ruc.levels.level import tree_of
from ruc.run_folder import read_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--truth", required=True, type=Path)
    parser.add_argument("-k", required=True, type=int)
    options = parser.parse_args()
    for folder in options.runs:
        run = read_run(folder)
        tree = tree_of(run, nearest_images(run.features, run.seed))
        truth = read_truth(options.truth, run.file_names)
        own, cut = (100 * accuracy(groups, truth) for groups in (run.cluster, tree.cut(options.k)))
        lasting = ", ".join(map(str, tree.stable_levels()))
        print(
            f"{folder.name}: {tree.n_clusters} clusters {own:.1f}; cut to {options.k} {cut:.1f}; lasting {lasting}"
        )


if __name__ == "__main__":
    main()
