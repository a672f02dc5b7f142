"""All that `ruc predict` does after decoding, as one torch module."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ruc.belief.memory import SAME, Memory, sketch
from ruc.belief.predictor import Predictor
from ruc.embed import embedder_from_state, frozen_from_state, is_frozen
from ruc.embed.embedder import Embedder
from ruc.embed.scaling import Scaling
from ruc.networks import State
from ruc.runtime import Runtime


class ClusterModel(nn.Module):
    """Images or features in, probabilities of the clusters out.

    Parameters
    ----------
    predictor
        The two networks, what is remembered, and the calibration.
    prepare
        Pixels or features as they are given to the networks' input.
    """

    def __init__(self, predictor: Predictor, prepare: nn.Module) -> None:
        super().__init__()
        self.first, self.second = predictor.pair.first, predictor.pair.second
        memory = predictor.memory
        self.memory = None if memory is None or not len(memory.keys) else _Memory(memory)
        self.calibration = predictor.calibration
        self.prepare = prepare

    def forward(self, inputs: Tensor) -> Tensor:
        """(n, n_clusters) probabilities."""
        ready = self.prepare(inputs)
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


def cluster_model(model: Mapping[str, State]) -> tuple[ClusterModel, Tensor]:
    """A run's model as one module, and an example of its input with two rows."""
    about = model["pair"].config
    predictor = Predictor.from_state(model["pair"], torch.device("cpu"))
    network = about["network"]
    generator = torch.Generator().manual_seed(0)
    if "embedder" not in model or model["embedder"].config["kind"] == "pretrained":
        scaling = (
            Scaling.from_state(model["scaling"]) if "scaling" in model else Scaling(network["n_features"])
        )
        example = torch.randn((2, scaling.n_features), generator=generator)
        return ClusterModel(predictor, _Features(scaling)).eval(), example
    if is_frozen(model["embedder"]):
        frozen = frozen_from_state(model["embedder"], Runtime("cpu"))
        assert frozen.module is not None
        shape = (2, 3, *frozen.preprocessing.crop)
        embed: nn.Module = _Pixels(frozen.module)
    else:
        size = int(about["image_size"])
        embedder = embedder_from_state(model["embedder"])
        # As predicted from: networks may make colours of grey themselves.
        shape = (2, embedder.n_channels, size, size)
        embed = _Pixels(None if network["kind"] == "image" else _Embedding(embedder))
    example = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    return ClusterModel(predictor, embed).eval(), example
