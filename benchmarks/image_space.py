"""Speed and memory of the training steps in image space, against the official step in its plain form.

    python benchmarks/image_space.py [--cases ...] [--threads 2] [--batches 4] [--repeats 3]

RUC. The reference is what the official code does in a batch, re-stated: views made image by image with Pillow (in as
many worker processes as there are threads), float32, the channels first, and nine forward passes: four views through
the student with gradients, of which one is used, four through the peer, and the mixed batch. Below it our forms of the
same step: all forward passes of whole batches but batched views, channels last and no needless gradients ("all");
forward passes of only those rows whose predictions are used ("needed"); the same in mixed precision where the hardware
multiplies bfloat16 natively ("needed, bfloat16"); with both networks learning side by side from each batch ("side by
side"); and with the one weak view of the clean that is the default ("default"). A step is what one network learns
from one batch, so side by side there are two of them in each. Views are the paper's, 85% of the samples are clean, SGD.

Embedding. The reference is SimCLR's step with four views an image made by Pillow, float32, the channels first; ours is
`ruc.embed.contrastive.batch_loss`.

Images are random. Each form runs in a process of its own; printed are medians of the repeats: wall clock, processor
time, what the reference takes over these, and the peak memory above what the process had before its first batch (Linux
alone). With one thread there are no workers, and the ratio of processor time holds on a busy machine too; with more,
the workers' time isn't in it, and they are one batch ahead.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from memory import forget_peak, held_mebibytes
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, get_worker_info

from ruc.embed.contrastive import ContrastiveSettings, batch_loss, contrastive_loss
from ruc.images.views import PAPER, PHOTO, to_float
from ruc.networks import ImageNetwork, NetworkSettings, ResNet, projection_head
from ruc.refine.losses import soft_cross_entropy, squared_error
from ruc.refine.members import make_members, passes
from ruc.refine.ruc import train_pass
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import ImageSpace
from ruc.refine.targets import guess, mix_up, refine_labels, smooth_labels
from ruc.refine.trust import Trust
from ruc.runtime import Runtime

N_CLUSTERS = 10
CLEAN = 0.85


@dataclass(frozen=True)
class Case:
    """A network, the side of its images, and how many make a batch."""

    network: NetworkSettings
    side: int
    batch_size: int


CASES = {
    "ResNet-8 of width 24, half stem, 28 pixels, grey": Case(
        NetworkSettings(channels=1, width=24, blocks=(1, 1, 1), stem="half"), 28, 250
    ),
    "ResNet-18 of width 16, 32 pixels": Case(NetworkSettings(width=16), 32, 250),
    "ResNet-18, 32 pixels": Case(NetworkSettings(), 32, 64),
}
RUC_FORMS = {
    "all": RefineSettings(turns="pass", forwards="all", precision="float32", clean_views=2),
    "needed": RefineSettings(turns="pass", precision="float32", clean_views=2),
    "needed, bfloat16": RefineSettings(turns="pass", clean_views=2),
    "side by side": RefineSettings(clean_views=2),
    "default": RefineSettings(),
}


# --- the reference -------------------------------------------------------------------------------------------


def crop(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Random resized crop and flip."""
    side = image.width
    area, aspect = draw.uniform(0.2, 1) * side**2, np.exp(draw.uniform(-np.log(4 / 3), np.log(4 / 3)))
    width, height = min(side, (area * aspect) ** 0.5), min(side, (area / aspect) ** 0.5)
    left, top = draw.uniform(0, side - width), draw.uniform(0, side - height)
    box = (left, top, left + width, top + height)
    view = image.resize((side, side), Image.Resampling.BILINEAR, box=box)
    return ImageOps.mirror(view) if draw.random() < 0.5 else view


def affine(*coefficients: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, coefficients)


OPERATIONS: tuple[Callable[[Image.Image], Image.Image], ...] = (
    lambda image: image,
    ImageOps.autocontrast,
    ImageOps.equalize,
    lambda image: image.rotate(15),
    lambda image: ImageOps.solarize(image, 128),
    lambda image: ImageEnhance.Color(image).enhance(1.45),
    lambda image: ImageOps.posterize(image, 6),
    lambda image: ImageEnhance.Contrast(image).enhance(1.45),
    lambda image: ImageEnhance.Brightness(image).enhance(1.45),
    lambda image: ImageEnhance.Sharpness(image).enhance(1.45),
    affine(1, 0.15, 0, 0, 1, 0),
    affine(1, 0, 0, 0.15, 1, 0),
    affine(1, 0, 5, 0, 1, 0),
    affine(1, 0, 0, 0, 1, 5),
)


def strengthen(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """RandAugment with two operations, and cutout."""
    for number in draw.integers(len(OPERATIONS), size=2):
        image = OPERATIONS[number](image)
    image, half = image.copy(), image.width // 4
    x, y = draw.integers(image.width, size=2)
    image.paste(128 if image.mode == "L" else (128, 128, 128), (x - half, y - half, x + half, y + half))
    return image


def recolour(image: Image.Image, draw: np.random.Generator) -> Image.Image:
    """SimCLR's colours: brightness, contrast, saturation and hue, or grey."""
    if draw.random() < 0.8:
        for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = change(image).enhance(draw.uniform(0.6, 1.4))
        if image.mode == "RGB":
            hue, saturation, value = image.convert("HSV").split()
            turn = int(draw.integers(-25, 26))
            turned = hue.point([(level + turn) % 256 for level in range(256)])
            image = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    return image.convert("L").convert(image.mode) if draw.random() < 0.2 else image


def as_tensor(image: Image.Image) -> Tensor:
    pixels = np.asarray(image, np.float32) / 255
    return torch.from_numpy(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1).copy())


class Views(Dataset):
    """Several views of each image, made one by one."""

    def __init__(self, pixels: np.ndarray, task: str) -> None:
        squeezed = [image[0] if len(image) == 1 else image.transpose(1, 2, 0) for image in pixels]
        self.images, self.task = [Image.fromarray(image) for image in squeezed], task
        self.draw = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, ...]:
        image, draw = self.images[row], self.draw
        if self.task == "embedding":
            return tuple(as_tensor(recolour(crop(image, draw), draw)) for _ in range(4))
        strong = strengthen(crop(image, draw), draw)
        return tuple(map(as_tensor, (image, crop(image, draw), crop(image, draw), strong)))


def start_worker(number: int) -> None:
    torch.set_num_threads(1)
    info = get_worker_info()
    info.dataset.draw = np.random.default_rng(number)


def loader(pixels: np.ndarray, task: str, case: Case, threads: int) -> DataLoader:
    return DataLoader(
        Views(pixels, task),
        case.batch_size,
        num_workers=threads if threads > 1 else 0,
        prefetch_factor=1 if threads > 1 else None,
        worker_init_fn=start_worker,
    )


def reference_ruc(case: Case, pixels: np.ndarray, threads: int) -> Iterator[int]:
    """One batch after the other, as the official code does it."""
    student, peer = (ImageNetwork(ResNet(case.network), N_CLUSTERS) for _ in range(2))
    optimizer = torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
    generator = torch.Generator().manual_seed(0)
    for views in loader(pixels, "ruc", case, threads):
        n = len(views[0])
        is_clean = torch.rand(n, generator=generator) < CLEAN
        labels = torch.randint(N_CLUSTERS, (n,), generator=generator)[is_clean]
        own = [student(view) for view in views]
        with torch.no_grad():
            others = [peer(view) for view in views]
            weight = torch.rand(len(labels), generator=generator)
            refined = refine_labels(labels, others[0][is_clean], weight, 0.5)
            guessed = guess([each[~is_clean] for each in (*own[1:3], *others[1:3])], 0.5)
        weak = [view[chosen] for chosen in (is_clean, ~is_clean) for view in views[1:3]]
        inputs, targets = mix_up(torch.cat(weak), torch.cat([refined] * 2 + [guessed] * 2), 4.0, generator)
        logits, n_clean = student(inputs), 2 * len(labels)
        loss = soft_cross_entropy(logits[:n_clean], targets[:n_clean])
        loss = loss + 2.5 * squared_error(logits[n_clean:], targets[n_clean:])
        loss = loss + soft_cross_entropy(own[3][is_clean], smooth_labels(labels, N_CLUSTERS, 0.5))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield 1


def reference_embedding(case: Case, pixels: np.ndarray, threads: int) -> Iterator[int]:
    """One batch after the other, as SimCLR's code does it."""
    width = case.network.n_features
    model = nn.Sequential(ResNet(case.network), projection_head(width, width, 64))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for views in loader(pixels, "embedding", case, threads):
        loss = contrastive_loss(model(torch.cat(list(views))), len(views), 0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield 1


# --- ours ----------------------------------------------------------------------------------------------------


def our_ruc(form: str, case: Case, pixels: np.ndarray) -> Iterator[int]:
    """One step after the other, or two side by side: a pass over as many images as a batch has."""
    runtime = Runtime("cpu")
    draw = np.random.default_rng(0)
    generator = runtime.generator("benchmark")
    members, settings = None, None
    for start in range(0, len(pixels), case.batch_size):
        space = ImageSpace(pixels[start : start + case.batch_size], ResNet(case.network), PAPER, runtime)
        labels = draw.integers(N_CLUSTERS, size=space.n_samples)
        if members is None:
            settings = replace(RUC_FORMS[form], optimizer="sgd", learning_rate=0.01).filled(space.defaults)
            settings = replace(settings, batch_size=case.batch_size)
            members = make_members(space, N_CLUSTERS, settings, runtime)
        is_clean = torch.from_numpy(draw.random(space.n_samples) < CLEAN)
        trust = Trust.at_start(torch.from_numpy(labels), is_clean)
        turns = passes(*members, settings)[0]
        train_pass(turns, trust, space, settings, 1, runtime, generator)
        yield len(turns)


def our_embedding(case: Case, pixels: np.ndarray) -> Iterator[int]:
    runtime, settings = Runtime("cpu"), ContrastiveSettings(policy=PHOTO)
    width = case.network.n_features
    model = nn.Sequential(ResNet(case.network), projection_head(width, width, 64))
    model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)
    generator = runtime.generator("benchmark")
    for start in range(0, len(pixels), case.batch_size):
        rows = torch.from_numpy(pixels[start : start + case.batch_size]).repeat(settings.n_views, 1, 1, 1)
        loss = batch_loss(model, to_float(rows), case.side, settings, runtime, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield 1


# --- measuring -----------------------------------------------------------------------------------------------


def run_only(task: str, form: str, name: str, batches: int, threads: int) -> None:
    """Print what one form costs, as JSON: the first batch warms up."""
    torch.set_num_threads(threads)
    case = CASES[name]
    if task == "embedding":
        case = replace(case, batch_size=case.batch_size // 2)
    shape = ((batches + 1) * case.batch_size, case.network.channels, case.side, case.side)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    forget_peak()
    before = held_mebibytes()
    if form == "reference":
        steps = (reference_ruc if task == "ruc" else reference_embedding)(case, pixels, threads)
    else:
        steps = our_ruc(form, case, pixels) if task == "ruc" else our_embedding(case, pixels)
    next(steps)
    started, used = time.perf_counter(), time.process_time()
    n_steps = sum(steps)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    found = {
        "ms": 1000 * seconds / n_steps,
        "speed": n_steps * case.batch_size / seconds,
        "cpu": 1000 * processor / n_steps,
        "mebibytes": held_mebibytes() - before,
    }
    print(json.dumps(found))


def measure(task: str, form: str, name: str, options: argparse.Namespace) -> dict[str, float]:
    """The median of the repeats, each in a process of its own."""
    command = [sys.executable, __file__, "--only", task, form, name]
    command += ["--batches", str(options.batches), "--threads", str(options.threads)]
    rows = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(options.repeats)
    ]
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=("ruc", "embedding"), default=("ruc", "embedding"))
    parser.add_argument("--cases", nargs="+", type=int, default=range(len(CASES)), help="numbers, from 0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        run_only(*options.only, options.batches, options.threads)
        return
    for task in options.tasks:
        for name in [list(CASES)[number] for number in options.cases]:
            print(f"\n{task}: {name}")
            print("| form | ms a batch | images/s | ratio | processor ms | ratio | peak MiB |")
            print("|---|---|---|---|---|---|---|")
            reference = measure(task, "reference", name, options)
            forms = ["reference", *RUC_FORMS] if task == "ruc" else ["reference", "ours"]
            for form in forms:
                found = reference if form == "reference" else measure(task, form, name, options)
                wall, processor = (reference[key] / found[key] for key in ("ms", "cpu"))
                print(
                    f"| {form} | {found['ms']:.0f} | {found['speed']:.0f} | {wall:.1f} | {found['cpu']:.0f} "
                    f"| {processor:.1f} | {found['mebibytes']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
