"""Folders of images as raw bytes, in parts of at most 50 MB: what `paper.py` reads.

    python experiments/paper_data.py cifar10 CIFAR-10-dataset -o runs/data
    python experiments/paper_data.py cifar20 CIFAR-100-dataset -o runs/data      100 classes become 20
    python experiments/paper_data.py stl10 STL-10/data -o runs/data --test-labels test_labels.pt
    python experiments/paper_data.py mnist5k DATA/mnist5k -o runs/data

FOLDER holds train/CLASS/* and test/CLASS/*, or images/ and truth.csv, of which every fifth image is set apart for the
test. STL-10's test images lie in test/ without classes, in their original order: --test-labels has theirs. The order
is shuffled by a fixed seed, so that a part of the data is a fair sample of it. Per set and split: PARTS of
(n, channels, side, side) uint8, one after the other, and labels as numbers; about.json says the rest.
"""

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

PART_BYTES = 50_000_000
SUFFIXES = (".png", ".bmp", ".jpg")
Labelled = tuple[list[Path], list[str]]

# Krizhevsky 2009, section 3.3: the superclasses of CIFAR-100.
SUPERCLASSES = {
    "aquatic mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food containers": "bottle bowl can cup plate",
    "fruit and vegetables": "apple mushroom orange pear sweet_pepper",
    "household electrical devices": "clock keyboard lamp telephone television",
    "household furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large carnivores": "bear leopard lion tiger wolf",
    "large man-made outdoor things": "bridge castle house road skyscraper",
    "large natural outdoor scenes": "cloud forest mountain plain sea",
    "large omnivores and herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium-sized mammals": "fox porcupine possum raccoon skunk",
    "non-insect invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles 1": "bicycle bus motorcycle pickup_truck train",
    "vehicles 2": "lawn_mower rocket streetcar tank tractor",
}
SUPERCLASS_OF = {name: group for group, names in SUPERCLASSES.items() for name in names.split()}


@dataclass(frozen=True)
class Split:
    """Images (n, channels, side, side) uint8 and the number of each one's class."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __add__(self, other: "Split") -> "Split":
        return Split(np.concatenate([self.pixels, other.pixels]), np.concatenate([self.labels, other.labels]))


def read_split(folder: Path, split: str, first: int | None = None) -> Split:
    """The images of a split as they were prepared; `first` takes only so many."""
    shape = json.loads((folder / "about.json").read_text())[split]
    parts = sorted(folder.glob(f"{split}.*.bin"))
    pixels = np.concatenate([np.fromfile(part, np.uint8) for part in parts]).reshape(shape)
    return Split(pixels[:first], np.load(folder / f"{split}.labels.npy")[:first])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="cifar20 merges classes; other names are free")
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, help="NAME/ is made in it")
    parser.add_argument(
        "--test-labels", type=Path, help=".pt with the numbers of the test images, in order of name"
    )
    options = parser.parse_args()
    folder = options.output / options.name
    folder.mkdir(parents=True, exist_ok=True)
    about = {}
    for split, (paths, labels) in find_splits(options.folder, options.test_labels).items():
        if options.name == "cifar20":
            labels = [SUPERCLASS_OF[label] for label in labels]
        order = np.random.default_rng(0).permutation(len(paths))
        pixels = np.stack([decode(paths[row]) for row in order])
        about[split] = pixels.shape
        numbers = np.unique(labels, return_inverse=True)[1][order].astype(np.int64)
        np.save(folder / f"{split}.labels.npy", numbers)
        flat = pixels.reshape(-1)
        for number, start in enumerate(range(0, len(flat), PART_BYTES)):
            flat[start : start + PART_BYTES].tofile(folder / f"{split}.{number:02d}.bin")
        print(f"{options.name} {split}: {pixels.shape}, {len(np.unique(numbers))} classes")
    (folder / "about.json").write_text(json.dumps(about))


def find_splits(folder: Path, test_labels: Path | None) -> dict[str, Labelled]:
    """Files and labels of train and test."""
    if (folder / "truth.csv").exists():
        with (folder / "truth.csv").open(newline="") as file:
            rows = sorted((row["file_name"], row["label"]) for row in csv.DictReader(file))
        paths, labels = [folder / "images" / name for name, _ in rows], [label for _, label in rows]
        apart = np.arange(len(rows)) % 5 == 4
        return {
            split: ([paths[i] for i in np.flatnonzero(mask)], [labels[i] for i in np.flatnonzero(mask)])
            for split, mask in (("train", ~apart), ("test", apart))
        }
    train = files_of(folder / "train")
    if test_labels is None:
        return {"train": train, "test": files_of(folder / "test")}
    names = sorted(set(train[1]))
    numbers = torch.load(test_labels, weights_only=True).long().tolist()
    return {"train": train, "test": (files_of(folder / "test")[0], [names[number] for number in numbers])}


def files_of(folder: Path) -> Labelled:
    """All images below a folder in order, and the name of the folder that each lies in."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)
    if not paths:
        raise SystemExit(f"{folder} holds no image; expected FOLDER/train and FOLDER/test")
    return paths, [path.parent.name for path in paths]


def decode(path: Path) -> NDArray[np.uint8]:
    """(channels, side, side)."""
    with Image.open(path) as image:
        grey = image.mode in ("L", "1")
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


if __name__ == "__main__":
    main()
