"""Is a confidence of 90% right nine times in ten? ECE before and after calibration without labels.

    python experiments/calibration.py
    python experiments/calibration.py --data digits --bases kmeans "wrong 20%" --seeds 5

Data and bases are those of addon.py. raw: softmax of the networks' summed logits. calibrated: `predict_proba`. Shown
are accuracy and mean confidence, ECE with 15 bins of equal width (of the base where it has probabilities), all in %,
and how far calibrated is worse than raw.
"""

import argparse

import numpy as np
import torch
from addon import (
    CLUSTERINGS,
    DATA,
    GIVEN,
    calibration_error,
    load_data,
    make_base,
    raw_probabilities,
    run,
    score,
)

from ruc.neighbors.search import nearest_neighbors
from ruc.refine.settings import RefineSettings
from ruc.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=DATA)
    parser.add_argument("--bases", nargs="+", default=CLUSTERINGS + GIVEN)
    parser.add_argument("--features")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| data | base | accuracy | raw says | calibrated says | ECE base | ECE raw | ECE calibrated | worse by |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for data in options.data:
        features, truth = load_data(data, options.features)
        neighbors = nearest_neighbors(features, 100, Runtime("cpu"))
        for name in options.bases:
            rows = []
            for seed in range(options.seeds):
                base = make_base(name, features, truth, neighbors, seed)
                result = run(features, base, neighbors, RefineSettings(), seed)
                plain = raw_probabilities(result, features)
                raw = calibration_error(truth, result.labels, plain)
                calibrated = calibration_error(truth, result.labels, result.probabilities)
                said = [100 * each.max(axis=1).mean() for each in (plain, result.probabilities)]
                given = base.probabilities
                before = np.nan if given is None else calibration_error(truth, base.labels, given)
                rows.append((score(truth, result.labels), *said, before, raw, calibrated, calibrated - raw))
            cells = [f"{m:.1f} ± {s:.1f}" for m, s in zip(np.mean(rows, 0), np.std(rows, 0), strict=True)]
            print(f"| {data} | {name} | {' | '.join(cells)} |".replace("nan ± nan", "–"), flush=True)


if __name__ == "__main__":
    main()
