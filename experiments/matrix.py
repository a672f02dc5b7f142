"""What a repair adds, for every set of photographs, base, and pair of eyes: the table by which the method is judged.

    python experiments/matrix.py                                        all sets, all bases, 3 seeds: hours
    python experiments/matrix.py --small                                tuning sets, four bases, 1 seed: within an hour
    python experiments/matrix.py --sets aerial7 steel6 --eyes lite0 "lite0 > lite0+lite2"
    python experiments/matrix.py --table-only

Sets: every folder of $RUC_DATA with images/ and truth.csv (DATA.md). Those in TUNED were looked at while constants were
set; all others are only reported, and whatever folder is added is one of them.
Eyes: "lite0": one embedding makes the base and repairs it. "lite0+lite2": two do. "lite0 > lite0+lite2": the base was
made of the first alone, as a clustering that somebody had already, and is repaired with both.
Bases: clusterings with the true number of clusters; "auto"; and the truth made wrong: "wrong 20%" (any other class) and
"alike 20%" (the class whose mean is nearest). With --bases also the rivals of rivals.py.

Features are seen from the mean of the images, as in a run. Accuracy by Hungarian matching and ECE (15 bins) in %,
means over the seeds; seconds of processor time of the repair alone. "K auto" is the number that is estimated. Features,
bases and numbers are made once and kept in --output, and each row is written when it is done, so that an interrupted
matrix goes on where it was. The outcome: `rows.csv`, `table.md` and `matrix.png` there.
"""

import argparse
import csv
import os
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from addon import calibration_error, make_base, score
from numpy.typing import NDArray
from rivals import RIVALS

from ruc.cluster.auto import METHODS, cluster, largest_first
from ruc.cluster.n_clusters import estimate_n_clusters
from ruc.embed.frozen import around
from ruc.embed.packaged import PACKAGES
from ruc.embedding import EmbedTask, embed_images
from ruc.images.source import find_images
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import Neighbors
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import FeatureSpace
from ruc.repair import find_neighbors, repair
from ruc.runtime import Runtime
from ruc.side_by_side import join

DATA_FOLDER = Path(os.environ.get("RUC_DATA", Path(__file__).parents[1] / "../shared/data"))
TUNED = ("aerial7", "blood8", "cifar10_5k", "messy_photos", "mnist5k", "stl10", "waste6")
BASES = ("kmeans", "graph", "scan", "spectral", "mixture", "density", "auto", "wrong 20%", "alike 20%")
EYES = ("lite0", "lite0 > lite0+lite2", "lite0+lite2", "lite0+pixels")
SMALL = {
    "bases": ("kmeans", "graph", "scan", "spectral"),
    "eyes": ("lite0", "lite0 > lite0+lite2"),
    "seeds": 1,
}
FIELDS = (
    "set",
    "tuned",
    "samples",
    "K",
    "eyes",
    "base",
    "seed",
    "before",
    "after",
    "ece",
    "k_auto",
    "seconds",
)
EASY = 95.0  # a base that is better leaves nothing to gain; it isn't in the means
MOST_LOST = 0.5  # points: a clustering that loses more was harmed
Labels = NDArray[np.int64]


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    given.output.mkdir(parents=True, exist_ok=True)
    path = given.output / "rows.csv"
    done = {key(row) for row in read_rows(path)}
    for name in [] if given.table_only else given.sets:
        for eyes in given.eyes:
            wanted = [(base, seed) for base in given.bases for seed in range(given.seeds)]
            missing = [each for each in wanted if (name, eyes, each[0], str(each[1])) not in done]
            for row in measure(name, eyes, missing, given.output):
                append_row(path, row)
    rows = [row for row in read_rows(path) if is_asked_for(row, given)]
    table = table_of(rows)
    (given.output / "table.md").write_text(table, encoding="utf-8")
    print(table)
    draw(rows, given.output / "matrix.png")


def measure(name: str, eyes: str, cells: list[tuple[str, int]], cache: Path) -> Iterable[dict[str, object]]:
    """One row for each base and seed."""
    if not cells:
        return
    seen, used = eyes.split(" > ")[0].split("+"), eyes.split(" > ")[-1].split("+")
    first, truth = features_of(name, seen, cache)
    parts, _ = features_of(name, used, cache)
    settings, runtime = RefineSettings(), Runtime("cpu")
    neighbors_first, neighbors = (
        find_neighbors(join(each), settings, runtime, each) for each in (first, parts)
    )
    n_clusters = int(truth.max()) + 1
    for base_name, seed in cells:
        runtime = Runtime("cpu", seed)
        about = cache / f"{name}_{'+'.join(seen)}_{seed}"
        base = base_of(base_name, first, neighbors_first, truth, runtime, about)
        k_auto = number_of(join(first), neighbors_first, runtime, about)
        started = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            space = FeatureSpace(
                join(parts), neighbors, runtime, n_first=parts[0].shape[1] if len(parts) > 1 else None
            )
            found = repair(space, base, neighbors, settings, runtime)
        seconds = time.process_time() - started
        numbers = (score(truth, base.labels), score(truth, found.labels))
        error = calibration_error(truth, found.labels, found.probabilities)
        figures = [*(f"{number:.2f}" for number in (*numbers, error)), k_auto, f"{seconds:.1f}"]
        cell = [name, name in TUNED, len(truth), n_clusters, eyes, base_name, seed]
        row = dict(zip(FIELDS, [*cell, *figures], strict=True))
        print(" ".join(str(value) for value in row.values()), flush=True)
        yield row


def base_of(
    name: str,
    parts: list[NDArray[np.float32]],
    neighbors: Neighbors,
    truth: Labels,
    runtime: Runtime,
    about: Path,
) -> Clustering:
    """A clustering with the true number of clusters, or the truth made wrong; the one that was kept, if there is."""
    n_clusters, kept = int(truth.max()) + 1, about.with_name(f"{about.name}_{name}.npz")
    if kept.exists():
        with np.load(kept) as file:
            known = dict(file)
        return Clustering(known["labels"], known.get("probabilities"), n_clusters, *known["is"].tolist())
    if name in METHODS:
        found = cluster(join(parts), n_clusters, name, runtime, neighbors)
    elif name in RIVALS:
        found = largest_first(RIVALS[name](parts, n_clusters, neighbors, runtime))
    else:
        found = make_base(name, join(parts), truth, neighbors, runtime.seed)
    arrays = {"labels": found.labels, "probabilities": found.probabilities}
    arrays = {key: array for key, array in arrays.items() if array is not None}
    np.savez(kept, **arrays, **{"is": [found.name, found.made_of]})
    return found


def number_of(features: NDArray[np.float32], neighbors: Neighbors, runtime: Runtime, about: Path) -> int:
    """The number of clusters that is estimated; the one that was kept, if there is."""
    kept = about.with_name(f"{about.name}_K.txt")
    if not kept.exists():
        estimate = estimate_n_clusters(features, neighbors, 2, min(60, len(features) - 1), runtime)
        kept.write_text(str(estimate.n_clusters), encoding="utf-8")
    return int(kept.read_text(encoding="utf-8"))


def features_of(name: str, embedders: list[str], cache: Path) -> tuple[list[NDArray[np.float32]], Labels]:
    """Unit rows by each embedder, in the order of the file names, and the classes."""
    with (DATA_FOLDER / name / "truth.csv").open(newline="") as file:
        label_of = {row["file_name"]: row["label"] for row in csv.DictReader(file)}
    names = cache / f"{name}_names.txt"
    parts = []
    for embedder in embedders:
        path = cache / f"{name}_{embedder}.npy"
        if not path.exists():
            source = find_images(DATA_FOLDER / name / "images")
            embedded = embed_images(EmbedTask(source, Runtime("cpu", verbose=True), None, 0.1), (embedder,))
            np.save(path, embedded.features)
            names.write_text("\n".join(embedded.file_names), encoding="utf-8")
        rows = torch.from_numpy(np.load(path).astype(np.float32))
        parts.append(around(rows, rows.mean(dim=0)).numpy() if embedder in PACKAGES else rows.numpy())
    file_names = names.read_text(encoding="utf-8").splitlines()
    known = np.array([each in label_of for each in file_names])
    labels = [label_of[each] for each in file_names if each in label_of]
    truth = np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return [part[known] for part in parts], truth


def table_of(rows: list[dict[str, str]]) -> str:
    """Base → refined for each set, eyes and base, means over seeds; then the means that the method is judged by.

    What stands last of a mean is of the clusterings alone, labels that were given aside.
    """
    cells = defaultdict(list)
    for row in rows:
        cells[row["eyes"], row["tuned"] == "False", row["set"], row["base"]].append(row)
    bases = [base for base in (*BASES, *RIVALS) if any(row["base"] == base for row in rows)]
    lines = []
    for eyes in dict.fromkeys(row["eyes"] for row in rows):
        lines += [
            f"\n**{eyes}**\n",
            f"| set | K | K auto | {' | '.join(bases)} | s |",
            "|---" * (len(bases) + 4) + "|",
        ]
        sets = sorted({(reported, name) for each, reported, name, _ in cells if each == eyes})
        for reported, name in sets:
            here = [cells.get((eyes, reported, name, base), []) for base in bases]
            every = [row for cell in here for row in cell]
            found = "/".join(sorted({row["k_auto"] for row in every}, key=int))
            seconds = np.mean([float(row["seconds"]) for row in every])
            shown = " | ".join(in_words(cell) for cell in here)
            mark = " (reported)" if reported else ""
            lines.append(f"| {name}{mark} | {every[0]['K']} | {found} | {shown} | {seconds:.1f} |")
        for reported, label in ((False, "tuned"), (True, "reported")):
            part = {
                (base, name): cell
                for (each, is_reported, name, base), cell in cells.items()
                if each == eyes and is_reported == reported
            }
            lines += means_of(part, bases, label) if part else []
    return "\n".join(lines) + "\n"


def means_of(cells: dict[tuple[str, str], list[dict[str, str]]], bases: list[str], label: str) -> list[str]:
    """Two rows: each base's mean over the sets, base → refined; and its gain where there was something to gain."""
    judged = {key: cell for key, cell in cells.items() if mean(cell, "before") < EASY}
    levels, gains = [], []
    for base in bases:
        every = [cell for (of, _), cell in cells.items() if of == base]
        before, after = ([mean(cell, field) for cell in every] for field in ("before", "after"))
        levels.append(f"{np.mean(before):.1f} → {np.mean(after):.1f}" if every else "")
        gained = [gain(cell) for (of, _), cell in judged.items() if of == base]
        gains.append(f"{np.mean(gained):+.1f}" if gained else "")
    clusterings = [cell for (of, _), cell in judged.items() if of in METHODS]
    of_all = summary(clusterings) if clusterings else ""
    return [
        f"| **mean, {label}** | | | {' | '.join(levels)} | |",
        f"| **gain, {label}** | | | {' | '.join(gains)} | {of_all} |",
    ]


def summary(cells: list[list[dict[str, str]]]) -> str:
    """Gain and ECE of several clusterings, and how many lose more than they may."""
    gains = [gain(cell) for cell in cells]
    n_lost = sum(value < -MOST_LOST for value in gains)
    ece = np.mean([mean(cell, "ece") for cell in cells])
    return f"{np.mean(gains):+.2f}, worst {min(gains):+.1f}, {n_lost} of {len(gains)} below -{MOST_LOST}, ECE {ece:.1f}"


def in_words(cell: list[dict[str, str]]) -> str:
    if not cell:
        return ""
    return f"{mean(cell, 'before'):.1f} → {mean(cell, 'after'):.1f} (ECE {mean(cell, 'ece'):.0f})"


def mean(cell: list[dict[str, str]], field: str) -> float:
    return float(np.mean([float(row[field]) for row in cell]))


def gain(cell: list[dict[str, str]]) -> float:
    return mean(cell, "after") - mean(cell, "before")


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """An arrow for each cell: from the base's accuracy to the repaired one, a panel for each choice of eyes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    every = list(dict.fromkeys(row["eyes"] for row in rows))
    bases = [base for base in (*BASES, *RIVALS) if any(row["base"] == base for row in rows)]
    sets = sorted({(row["tuned"] == "False", row["set"]) for row in rows})
    figure, panels = pyplot.subplots(
        1,
        len(every),
        figsize=(1 + 3.6 * len(every), 1 + 0.9 * len(sets)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for panel, eyes in zip(panels[0], every, strict=True):
        for place, (_, name) in enumerate(sets):
            for number, base in enumerate(bases):
                cell = [r for r in rows if (r["eyes"], r["set"], r["base"]) == (eyes, name, base)]
                if cell:
                    height = place + (number + 0.5) / len(bases) * 0.8
                    before, after = mean(cell, "before"), mean(cell, "after")
                    colour = "#1a7f37" if after >= before else "#c0392b"
                    panel.plot([before, after], [height, height], color=colour, linewidth=2)
                    panel.plot(after, height, "o", color=colour, markersize=4)
                    panel.plot(before, height, "|", color="#555555", markersize=6)
        panel.set_title(eyes, fontsize=9)
        panel.set_xlabel("accuracy, % (tick: base; dot: repaired)", fontsize=8)
        panel.grid(axis="x", alpha=0.3)
        for place in range(1, len(sets)):
            panel.axhline(place - 0.1, color="#bbbbbb", linewidth=0.8)
    panels[0][0].set_yticks([place + 0.4 for place in range(len(sets))], [name for _, name in sets])
    panels[0][0].invert_yaxis()
    figure.suptitle("What a repair adds; within a set from top to bottom: " + ", ".join(bases), fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def is_asked_for(row: dict[str, str], given: argparse.Namespace) -> bool:
    return row["set"] in given.sets and row["eyes"] in given.eyes and row["base"] in given.bases


def key(row: dict[str, str]) -> tuple[str, str, str, str]:
    return row["set"], row["eyes"], row["base"], row["seed"]


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append_row(path: Path, row: dict[str, object]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = sorted(each.parent.name for each in DATA_FOLDER.glob("*/truth.csv"))
    parser.add_argument("--sets", nargs="+", default=every)
    parser.add_argument("--eyes", nargs="+", default=EYES)
    parser.add_argument("--bases", nargs="+", default=BASES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="four bases, two choices of eyes, one seed")
    parser.add_argument("--table-only", action="store_true", help="from the rows that are there")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/matrix"))
    given = parser.parse_args()
    if given.small:
        given.sets = [name for name in given.sets if name in TUNED and name != "messy_photos"]
        given.bases, given.eyes, given.seeds = SMALL["bases"], SMALL["eyes"], SMALL["seeds"]
    return given


if __name__ == "__main__":
    main()
