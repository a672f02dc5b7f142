"""Checkpoints as SCAN, SimCLR and RUC write them: made here name by name, and computed here layer by layer."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ruc.cluster.checkpoint import cluster_by_checkpoint
from ruc.doors.predict import predict
from ruc.embed import embedder_from_state
from ruc.embed.checkpoint import CheckpointEmbedder
from ruc.embedding import EmbedTask, embed_images
from ruc.errors import InputError, WeightsError
from ruc.evaluation.robustness import _differentiable
from ruc.images.source import find_images
from ruc.networks import ImageNetwork
from ruc.networks.checkpoints import is_checkpoint, load_checkpoint
from ruc.pipeline import Job, choose_space, embed, initial_clustering
from ruc.refine.checkpoint import pair_from_checkpoint
from ruc.refine.spaces import ImageSpace
from ruc.refine.trained import Pair
from ruc.repair import find_neighbors
from ruc.run_folder import Checkpoints, read_model, read_run
from ruc.runtime import Runtime
from ruc.settings import make_settings

RUNTIME = Runtime("cpu", seed=0)
# With 4 channels, channels last, the backward pass of torch 2.13 on a CPU ends in a segmentation fault.
WIDTH = 8
CIFAR10 = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
CIFAR20 = ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

Weights = dict[str, Tensor]


def field_backbone(generator: torch.Generator, width: int = WIDTH) -> Weights:
    """A ResNet-18 with random weights under the names that SCAN's code gives them."""

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    weights: Weights = {}

    def convolution(name: str, n_in: int, n_out: int, side: int) -> None:
        weights[f"{name}.weight"] = random(n_out, n_in, side, side) * (2 / (n_in * side * side)) ** 0.5

    def normalisation(name: str, n: int) -> None:
        weights[f"{name}.weight"] = 1 + 0.2 * random(n)
        weights[f"{name}.bias"] = 0.2 * random(n)
        weights[f"{name}.running_mean"] = 0.2 * random(n)
        weights[f"{name}.running_var"] = 0.5 + torch.rand(n, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", 3, width, 3)
    normalisation("bn1", width)
    before = width
    for stage in range(4):
        channels = width * 2**stage
        for block in range(2):
            name = f"layer{stage + 1}.{block}"
            convolution(f"{name}.conv1", before, channels, 3)
            normalisation(f"{name}.bn1", channels)
            convolution(f"{name}.conv2", channels, channels, 3)
            normalisation(f"{name}.bn2", channels)
            if before != channels:
                convolution(f"{name}.shortcut.0", before, channels, 1)
                normalisation(f"{name}.shortcut.1", channels)
            before = channels
    return {f"backbone.{name}": tensor for name, tensor in weights.items()}


def linear(generator: torch.Generator, name: str, n_in: int, n_out: int, scale: float = 0.3) -> Weights:
    return {
        f"{name}.weight": scale * torch.randn(n_out, n_in, generator=generator),
        f"{name}.bias": scale * torch.randn(n_out, generator=generator),
    }


def scan_state(seed: int = 0, n_clusters: int = 3, n_heads: int = 1, scale: float = 0.3) -> Weights:
    generator = torch.Generator().manual_seed(seed)
    state = field_backbone(generator)
    for head in range(n_heads):
        state |= linear(generator, f"cluster_head.{head}", 8 * WIDTH, n_clusters, scale)
    return state


def simclr_state(head: str = "mlp") -> Weights:
    generator = torch.Generator().manual_seed(1)
    state = field_backbone(generator)
    if head == "linear":
        return state | linear(generator, "contrastive_head", 8 * WIDTH, 6)
    state |= linear(generator, "contrastive_head.0", 8 * WIDTH, 8 * WIDTH)
    return state | linear(generator, "contrastive_head.2", 8 * WIDTH, 6)


def saved(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def parallel(state: Weights) -> Weights:
    return {f"module.{name}": tensor for name, tensor in state.items()}


def by_hand(state: Weights, images: Tensor, mean_std: tuple[tuple[float, ...], ...], stl: bool) -> Tensor:
    """ResNet-18's features, layer by layer (He et al. 2016; the stems as in SCAN's two files)."""

    def convolved(x: Tensor, name: str, stride: int, padding: int) -> Tensor:
        return functional.conv2d(x, state[f"backbone.{name}.weight"], None, stride, padding)

    def normalised(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"backbone.{name}.{key}"].view(1, -1, 1, 1)
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-5).sqrt() * weight + bias

    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in mean_std)
    x = normalised(convolved((images - mean) / std, "conv1", 1, 1), "bn1").clamp_min(0)
    if stl:
        x = functional.max_pool2d(x, kernel_size=2, stride=2, padding=1)
    for stage in range(1, 5):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = normalised(convolved(x, f"{name}.conv1", stride, 1), f"{name}.bn1").clamp_min(0)
            y = normalised(convolved(y, f"{name}.conv2", 1, 1), f"{name}.bn2")
            if stride == 2:
                x = normalised(convolved(x, f"{name}.shortcut.0", 2, 0), f"{name}.shortcut.1")
            x = (y + x).clamp_min(0)
    return functional.avg_pool2d(x, 7, 1).flatten(1) if stl else x.mean(dim=(2, 3))


def through(state: Weights, name: str, features: Tensor) -> Tensor:
    return features @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def pictures(n: int, side: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(5).integers(256, size=(n, channels, side, side)).astype(np.uint8)


def floats(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).float() / 255


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("file", "side", "normalisation"),
    [
        ("scan_cifar-10.pth.tar", 32, CIFAR10),
        ("scan_cifar-20.pth.tar", 32, CIFAR20),
        ("stl-10/scan/model.pth.tar", 96, IMAGENET),
    ],
)
def test_network_computes_what_a_resnet_18_of_the_field_computes(tmp_path, file, side, normalisation) -> None:
    state = scan_state()
    checkpoint = load_checkpoint(saved(tmp_path / file, state))
    images = floats(pictures(3, side))
    with torch.no_grad():
        found = checkpoint.backbone(images)
    assert checkpoint.side == side
    assert_close(found, by_hand(state, images, normalisation, stl=side == 96))
    assert_close(checkpoint.head(found).detach(), through(state, "cluster_head.0", found))


def test_full_width_is_resnet_18(tmp_path) -> None:
    generator = torch.Generator().manual_seed(0)
    state = field_backbone(generator, 64) | linear(generator, "cluster_head.0", 512, 10)
    checkpoint = load_checkpoint(saved(tmp_path / "cifar10.pth", state))
    images = floats(pictures(2, 32))
    with torch.no_grad():
        assert_close(checkpoint.backbone(images), by_hand(state, images, CIFAR10, stl=False))
    assert sum(p.numel() for p in checkpoint.backbone.parameters()) == 11_168_832


@pytest.mark.parametrize("wrap", [dict, parallel])
@pytest.mark.parametrize("new_format", [True, False])
def test_scan_with_its_best_head(tmp_path, wrap, new_format) -> None:
    """As scan.py writes it: the best head is a NumPy number, and old files are no zip archives."""
    state = scan_state(n_heads=3)
    path = tmp_path / "model.pth.tar"
    content = {"model": wrap(state), "head": np.argmin([2.0, 3.0, 1.0]), "best_loss": np.min([1.0, 2.0])}
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.kind, len(checkpoint.heads), checkpoint.best) == ("scan", 3, 2)
    assert torch.equal(checkpoint.head[0].weight, state["cluster_head.2.weight"])


def test_numpy_numbers_of_before_numpy_2(tmp_path) -> None:
    """SCAN's published files name `numpy.core.multiarray`."""
    path = tmp_path / "model.pth.tar"
    torch.save(
        {"model": scan_state(n_heads=2), "head": np.int64(1)}, path, _use_new_zipfile_serialization=False
    )
    content = path.read_bytes()
    new, old = b"cnumpy._core.multiarray\nscalar\n", b"cnumpy.core.multiarray\nscalar\n"
    assert content.count(new) + content.count(old) == 1
    path.write_bytes(content.replace(new, old))
    assert load_checkpoint(path).best == 1


def test_training_state_of_scan_opens_too(tmp_path) -> None:
    moments = {"step": 5, "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}
    optimizer = {"state": {0: moments}, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": [0]}]}
    content = {"optimizer": optimizer, "model": parallel(scan_state(n_heads=2)), "epoch": 3, "best_loss": 1e4}
    assert load_checkpoint(saved(tmp_path / "a.tar", content | {"best_loss_head": None})).best == 0
    assert load_checkpoint(saved(tmp_path / "a.tar", content | {"best_loss_head": np.int64(1)})).best == 1


@pytest.mark.parametrize(
    ("file", "n_clusters", "image_side", "expected"),
    [
        ("a.pth", 10, None, "cifar-10"),
        ("a.pth", 20, None, "cifar-20"),
        ("a.pth", 10, 64, "stl-10"),
        ("a.pth", 10, 63, "cifar-10"),
        ("STL10.pth", 10, 32, "stl-10"),
        ("scan_stl_10.pth", 10, None, "stl-10"),
        ("cifar100_20.pth", 10, None, "cifar-20"),
        ("stl-10/ruc_cifar10.pth", 10, 96, "cifar-10"),
        ("cifar-10/stl10.pth", 10, None, "stl-10"),
    ],
)
def test_the_data_set_is_told_by_path_clusters_and_side(file, n_clusters, image_side, expected) -> None:
    from ruc.networks.checkpoints import _guess_dataset

    assert _guess_dataset(Path(file), n_clusters, image_side) == expected


def test_the_data_set_given_wins(tmp_path) -> None:
    path = saved(tmp_path / "stl10.pth", scan_state())
    assert load_checkpoint(path).side == 96
    assert load_checkpoint(path, dataset="cifar-20").backbone.settings.mean == CIFAR20[0]


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_simclr_embeds_behind_its_projection(tmp_path, head) -> None:
    state = simclr_state(head)
    path = saved(tmp_path / "simclr_cifar10.pth.tar", parallel(state))
    embedder = CheckpointEmbedder.from_checkpoint(load_checkpoint(path))
    pixels = pictures(5, 32)
    features = by_hand(state, floats(pixels), CIFAR10, stl=False)
    if head == "linear":
        expected = through(state, "contrastive_head", features)
    else:
        hidden = through(state, "contrastive_head.0", features).clamp_min(0)
        expected = through(state, "contrastive_head.2", hidden)
    found = embedder.transform(pixels, RUNTIME)
    assert found.shape == (5, 6)
    assert found.dtype == np.float32
    assert_close(torch.from_numpy(found), functional.normalize(expected))


@pytest.mark.parametrize("state", [simclr_state(), simclr_state("linear"), scan_state()])
def test_embedder_comes_back_from_its_state(tmp_path, state) -> None:
    embedder = CheckpointEmbedder.from_checkpoint(load_checkpoint(saved(tmp_path / "a.pth", state)))
    again = embedder_from_state(embedder.state())
    for pixels in (pictures(4, 32), pictures(4, 20), pictures(4, 48, channels=1)):
        features = embedder.transform(pixels, RUNTIME)
        assert np.array_equal(again.transform(pixels, RUNTIME), features)
        assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
        alone = embedder.transform(pixels[1:2], RUNTIME)
        assert alone == pytest.approx(features[1:2], abs=1e-4)


def test_grey_images_are_three_equal_channels(tmp_path) -> None:
    embedder = CheckpointEmbedder.from_checkpoint(load_checkpoint(saved(tmp_path / "a.pth", scan_state())))
    grey = pictures(4, 32, channels=1)
    assert embedder.transform(grey, RUNTIME) == pytest.approx(
        embedder.transform(grey.repeat(3, axis=1), RUNTIME), abs=1e-5
    )


def test_embedder_lets_gradients_through(tmp_path) -> None:
    embedder = CheckpointEmbedder.from_checkpoint(load_checkpoint(saved(tmp_path / "a.pth", simclr_state())))
    pixels = pictures(4, 24)
    images = floats(pixels).requires_grad_(True)
    features = _differentiable(embedder, RUNTIME)(images)
    assert features.detach().numpy() == pytest.approx(embedder.transform(pixels, RUNTIME), abs=1e-4)
    (gradient,) = torch.autograd.grad(features[:, 0].sum(), images)
    assert gradient.abs().sum() > 0


def test_scan_clusters_by_its_best_head(tmp_path) -> None:
    state = scan_state(n_heads=3)
    checkpoint = load_checkpoint(saved(tmp_path / "cifar10.pth", {"model": state, "head": 1}))
    pixels = pictures(9, 32)
    clustering = cluster_by_checkpoint(pixels, checkpoint, None, RUNTIME)
    features = by_hand(state, floats(pixels), CIFAR10, stl=False)
    expected = through(state, "cluster_head.1", features).softmax(dim=1)
    assert_close(torch.from_numpy(clustering.probabilities), expected)
    assert np.array_equal(clustering.labels, expected.argmax(dim=1).numpy())
    assert clustering.n_clusters == 3
    with pytest.raises(InputError, match=r"4 clusters asked of .*which has 3; expected -k 3"):
        cluster_by_checkpoint(pixels, checkpoint, 4, RUNTIME)


@pytest.mark.parametrize("wrap", [dict, parallel])
@pytest.mark.parametrize(("file", "side"), [("ruc_cifar10.t7", 32), ("ruc_stl10.t7", 96)])
def test_ruc_is_a_pair_and_a_base(tmp_path, wrap, file, side) -> None:
    """RUC's code normalises STL-10's images with CIFAR-10's values."""
    states = [scan_state(seed) for seed in (3, 4)]
    path = saved(tmp_path / file, {"net1": wrap(states[0]), "net2": wrap(states[1])})
    checkpoint = load_checkpoint(path)
    assert (checkpoint.kind, checkpoint.side) == ("ruc", side)
    pixels = pictures(3, side)
    logits = [
        through(state, "cluster_head.0", by_hand(state, floats(pixels), CIFAR10, stl=side == 96))
        for state in states
    ]
    pair = pair_from_checkpoint(checkpoint)
    with torch.no_grad():
        assert_close(pair.first(floats(pixels)), logits[0])
    assert_close(pair.logits(floats(pixels)), sum(logits))
    again = Pair.from_state(pair.state(), torch.device("cpu"))
    assert torch.equal(again.logits(floats(pixels)), pair.logits(floats(pixels)))
    clustering = cluster_by_checkpoint(pixels, checkpoint, 3, RUNTIME)
    assert_close(torch.from_numpy(clustering.probabilities), sum(logits).softmax(dim=1))


def test_a_pair_of_ruc_predicts_images(tmp_path) -> None:
    states = {"net1": scan_state(3), "net2": scan_state(4)}
    checkpoint = load_checkpoint(saved(tmp_path / "ruc_cifar10.t7", states))
    pixels = pictures(4, 32)
    pair = pair_from_checkpoint(checkpoint)
    state = pair.state()
    state.config.update(space="image", temperature=1.0, image_size=checkpoint.side)
    model = {"pair": state, "embedder": CheckpointEmbedder.from_checkpoint(checkpoint).state()}
    found = predict(model, find_images(pixels.transpose(0, 2, 3, 1)), RUNTIME)
    assert np.array_equal(found.cluster, pair.logits(floats(pixels)).argmax(dim=1).numpy())


def test_who_is_no_pair_and_no_base_says_so(tmp_path) -> None:
    simclr = load_checkpoint(saved(tmp_path / "simclr.pth", simclr_state()))
    with pytest.raises(WeightsError, match=r"is SIMCLR's; expected a checkpoint of RUC with net1 and net2"):
        pair_from_checkpoint(simclr)
    with pytest.raises(InputError, match="which has no clusters; expected a checkpoint of SCAN or RUC"):
        cluster_by_checkpoint(pictures(2, 32), simclr, None, RUNTIME)


class Malicious:
    """Runs a command when it is unpickled by a careless reader."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("new_format", [True, False])
def test_a_pickle_that_holds_anything_else_is_refused(tmp_path, new_format) -> None:
    path = tmp_path / "model.pth.tar"
    content = {"model": scan_state(), "head": Malicious(tmp_path / "harm")}
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(WeightsError, match=r"holds posix.mkdir|holds nt.mkdir") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "harm").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "harm").exists(), "the file does no harm anyway, so this test shows nothing"


@pytest.mark.parametrize(
    "content", [torch.nn.Linear(2, 2), {"model": scan_state(), "head": np.array([object()])}]
)
def test_modules_and_objects_are_refused(tmp_path, content) -> None:
    with pytest.raises(WeightsError, match="not weights alone, and isn't opened"):
        load_checkpoint(saved(tmp_path / "a.pth", content))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\x80\x02",
        b"\x80\x02X\x01",
        b"\x80\x02(l.",
        b"PK\x03\x04 no archive",
        bytes(range(256)),
    ],
)
def test_files_that_are_no_weights_are_refused(tmp_path, content) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"a\.pth is no file of weights; expected ResNet-18") as error:
        load_checkpoint(tmp_path / "a.pth")
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_cut_short(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"there is no file .*a\.pth"):
        load_checkpoint(tmp_path / "a.pth")
    path = saved(tmp_path / "a.pth", scan_state())
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(WeightsError, match="is no file of weights"):
        load_checkpoint(path)


def without(state: Weights, pattern: str) -> Weights:
    return {name: tensor for name, tensor in state.items() if not re.search(pattern, name)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(3), "holds Tensor"),
        ({0: torch.ones(3)}, "holds dict"),
        ({"model": 3}, "holds no state dict of tensors"),
        ({"epoch": 3}, "holds no state dict of tensors"),
        ({}, r"backbone.conv1.weight is missing, .* and \d+ more; expected ResNet-18"),
        (without(scan_state(), "layer4"), r"backbone.layer4.0.conv1.weight is missing, .* and \d+ more"),
        (without(scan_state(), "bn1.bias$"), r"backbone.bn1.bias is missing, .* and \d+ more"),
        (without(scan_state(), "cluster_head"), r"cluster_head.0.weight is missing, cluster_head.0.bias is"),
        (without(scan_state(n_heads=2), "head.0"), r"cluster_head.0.weight is missing"),
        (without(simclr_state(), "head.2.bias"), r": contrastive_head.2.bias is missing; expected"),
        (scan_state() | {"fc.weight": torch.ones(1)}, r": fc.weight is unknown; expected"),
        (
            scan_state() | {"backbone.conv1.weight": torch.ones(WIDTH, 3, 7, 7)},
            r"backbone.conv1.weight has shape \(8, 3, 7, 7\) instead of \(8, 3, 3, 3\)",
        ),
        (
            scan_state() | {"cluster_head.0.weight": torch.ones(3, 5)},
            r"cluster_head.0.weight has shape \(3, 5\) instead of \(3, 64\)",
        ),
        ({"model": scan_state(), "head": 1}, "its best head is 1; expected a number below 1"),
        ({"model": scan_state(), "head": "x"}, "its best head is 'x'"),
        ({"net1": scan_state(), "net2": scan_state(n_heads=2)}, "cluster_head.1.weight is unknown"),
        (
            {"net1": scan_state(), "net2": scan_state(n_clusters=4)},
            r"weight has shape \(4, 64\) instead of \(3, 64\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, content, message) -> None:
    with pytest.raises(WeightsError, match=message) as error:
        load_checkpoint(saved(tmp_path / "a.pth", content))
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_opening_leaves_the_global_generator_alone(tmp_path) -> None:
    path = saved(tmp_path / "a.pth", scan_state())
    before = torch.random.get_rng_state()
    load_checkpoint(path)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_means_a_checkpoint(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("scan", "weights.odd"):
        Path(name).touch()
    Path("folder.pth").mkdir()
    for name in ("a.pth", "sub/model.pth.tar", "ruc_stl10.t7", "weights.odd"):
        assert is_checkpoint(name)
    for name in ("auto", "scan", "kmeans", "folder.pth", "facebook/dinov2-small", "laion/CLIP-0.5"):
        assert not is_checkpoint(name)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """24 coloured images of 32 pixels, each mostly of one of three colours."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = pictures(24, 32).transpose(0, 2, 3, 1) // 4
    for number in range(24):
        pixels[number, :, :, number % 3] += 190
        Image.fromarray(pixels[number]).save(folder / f"{number:02d}.png")
    return folder


def test_base_and_embedder_start_the_image_space(tmp_path, photos) -> None:
    """The base's network is what RUC retrains, and the embedding is the other checkpoint's, as in the paper."""
    base, own = scan_state(n_clusters=3), simclr_state()
    settings = make_settings(
        {
            "source": str(photos),
            "base": str(saved(tmp_path / "scan.pth.tar", base)),
            "embedder": str(saved(tmp_path / "simclr.pth.tar", own)),
        }
    )
    kept = Checkpoints(tmp_path / "kept")
    job = Job(settings, RUNTIME, find_images(photos), kept)
    embedded = embed(job)
    assert embedded.features.shape == (24, 6)
    assert torch.equal(embedded.backbone.conv1.weight, own["backbone.conv1.weight"])
    neighbors = find_neighbors(embedded.features, settings.refine, RUNTIME)
    first = initial_clustering(settings, embedded, neighbors, RUNTIME, kept)
    again = initial_clustering(settings, embedded, neighbors, RUNTIME, kept)  # from what the first one left
    for found in (first, again):
        logits = through(
            base, "cluster_head.0", by_hand(base, floats(embedded.images.pixels), CIFAR10, stl=False)
        )
        assert np.array_equal(found.clustering.labels, logits.argmax(dim=1).numpy())
        space = choose_space(job, embedded, found, neighbors)
        assert isinstance(space, ImageSpace)
        for network in space.networks(3, RUNTIME):
            assert isinstance(network, ImageNetwork)
            assert torch.equal(network.backbone.conv1.weight, base["backbone.conv1.weight"])
            assert network.config["backbone"]["mean"] == CIFAR10[0]


def test_grey_images_are_what_its_colours_make_of_them(tmp_path) -> None:
    """As many channels as the network has: later images, grey or not, are taken as these were."""
    grey = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    checkpoint = str(saved(tmp_path / "simclr.pth.tar", simclr_state()))
    embedded = embed_images(EmbedTask(find_images(grey), RUNTIME, None, 0.1), [checkpoint])
    assert embedded.images.pixels.shape[1] == embedded.embedder.n_channels == 3


def test_from_the_command_line(tmp_path, photos, capsys) -> None:
    from ruc.cli import main

    def ruc(*arguments: object) -> int:
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            return int(stop.code or 0)
        return 0

    state = scan_state(n_clusters=3, scale=3.0)
    path, run = saved(tmp_path / "scan.pth.tar", {"model": state, "head": np.int64(0)}), tmp_path / "run"
    assert ruc("cluster", photos, "--base", path, "--epochs", 1, "-o", run, "--device", "cpu", "-q") == 0
    found, model = read_run(run), read_model(run)
    assert found.settings["space"] == "image"
    assert found.settings["base"] == found.settings["embedder"] == str(path)
    assert found.settings["image_size"] == 32
    assert found.n_clusters == 3
    assert tuple(model["pair"].config["network"]["backbone"]["mean"]) == CIFAR10[0]
    predicted = predict(model, find_images(photos), RUNTIME)
    assert np.array_equal(predicted.cluster, found.cluster)

    capsys.readouterr()
    assert ruc("cluster", photos, "--base", tmp_path / "no.pth", "-o", tmp_path / "a", "-q") == 1
    assert "there is no file" in capsys.readouterr().err
    assert ruc("cluster", photos, "-k", 4, "--base", path, "-o", tmp_path / "a", "-q") == 1
    assert "expected -k 3" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
