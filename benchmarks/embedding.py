"""Images a second of the packaged backbone beside a plain loop, as a ratio in one run.

    python benchmarks/embedding.py IMAGES [--images 256]

The plain loop is a tutorial's: Pillow, the reference network as it comes (batch normalisation apart, channels first),
float32, batches of 32, decoding and computing by turns. Both see the same images and use the same threads. CPU seconds
of this process are compared, so that other programs on the machine don't matter. The cosine is the lowest of any image
to the plain loop's features.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray

from ruc.embed.packaged import load_packaged, weights_file
from ruc.images.decode import decode
from ruc.images.source import ImageSource, find_images
from ruc.runtime import Runtime

BATCH = 32


def plain_loop(source: ImageSource, name: str) -> NDArray[np.float32]:
    file = weights_file(name)
    assert file is not None
    network = EfficientNet.from_name(f"efficientnet-{name}")
    network.load_state_dict(torch.load(file, weights_only=True))
    network.eval()
    prepare = load_packaged(name, Runtime("cpu")).preprocessing.prepare
    rows = []
    for start in range(0, len(source), BATCH):
        images = np.stack([prepare(decode(item)) for item in source.items[start : start + BATCH]])
        with torch.no_grad():
            maps = network.extract_features((torch.from_numpy(images).float() - 127) / 128)
        rows.append(torch.nn.functional.normalize(maps.mean(dim=(2, 3)), dim=1).numpy())
    return np.concatenate(rows)


def seconds(work: Callable[[], NDArray[np.float32]]) -> tuple[float, NDArray[np.float32]]:
    start = time.process_time()
    rows = work()
    return time.process_time() - start, rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--images", type=int, default=256, dest="n_images")
    parser.add_argument("--embedder", default="lite0")
    given = parser.parse_args()
    whole = find_images(given.images)
    source = whole.take(range(min(given.n_images, len(whole))))
    embedder = load_packaged(given.embedder, Runtime("cpu"))
    embedder.embed(source.take(range(4)), Runtime("cpu"))
    ours, features = seconds(lambda: embedder.embed(source, Runtime("cpu")).features)
    plain, expected = seconds(lambda: plain_loop(source, given.embedder))
    cosine = float((features * expected).sum(axis=1).min())
    print(f"{given.embedder}, {len(source)} images, {torch.get_num_threads()} threads, images a CPU second:")
    print(f"  plain loop {len(source) / plain:.1f}, ruc {len(source) / ours:.1f}: {plain / ours:.2f} times")
    print(f"  lowest cosine of the features: {cosine:.6f}")


if __name__ == "__main__":
    main()
