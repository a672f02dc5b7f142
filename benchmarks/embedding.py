"""Images a second of the packaged backbone beside a plain loop, as a ratio in one run.

    python benchmarks/embedding.py IMAGES [--images 256]

The plain loop is a tutorial's: Pillow, the reference network as it comes (batch normalisation apart, channels first),
float32, batches of 32, decoding and computing by turns. All see the same images and use the same threads. CPU seconds
of this process are compared, so that other programs on the machine don't matter. The cosine is the lowest of any image
to the plain loop's features. The limit is the network's multiplications at the rate of a large matrix product.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from torch import Tensor

from ruc.embed import packaged
from ruc.embed.packaged import load_packaged, weights_file
from ruc.images.decode import decode
from ruc.images.source import ImageSource, find_images
from ruc.networks.efficientnet_lite import VARIANTS, Convolution, EfficientNetLite
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
    plain, expected = seconds(lambda: plain_loop(source, given.embedder))
    limit = len(source) * flops(given.embedder) / matmul_rate()
    n_threads = torch.get_num_threads()
    print(f"{given.embedder}, {len(source)} images, {n_threads} threads, images a CPU second:")
    print(f"  plain loop {len(source) / plain:.1f}; the limit {len(source) / limit:.0f}")
    for by in ("PyTorch", "onnxruntime"):
        if by == "onnxruntime" and not packaged.has_onnxruntime():
            print("  onnxruntime isn't installed: pip install '.[onnx]'")
            continue
        with mock.patch.object(packaged, "has_onnxruntime", return_value=by == "onnxruntime"):
            embedder = load_packaged(given.embedder, Runtime("cpu"))
        embedder.embed(source.take(range(4)), Runtime("cpu"))
        ours, features = seconds(lambda: embedder.embed(source, Runtime("cpu")).features)  # noqa: B023
        cosine = float((features * expected).sum(axis=1).min())
        shares = f"{plain / ours:.2f} times, {limit / ours:.0%} of the limit, lowest cosine {cosine:.6f}"
        print(f"  ruc by {by} {len(source) / ours:.1f}: {shares}")


def flops(name: str) -> float:
    """Floating-point operations that the network takes for an image."""
    total, side = 0.0, VARIANTS[name].side

    def count(layer: Convolution, _: tuple[Tensor, ...], maps: Tensor) -> None:
        nonlocal total
        total += 2 * layer.weight[0].numel() * maps[0].numel()

    network = EfficientNetLite(VARIANTS[name])
    for layer in network.modules():
        if isinstance(layer, Convolution):
            layer.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, side, side))
    return total


def matmul_rate(side: int = 2048) -> float:
    """Floating-point operations a CPU second of a matrix product."""
    matrix = torch.randn(side, side)
    matrix @ matrix
    start = time.process_time()
    for _ in range(3):
        matrix @ matrix
    return 3 * 2 * side**3 / (time.process_time() - start)


if __name__ == "__main__":
    main()
