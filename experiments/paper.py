"""The paper's tables from raw images without a label: embedding, SCAN, self-labelling, RUC, evaluation.

    python experiments/paper_data.py cifar10 CIFAR-10-dataset -o runs/data   (once; see there for the other sets)
    python experiments/paper.py cifar10 --data runs/data -o runs/cifar10     the whole chain, on one GPU

    --measure              first: a few batches of each stage; prints speed and FLOP/s, and writes the numbers of epochs
                           that fill --total minutes (20) to the output folder, where the chain then takes them from
    --minutes 8            stop after so long with exit status 75; the same command goes on (`until … ; do :; done`)
    --narrow               two cores: a narrow network, few epochs; with mnist5k or cifar10_5k a rehearsal of the chain
    --fit all              STL-10 as in the paper: fit on its 13,000 labelled images; then nothing is unseen

Fitted are the training images; scored are the same images (the paper's protocol) and, beside it, the unseen test images
under the training images' matching of clusters and classes. The truth scores, and nothing else. A row goes to
experiments/RESULTS.md. The output folder holds what each stage left: weights in half precision, 16 MB a file.

The plan for one H100 (100 TFLOP/s assumed for ResNet-18 in bfloat16; --measure says what it is). A pass of ResNet-18
over an image of 32 pixels takes 1.11 GFLOP, training on it 3.34. For 50,000 images:

    stage       GFLOP an image                                            PFLOP an epoch  epochs  PFLOP  minutes
    embedding   four views, student 13.4, teacher 4.4; 60% at 24 pixels   0.66            100     66     11.0
    SCAN        two views 6.7                                             0.33            10      3.3    0.6
    self-label  plain 1.1, strong 3.3                                     0.22            15      3.3    0.6
    RUC         two passes of plain 2.2, two weak 6.7, strong 3.3         1.22            25      31     5.1
    sum                                                                                           103    17.3

Published: 616 (SimCLR 500 epochs 166, RUC 200 epochs 333, SCAN between them). Why BYOL with four views: in lightly's
benchmarks (CIFAR-10, ResNet-18, 200 epochs, accuracy by neighbours) BYOL has 86.9, SimCLR 84.7, DINO 84.0, MoCo 83.8,
NNCLR 83.4, SwAV 81.2; FastSiam, SimSiam with the mean of four views as target, 90.6, where SimSiam has 81.9 and takes
800 epochs for as much. The best clusterings from scratch (ProPos 94.3, with DCBoost 96.0) stand on BYOL and its like.
SPICE and TEMI want a trained backbone first. What to try next: other shares of the neighbours' part of the target.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from paper_data import Split, read_split
from safetensors.torch import load_file, save_file

from ruc.cluster.scan_images import ScanSettings, fit_on_neighbors, predict_images, self_label_images
from ruc.embed.momentum import MomentumSettings, fit_momentum
from ruc.embed.self_supervised import SelfSupervisedEmbedder
from ruc.evaluation.attacks import AttackTable, Model, attack_models
from ruc.evaluation.calibration import expected_calibration_error
from ruc.evaluation.metrics import (
    accuracy,
    adjusted_rand_index,
    contingency,
    correct_under,
    match_clusters,
    normalized_mutual_information,
)
from ruc.images.views import GENTLE, PHOTO
from ruc.labels.clustering import Clustering
from ruc.neighbors.search import nearest_neighbors
from ruc.networks import ImageNetwork, NetworkSettings, State
from ruc.refine.networks import network_from_config
from ruc.refine.settings import RefineSettings
from ruc.refine.spaces import ImageSpace
from ruc.refine.trained import Pair
from ruc.repair import repair
from ruc.runtime import Runtime

TIME_IS_UP = 75  # EX_TEMPFAIL: try again
FILE_BYTES = 16_000_000
SAVE_EVERY = 120.0  # seconds
HERE = Path(__file__).parent
STAGES = ("embedding", "SCAN", "self-labelling", "RUC")
GPU_PICKS = {"cifar10": "confidence", "cifar20": "hybrid", "stl10": "confidence"}  # the paper's best
GPU_UNCLEAN = {"cifar10": 25.0, "cifar20": 100.0, "stl10": 50.0}  # official code


@dataclass(frozen=True)
class Plan:
    """The settings of every stage."""

    embedding: MomentumSettings
    scan: ScanSettings
    ruc: RefineSettings

    def with_epochs(self, epochs: dict[str, int]) -> "Plan":
        """The same with other numbers of epochs, by stage."""
        return Plan(
            replace(self.embedding, n_epochs=epochs["embedding"]),
            replace(self.scan, n_epochs=epochs["SCAN"], n_label_epochs=epochs["self-labelling"]),
            replace(self.ruc, n_epochs=epochs["RUC"]),
        )

    @property
    def epochs(self) -> dict[str, int]:
        """Their numbers, by stage."""
        label, ruc = self.scan.n_label_epochs, self.ruc.length
        return dict(zip(STAGES, (self.embedding.n_epochs, self.scan.n_epochs, label, ruc), strict=True))


def make_plan(name: str, narrow: bool) -> Plan:
    policy = GENTLE if "mnist" in name else PHOTO
    if narrow:
        network = NetworkSettings(width=24, blocks=(1, 1, 1), stem="half")
        return Plan(
            MomentumSettings(policy=policy, network=network, n_epochs=40, batch_size=125, inertia=0.97),
            ScanSettings(n_epochs=4, n_label_epochs=4),
            RefineSettings(n_epochs=4, batch_size=250, optimizer="adamw", learning_rate=0.003),
        )
    large = name == "stl10"
    return Plan(
        MomentumSettings(
            policy=replace(policy, blur_chance=0.5) if large else policy,
            network=NetworkSettings(stem="pooled" if large else "full"),
            n_epochs=200 if large else 100,
        ),
        ScanSettings(n_epochs=10, n_label_epochs=15, batch_size=500, learning_rate=5e-4),
        RefineSettings.paper(
            n_epochs=25,
            selection=GPU_PICKS.get(name, "hybrid"),
            unclean_weight=GPU_UNCLEAN.get(name, 25.0),
            promotion_threshold=0.99 if name == "cifar10" else "stepped",
            ramp_epochs=None,
            head_warmup=True,
            forwards="needed",
            precision=None,
        ),
    )


# --- pieces: stages that stop when the time is up and go on where they stopped ---------------------------------


class TimeIsUpError(Exception):
    """The piece's minutes are over; what was done is kept."""


class Pieces:
    """What the stages leave in a folder, finished or begun, and how long each has taken."""

    def __init__(self, folder: Path, minutes: float) -> None:
        self.folder, self.deadline = folder, time.monotonic() + 60 * minutes
        folder.mkdir(parents=True, exist_ok=True)

    def stage(self, name: str, work: Callable[[Callable[..., None], State | None], State]) -> State:
        """The stage's outcome, as it was kept: made here from `work(on_epoch, resume)` where it isn't there yet."""
        if (self.folder / f"{name}.json").exists():
            return self.load(name)
        begun = self.load(f"{name}.begun") if (self.folder / f"{name}.begun.json").exists() else None
        before = 0.0 if begun is None else float(begun.config["seconds"])
        started = saved = time.monotonic()

        def on_epoch(*arguments: Any) -> None:
            nonlocal saved
            state, now = arguments[-1], time.monotonic()
            what = arguments[0] if len(arguments) == 3 else arguments[0].epoch
            loss = f", loss {arguments[1]:.3f}" if len(arguments) == 3 else f", {_about(arguments[0])}"
            print(f"{name}: epoch {what} done, {before + now - started:.0f} s{loss}", flush=True)
            if now > self.deadline or now - saved > SAVE_EVERY:
                self.save(f"{name}.begun", state(), before + now - started)
                saved = now
            if now > self.deadline:
                raise TimeIsUpError(name)

        outcome = work(on_epoch, begun)
        self.save(name, outcome, before + time.monotonic() - started)
        for path in self.folder.glob(f"{name}.begun.*"):
            path.unlink()
        return self.load(name)

    def save(self, name: str, state: State, seconds: float) -> None:
        """JSON, and tensors in half precision in files of at most 16 MB; the JSON comes last and makes it whole."""
        halves = {key: _half(key, value) for key, value in state.weights.items()}
        files: list[dict[str, torch.Tensor]] = [{}]
        for key, value in halves.items():
            size = sum(each.nbytes for each in files[-1].values())
            if files[-1] and size + value.nbytes > FILE_BYTES:
                files.append({})
            files[-1][key] = value
        for number, tensors in enumerate(files):
            save_file(tensors, self.folder / f"{name}.{number:02d}.safetensors")
        config = {**state.config, "seconds": seconds, "files": len(files)}
        (self.folder / "new").write_text(json.dumps(config))
        (self.folder / "new").replace(self.folder / f"{name}.json")

    def load(self, name: str) -> State:
        """What `save` left."""
        config = json.loads((self.folder / f"{name}.json").read_text())
        weights: dict[str, torch.Tensor] = {}
        for number in range(config["files"]):
            weights |= load_file(self.folder / f"{name}.{number:02d}.safetensors")
        return State(config, {key: _whole(value) for key, value in weights.items()})


def _half(key: str, value: torch.Tensor) -> torch.Tensor:
    """Weights keep their digits, moments of the optimiser their range."""
    if value.dtype != torch.float32 or value.dim() == 0:
        return value
    return value.to(torch.bfloat16 if "optimizer." in key else torch.float16).contiguous()


def _whole(value: torch.Tensor) -> torch.Tensor:
    return value.float() if value.dtype in (torch.float16, torch.bfloat16) else value


def _about(epoch: Any) -> str:
    return f"clean {epoch.clean_share:.1%}, networks agree on {epoch.agreement:.1%}"


# --- the chain ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """What the stages made: the base's network and the pair, and what both say of the fitted images."""

    base: Clustering
    base_network: ImageNetwork
    refined: Clustering
    pair: Pair
    features: NDArray[np.float32]


def run_chain(
    pixels: NDArray[np.uint8], n_clusters: int, plan: Plan, runtime: Runtime, pieces: Pieces
) -> Chain:
    """Every stage in order, each taken from the folder where it is there."""
    policy = plan.embedding.policy
    embedder = SelfSupervisedEmbedder.from_state(
        pieces.stage(
            "embedding",
            lambda on_epoch, resume: fit_momentum(pixels, runtime, plan.embedding, on_epoch, resume).state(),
        )
    )
    features = embedder.transform(pixels, runtime)
    neighbors = nearest_neighbors(features, min(100, len(pixels) - 1), runtime)
    network = _network(
        pieces.stage(
            "SCAN",
            lambda on_epoch, resume: _state(
                fit_on_neighbors(
                    pixels,
                    embedder.network,
                    neighbors,
                    n_clusters,
                    policy,
                    runtime,
                    plan.scan,
                    on_epoch,
                    resume,
                )
            ),
        )
    )
    network = _network(
        pieces.stage(
            "self-labelling",
            lambda on_epoch, resume: _state(
                self_label_images(pixels, network, policy, runtime, plan.scan, on_epoch, resume)
            ),
        )
    )
    base = predict_images(pixels, network, runtime)
    space = ImageSpace(pixels, network.backbone, policy, runtime)

    def retrain(on_epoch: Callable[..., None], resume: State | None) -> State:
        result = repair(space, base, neighbors, plan.ruc, runtime, on_epoch=on_epoch, resume=resume)
        said = {
            "labels": torch.from_numpy(result.labels),
            "probabilities": torch.from_numpy(result.probabilities),
        }
        pair = result.predictor.state()
        return State(pair.config, {**pair.weights, **{f"said.{key}": value for key, value in said.items()}})

    done = pieces.stage("RUC", retrain)
    said = {key: done.weights.pop(f"said.{key}").numpy() for key in ("labels", "probabilities")}
    refined = Clustering(said["labels"], said["probabilities"], n_clusters, "RUC")
    return Chain(base, network.to(runtime.device), refined, Pair.from_state(done, runtime.device), features)


def _state(network: ImageNetwork) -> State:
    weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    return State({"network": network.config}, weights)


def _network(state: State) -> ImageNetwork:
    network = network_from_config(state.config["network"])
    assert isinstance(network, ImageNetwork)
    network.load_state_dict(state.weights)
    return network.eval()


# --- scores ---------------------------------------------------------------------------------------------------


def scores(found: Clustering, truth: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, NMI, ARI and ECE, in %."""
    assert found.probabilities is not None
    right = correct_under(match_clusters(contingency(found.labels, truth)), found.labels, truth)
    confidence = found.probabilities[np.arange(len(truth)), found.labels]
    return {
        "accuracy": 100 * accuracy(found.labels, truth),
        "NMI": 100 * normalized_mutual_information(found.labels, truth),
        "ARI": 100 * adjusted_rand_index(found.labels, truth),
        "ECE": 100 * expected_calibration_error(confidence, right),
    }


def unseen_accuracy(
    model: Model, fitted: Clustering, fitted_truth: NDArray[np.int64], test: Split, runtime: Runtime
) -> float:
    """Accuracy on images that no stage has seen, in %, by what the clusters stand for among the fitted ones."""
    with torch.no_grad():
        parts = torch.split(torch.from_numpy(test.pixels), 1000)
        labels = torch.cat([model(part.to(runtime.device) / 255).argmax(dim=1) for part in parts])
    matching = match_clusters(contingency(fitted.labels, fitted_truth))
    return 100 * float(correct_under(matching, labels.cpu().numpy(), test.labels).mean())


def attack(
    models: dict[str, tuple[Model, Clustering]], data: Split, runtime: Runtime, n_images: int
) -> AttackTable:
    """Each model attacked by its own gradient, on some of the images."""
    drawn = np.random.default_rng(0).permutation(len(data.labels))[:n_images]
    right = {}
    for name, (_, found) in models.items():
        matching = match_clusters(contingency(found.labels, data.labels))
        cluster_of = np.full(int(data.labels.max()) + 1, -1)
        known = matching >= 0
        cluster_of[matching[known]] = np.flatnonzero(known)
        right[name] = torch.from_numpy(cluster_of[data.labels[drawn]]).to(runtime.device)
    images = torch.from_numpy(data.pixels[drawn]).to(runtime.device) / 255
    return attack_models({name: model for name, (model, _) in models.items()}, images, right)


def summed(pair: Pair) -> Model:
    """The pair as one model with a gradient, without what is remembered of single samples."""
    return lambda images: pair.first(images) + pair.second(images)


COLUMNS = (
    "| data | seed | hardware | minutes: embedding, SCAN, self-labelling, RUC | model | accuracy | NMI | ARI | ECE "
    "| unseen | FGSM .1/.3/.5 | BIM .01/.03/.05 |"
)


def rows(
    name: str,
    seed: int,
    chain: Chain,
    train: Split,
    test: Split | None,
    minutes: str,
    n_attacked: int,
    runtime: Runtime,
) -> list[str]:
    """A row of the table for the base and one for RUC; drops are in points of accuracy."""
    models: dict[str, tuple[Model, Clustering]] = {
        "SCAN": (chain.base_network, chain.base),
        "SCAN + RUC": (summed(chain.pair), chain.refined),
    }
    attacked = attack(models, train, runtime, n_attacked)
    made = []
    for which, (model, found) in models.items():
        numbers = scores(found, train.labels)
        unseen = None if test is None else unseen_accuracy(model, found, train.labels, test, runtime)
        drops = {(one.attack, one.epsilon): f"{100 * one.drop[which]:.1f}" for one in attacked.results}
        cells = [
            name,
            str(seed),
            hardware(runtime),
            minutes,
            which,
            *(f"{value:.1f}" for value in numbers.values()),
        ]
        cells.append("–" if unseen is None else f"{unseen:.1f}")
        cells.append(" / ".join(drops["fgsm", epsilon] for epsilon in (0.1, 0.3, 0.5)))
        cells.append(" / ".join(drops["bim", epsilon] for epsilon in (0.01, 0.03, 0.05)))
        made.append(f"| {' | '.join(cells)} |")
    return made


def hardware(runtime: Runtime) -> str:
    if runtime.device.type == "cuda":
        return torch.cuda.get_device_name(runtime.device)
    return f"{torch.get_num_threads()} of {os.cpu_count()} cores, {platform.machine()}"


def append_rows(path: Path, new: list[str]) -> None:
    """Put rows below those of the table with our columns; the table is begun where there is none."""
    lines = path.read_text().splitlines() if path.exists() else []
    if COLUMNS not in lines:
        ruler = "|" + "---|" * (COLUMNS.count("|") - 1)
        lines += [
            "",
            "## The whole chain from raw images",
            "",
            f"`{Path(__file__).name}`: see its first lines.",
            "",
        ]
        lines += [COLUMNS, ruler]
    end = lines.index(COLUMNS)
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    path.write_text("\n".join([*lines[:end], *new, *lines[end:]]) + "\n")


# --- how fast is this machine? ----------------------------------------------------------------------------------


def measure(
    pixels: NDArray[np.uint8], n_clusters: int, plan: Plan, runtime: Runtime, total: float
) -> dict[str, int]:
    """Print seconds an epoch of each stage; returns the numbers of epochs that fill `total` minutes, in proportion."""
    few = pixels[: 16 * plan.embedding.batch_size]
    scale = len(pixels) / len(few)
    taken: dict[str, list[float]] = {}

    def clock(stage: str) -> Callable[..., None]:
        taken[stage] = [time.monotonic()]
        return lambda *arguments: taken[stage].append(time.monotonic())

    short = replace(plan.embedding, n_epochs=4, small_epochs=0.5, neighbor_epochs=0.25)
    embedder = fit_momentum(few, runtime, short, clock("embedding"))
    neighbors = nearest_neighbors(embedder.transform(few, runtime), 100, runtime)
    scan = replace(plan.scan, n_epochs=2, n_label_epochs=2, threshold=0.0)
    arguments = (few, embedder.network, neighbors, n_clusters, plan.embedding.policy, runtime, scan)
    network = fit_on_neighbors(*arguments, on_epoch=clock("SCAN"))
    network = self_label_images(few, network, plan.embedding.policy, runtime, scan, clock("self-labelling"))
    space, base = (
        ImageSpace(few, network.backbone, plan.embedding.policy, runtime),
        predict_images(few, network, runtime),
    )
    repair(space, base, neighbors, replace(plan.ruc, n_epochs=2), runtime, on_epoch=clock("RUC"))
    small, large = np.diff(taken["embedding"])[[1, 3]]
    share = plan.embedding.small_epochs
    seconds = {stage: scale * float(np.diff(moments)[-1]) for stage, moments in taken.items()}
    seconds["embedding"] = scale * float(share * small + (1 - share) * large)
    needed = sum(seconds[stage] * count for stage, count in plan.epochs.items()) / 60
    chosen = {stage: max(1, int(count * total / needed)) for stage, count in plan.epochs.items()}
    for stage, count in plan.epochs.items():
        speed = f"{seconds[stage]:7.2f} s an epoch, {len(pixels) / seconds[stage]:8,.0f} images/s"
        print(f"{stage:15} {speed}; {count} epochs planned, {chosen[stage]} fit")
    if plan.embedding.network == NetworkSettings():
        flops = (
            4 * 1.11e9 * (pixels.shape[-1] / 32) ** 2
        )  # forward, twice that backward, and the teacher's forward
        rate = len(few) * plan.embedding.n_views * flops / large
        print(f"embedding at full side: {rate / 1e12:.0f} TFLOP/s")
    print(f"the plan would take {needed:.1f} minutes; with the numbers that fit, {total:g}")
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="cifar10, cifar20, stl10, or another set that paper_data.py prepared")
    parser.add_argument("--data", type=Path, required=True, help="where NAME/ was prepared")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fit", choices=("train", "all"), default="train")
    parser.add_argument("--narrow", action="store_true")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--total", type=float, default=20.0, help="minutes that --measure fills")
    parser.add_argument("--epochs", type=int, nargs=4, metavar=("EMBEDDING", "SCAN", "LABEL", "RUC"))
    parser.add_argument("--attacked", type=int, default=1000, help="how many images are attacked")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--results", type=Path, default=HERE / "RESULTS.md")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    runtime = Runtime("auto", options.seed)
    pieces = Pieces(options.output, options.minutes)
    train = read_split(options.data / options.name, "train")
    test: Split | None = read_split(options.data / options.name, "test")
    if options.fit == "all" and test is not None:
        train, test = train + test, None
    n_clusters = int(train.labels.max()) + 1
    plan = make_plan(options.name, options.narrow)
    chosen = options.output / "epochs.json"
    if options.measure:
        chosen.write_text(json.dumps(measure(train.pixels, n_clusters, plan, runtime, options.total)))
        return 0
    if options.epochs:
        plan = plan.with_epochs(dict(zip(STAGES, options.epochs, strict=True)))
    elif chosen.exists():
        plan = plan.with_epochs(json.loads(chosen.read_text()))
    (options.output / "plan.json").write_text(json.dumps(asdict(plan), indent=1))
    try:
        chain = run_chain(train.pixels, n_clusters, plan, runtime, pieces)
    except TimeIsUpError as stage:
        print(f"time is up in {stage}: the same command goes on from there")
        return TIME_IS_UP
    near = train.labels[nearest_neighbors(chain.features, 20, runtime).indices]
    votes = np.array([np.bincount(row, minlength=n_clusters).argmax() for row in near])
    print(f"20 nearest neighbours are right for {np.mean(votes == train.labels):.1%} of the fitted images")
    minutes = ", ".join(f"{pieces.load(stage).config['seconds'] / 60:.1f}" for stage in STAGES)
    made = rows(options.name, options.seed, chain, train, test, minutes, options.attacked, runtime)
    print("\n".join([COLUMNS, *made]))
    append_rows(options.results, made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
