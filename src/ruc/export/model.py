"""All that `ruc predict` does after decoding, as one torch module."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ruc.belief.memory import SAME, Memory, sketch
from ruc.belief.predictor import Predictor
from ruc.embed import embedder_from_state, frozen_from_state, is_frozen
from ruc.embed.embedder import Embedder
from ruc.embed.frozen import around
from ruc.embed.maps import cuts_of, load_blocks
from ruc.embed.scaling import Scaling, scalings_of
from ruc.embed.several import KIND, parts_of
from ruc.networks import State
from ruc.runtime import Runtime


class ClusterModel(nn.Module):
    """Images or features in, probabilities of the clusters out.

    Parameters
    ----------
    predictor
        The two networks, what is remembered, and the calibration.
    prepare
        For each input, pixels or features, what makes of it the networks' input; of several embeddings their columns.
    """

    def __init__(self, predictor: Predictor, prepare: Sequence[nn.Module]) -> None:
        super().__init__()
        self.first, self.second = predictor.pair.first, predictor.pair.second
        memory = predictor.memory
        self.memory = None if memory is None or not len(memory.keys) else _Memory(memory)
        self.calibration = predictor.calibration
        self.prepare = nn.ModuleList(prepare)

    def forward(self, *inputs: Tensor) -> Tensor:
        """(n, n_clusters) probabilities."""
        parts = [prepare(each) for prepare, each in zip(self.prepare, inputs, strict=True)]
        ready = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1) / len(parts) ** 0.5
        logits = self.first(ready) + self.second(ready)
        if self.memory is not None:
            logits = self.memory(ready, logits)
        return self.calibration.apply(logits)


class _Memory(nn.Module):
    """`Memory` as a module: by a matrix product in double precision, since ONNX has no `cdist`."""

    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self.keys = nn.Buffer(memory.keys.double())
        self.logits = nn.Buffer(memory.logits.float())

    def forward(self, inputs: Tensor, logits: Tensor) -> Tensor:
        flat = sketch(inputs.double())
        lengths = flat.square().sum(dim=1, keepdim=True)
        distances = lengths + self.keys.square().sum(dim=1) - 2 * flat @ self.keys.T
        nearest = distances.argmin(dim=1)
        is_known = distances.gather(1, nearest.unsqueeze(1)) <= SAME**2 * lengths
        return torch.where(is_known, self.logits[nearest], logits)


class _Pixels(nn.Module):
    """From uint8 pixels to what the pair takes: images in [0, 1], or their features."""

    def __init__(self, embed: nn.Module | None) -> None:
        super().__init__()
        self.embed = embed

    def forward(self, pixels: Tensor) -> Tensor:
        images = pixels.float() / 255.0
        return images if self.embed is None else self.embed(images)


class _Embedding(nn.Module):
    """An embedder as a module."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self.embedder = embedder
        self.parts = nn.ModuleList(embedder.modules)

    def forward(self, images: Tensor) -> Tensor:
        return self.embedder.embed(images)


class _Features(nn.Module):
    """`Scaling` as a module: features of any scale as unit rows."""

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        self.scaling = scaling
        self.center = nn.Buffer(
            torch.zeros(1) if scaling.center is None else torch.from_numpy(scaling.center)
        )

    def forward(self, features: Tensor) -> Tensor:
        rows = features.double() / self.scaling.magnitude
        if self.scaling.center is not None:
            rows = nn.functional.pad((rows - self.center) / self.scaling.spread, (0, 1), value=1.0)
        return nn.functional.normalize(rows, dim=1).float()


class _Around(nn.Module):
    """Features as a frozen embedder sees them, from those that its network makes."""

    def __init__(self, features: nn.Module, center: Tensor | None) -> None:
        super().__init__()
        self.features = features
        self.center: Tensor | None
        self.register_buffer("center", center)

    def forward(self, features: Tensor) -> Tensor:
        return around(self.features(features), self.center)


def cluster_model(model: Mapping[str, State]) -> tuple[ClusterModel, dict[str, Tensor]]:
    """A run's model as one module, and an example of each of its inputs with two rows, by its name.

    A single input is called "pixels" or "features"; of several embeddings each has its own, "pixels_0", "features_1" …
    """
    about = model["pair"].config
    predictor = Predictor.from_state(model["pair"], torch.device("cpu"))
    network = about["network"]
    state = model.get("embedder")
    each: list[tuple[nn.Module, Tensor]]
    if network["kind"] == "last blocks":
        cuts = cuts_of(about)
        first, _ = load_blocks(cuts, Runtime("cpu"))
        each = [(_Pixels(first), _pixels(3, cuts[0].side, cuts[0].side))]
    elif state is None:
        each = [_given(scaling) for scaling in scalings_of(model) or [Scaling(network["n_features"])]]
    elif state.config["kind"] == KIND:
        each = [_embedding(*part) for part in parts_of(state)]
    elif network["kind"] != "image":
        each = [_embedding(state, about.get("image_size"), network["n_features"])]
    else:  # networks of images: the embedder says how many channels these have
        size = int(about["image_size"])
        # As predicted from: networks may make colours of grey themselves.
        each = [(_Pixels(None), _pixels(embedder_from_state(state).n_channels, size, size))]
    prepare, examples = zip(*each, strict=True)
    names = ["pixels" if example.dtype == torch.uint8 else "features" for example in examples]
    if len(names) > 1:
        names = [f"{name}_{number}" for number, name in enumerate(names)]
    return ClusterModel(predictor, prepare).eval(), dict(zip(names, examples, strict=True))


def _given(scaling: Scaling) -> tuple[nn.Module, Tensor]:
    """Features as they are given, to unit rows; and an example of them."""
    generator = torch.Generator().manual_seed(0)
    return _Features(scaling), torch.randn((2, scaling.n_features), generator=generator)


def _embedding(state: State, image_size: int | None, n_features: int) -> tuple[nn.Module, Tensor]:
    """From pixels to features where the embedder can be part of the file, else from features; and an example."""
    if is_frozen(state):
        if state.config["kind"] != "packaged":
            given, example = _given(Scaling(n_features))
            return _Around(given, state.weights.get("center")), example
        frozen = frozen_from_state(state, Runtime("cpu"))
        assert frozen.module is not None
        return _Pixels(frozen.module), _pixels(3, *frozen.preprocessing.crop)
    embedder = embedder_from_state(state)
    assert image_size is not None
    return _Pixels(_Embedding(embedder)), _pixels(embedder.n_channels, image_size, image_size)


def _pixels(n_channels: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, n_channels, height, width), dtype=torch.uint8, generator=generator)
