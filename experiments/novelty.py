"""Images of another kind among those of a run: how well novelty tells them, and how many of the run's own it takes.

    python experiments/novelty.py FEATURES --sets aerial7 blood8 steel6

FEATURES as in `calibration.py`. Of each set four fifths are known (a run's own images) and a fifth is held out; the
images of every other set are new to it. A row for each set, all in %, over ten ways to hold out: AUROC of novelty,
new ones against held-out ones, in the mean and least over the other sets; of the held-out the share above 0.99 (the
promise is 1) and above 0.95 (5); of the new ones the share above 0.99, in the mean and least over the other sets; and
where one class of the set itself is left out of the run, AUROC and share above 0.99 of its images, in the mean over the
classes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from addon import Labels
from calibration import TUNED, UNTUNED, load
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from ruc.belief.known import Known

N_WAYS = 10


def own_classes(rows: NDArray[np.float32], truth: Labels) -> tuple[float, float]:
    """AUROC and share above 0.99 of the images of a class that the run doesn't have, in the mean over the classes."""
    held = np.random.default_rng(0).permutation(len(rows)) < len(rows) // 5
    outcomes = []
    for one in np.unique(truth):
        is_new = truth == one
        kept = ~held & ~is_new
        known = Known(rows[kept], np.zeros(kept.sum(), np.int64), np.ones(kept.sum()))
        asked = held | is_new
        novelty = known.look_around(rows[asked], np.zeros(asked.sum(), np.int64)).novelty
        outcomes.append((roc_auc_score(is_new[asked], novelty), (novelty[is_new[asked]] > 0.99).mean()))
    auroc, found = np.mean(outcomes, axis=0)
    return float(auroc), float(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features", type=Path)
    parser.add_argument("--sets", nargs="+", default=[*UNTUNED, *TUNED[:4]])
    options = parser.parse_args()
    torch.set_num_threads(1)
    loaded = {name: load(options.features, name) for name in options.sets}
    features = {name: rows for name, (rows, _) in loaded.items()}
    print(
        "| set | AUROC | least | held out above .99 | above .95 | new above .99 | least | own class | above .99 |"
    )
    print("|---" * 9 + "|")
    for name in options.sets:
        rows, alarms, ranked, found = features[name], [], [], []
        for way in range(N_WAYS):
            order = np.random.default_rng(way).permutation(len(rows))
            held, kept = np.split(order, [len(rows) // 5])
            known = Known(rows[kept], np.zeros(len(kept), np.int64), np.ones(len(kept)))
            usual = known.look_around(rows[held], np.zeros(len(held), np.int64)).novelty
            alarms.append([(usual > 0.99).mean(), (usual > 0.95).mean()])
            if way:
                continue  # of the new ones one way says it
            for other in options.sets:
                if other != name:
                    new = known.look_around(features[other], np.zeros(len(features[other]), np.int64)).novelty
                    is_new = np.repeat([False, True], [len(usual), len(new)])
                    ranked.append(roc_auc_score(is_new, np.concatenate([usual, new])))
                    found.append((new > 0.99).mean())
        values = [
            np.mean(ranked),
            min(ranked),
            *np.mean(alarms, axis=0),
            np.mean(found),
            min(found),
            *own_classes(*loaded[name]),
        ]
        print(f"| {name} | " + " | ".join(f"{100 * value:.1f}" for value in values) + " |", flush=True)


if __name__ == "__main__":
    main()
