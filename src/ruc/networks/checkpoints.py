"""Checkpoints of the field: SCAN's, SimCLR's as SCAN trains it, and RUC's own, for the CIFAR and STL-10 networks.

All three are ResNet-18 under `backbone.*`, with the heads `cluster_head.N.*` (SCAN; RUC, twice) or
`contrastive_head.*` (SimCLR). A file doesn't say which data set it is for, although the stem and the
normalisation depend on it and the weights have the same shapes; `load_checkpoint` says how that is told.
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ruc.errors import WeightsError
from ruc.networks.heads import relu_layers
from ruc.networks.resnet import NetworkSettings, ResNet, Stem
from ruc.networks.seeding import seeded_init
from ruc.plain_file import check_plain
from ruc.readers import FAILURES

Kind = Literal["scan", "simclr", "ruc"]
Dataset = Literal["cifar-10", "cifar-20", "stl-10"]

LARGEST_SIDE = 96
SUFFIXES = (".pth", ".pt", ".tar", ".t7", ".bin", ".ckpt")
EXPECTED = "expected ResNet-18 for CIFAR or STL-10 as SCAN, SimCLR or RUC save it"
REMEDY = "give the file that their training wrote"

# What torch.load can raise about a file that is none of its own, or not whole.
LOAD_ERRORS = (*FAILURES, pickle.UnpicklingError, RuntimeError, AssertionError)

# SCAN stores the number of its best head and its best loss as NumPy scalars, which are data, but which torch takes
# only when told. The function that makes them had another name before NumPy 2.
_scalar = np.int64(0).__reduce__()[0]
HARMLESS: list[Any] = [
    (_scalar, "numpy.core.multiarray.scalar"), (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype, type(np.dtype(np.int64)), type(np.dtype(np.float32)), type(np.dtype(np.float64)),
]  # fmt: skip


@dataclass(frozen=True)
class _Recipe:
    """What a data set's networks expect of their input."""

    side: int
    stem: Stem
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CIFAR10 = _Recipe(32, "full", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
CIFAR20 = _Recipe(32, "full", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
STL10 = _Recipe(96, "pooled", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# RUC's code normalises STL-10 with CIFAR-10's values, although it starts from SCAN's network.
STL10_RUC = _Recipe(96, "pooled", CIFAR10.mean, CIFAR10.std)


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint.

    Attributes
    ----------
    path
        The file.
    kind
        "scan", "simclr" or "ruc".
    dataset
        Whose stem, side and normalisation it was read with.
    side
        Of the images that the networks were trained on.
    backbones
        Images (n, 1 or 3, side, side) in [0, 1] to features; two of RUC, else one. They normalise by themselves.
    heads
        Features to logits, or to SimCLR's space. Of RUC one for each backbone, of SCAN all that the file has.
    best
        Which of SCAN's heads had the lowest loss, as the file says; 0 where it doesn't.
    """

    path: Path
    kind: Kind
    dataset: Dataset
    side: int
    backbones: tuple[ResNet, ...]
    heads: tuple[nn.Sequential, ...]
    best: int = 0

    @property
    def backbone(self) -> ResNet:
        """The first backbone: where RUC's networks can start from."""
        return self.backbones[0]

    @property
    def head(self) -> nn.Sequential:
        """The best head."""
        return self.heads[self.best]

    def __str__(self) -> str:
        return f"{self.path}, {self.kind.upper()}'s network for {self.dataset.upper()}, {self.side} pixels"


def is_checkpoint(name: str) -> bool:
    """Whether a setting means a checkpoint: it ends like one, or is an existing file with an ending.

    Not so an exported model (.onnx), which is an embedder of its own.
    """
    path = Path(name)
    return not path.is_dir() and (
        path.suffix in SUFFIXES or (path.suffix not in ("", ".onnx") and path.is_file())
    )


def load_checkpoint(
    path: str | Path, image_side: int | None = None, dataset: Dataset | None = None
) -> Checkpoint:
    """Open a checkpoint of SCAN, SimCLR or RUC; nothing but tensors, numbers and text is ever unpickled.

    The data set is taken from `dataset`; else from the path, where the last "cifar10", "cifar20", "cifar100" or
    "stl10" counts (hyphens and capitals don't matter); else 20 clusters mean CIFAR-20, and images of at
    least 64 pixels STL-10; else it is CIFAR-10.

    Parameters
    ----------
    path
        A file written by `torch.save`: a state dict, SCAN's ``{"model": …, "head": …}``, or RUC's
        ``{"net1": …, "net2": …}``, each possibly with DataParallel's prefix `module.`.
    image_side
        Side of the images that it will be used on.
    dataset
        Whose stem, side and normalisation to read it with.

    Raises
    ------
    WeightsError
        It can't be read, holds other than weights, or other weights than these.
    """
    path = Path(path)
    content = _read(path)
    if "net1" in content and "net2" in content:
        states = [_flat(content["net1"], path), _flat(content["net2"], path)]
        kind: Kind = "ruc"
    else:
        states = [_flat(content.get("model", content), path)]
        kind = "simclr" if any(name.startswith("contrastive_head.") for name in states[0]) else "scan"
    n_clusters = _rows(states[0], "cluster_head.0.weight", 10)
    dataset = dataset or _guess_dataset(path, n_clusters, image_side)
    recipe = _recipe(dataset, kind)
    models = [_build(state, kind, recipe, n_clusters, path) for state in states]
    heads = [head for _, heads in models for head in heads]
    best = _best(content, len(heads), path) if kind == "scan" else 0
    return Checkpoint(
        path, kind, dataset, recipe.side, tuple(backbone for backbone, _ in models), tuple(heads), best
    )


def _read(path: Path) -> Mapping[str, Any]:
    """What the file holds, a mapping with names."""
    try:
        check_plain(path)
        with torch.serialization.safe_globals(HARMLESS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except LOAD_ERRORS as error:
        if not path.exists():
            raise WeightsError(f"there is no file {path}; {EXPECTED}") from error
        if isinstance(error, OSError) and error.strerror:
            raise WeightsError(f"{path} cannot be read ({error.strerror}); {EXPECTED}") from error
        other = re.search(r"GLOBAL ([\w.]+)", str(error))
        holds = f"holds {other[1]}, not weights alone, and isn't opened" if other else "is no file of weights"
        raise WeightsError(f"{path} {holds}; {EXPECTED}: save its state_dict() with torch.save") from error
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise WeightsError(f"{path} holds {type(content).__name__}; {EXPECTED}: {REMEDY}")
    return content


def _flat(state: Any, path: Path) -> dict[str, Tensor]:
    """A state dict under our names: without `module.`, and with `downsample` for `shortcut`."""
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} holds no state dict of tensors; {EXPECTED}: {REMEDY}")
    return {
        str(name).removeprefix("module.").replace(".shortcut.", ".downsample."): tensor
        for name, tensor in state.items()
    }


def _build(
    state: Mapping[str, Tensor], kind: Kind, recipe: _Recipe, n_clusters: int, path: Path
) -> tuple[ResNet, list[nn.Sequential]]:
    """The backbone and the heads that the state dict fits."""
    width = _rows(state, "backbone.conv1.weight", 64)
    settings = NetworkSettings(width=width, stem=recipe.stem, mean=recipe.mean, std=recipe.std)
    with seeded_init(0):  # all of it is overwritten; this keeps the global generator as it was
        backbone = ResNet(settings)
        if kind == "simclr":
            projection = _projection(state, settings.n_features)
            model = nn.ModuleDict({"backbone": backbone, "contrastive_head": projection})
            heads = [projection if isinstance(projection, nn.Sequential) else nn.Sequential(projection)]
        else:
            n_heads = 1 if kind == "ruc" else _n_heads(state)
            linear = [nn.Linear(settings.n_features, n_clusters) for _ in range(n_heads)]
            model = nn.ModuleDict({"backbone": backbone, "cluster_head": nn.ModuleList(linear)})
            heads = [nn.Sequential(layer) for layer in linear]
    _load(model.eval(), state, path)
    return backbone, heads


def _projection(state: Mapping[str, Tensor], n_features: int) -> nn.Module:
    """SimCLR's head in either form: one layer, or two with ReLU between them."""
    if "contrastive_head.weight" in state:
        return nn.Linear(n_features, _rows(state, "contrastive_head.weight", 1))
    return relu_layers([n_features, *(_rows(state, f"contrastive_head.{at}.weight", 1) for at in (0, 2))])


def _load(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Put the tensors into the model, or name the first few that don't fit."""
    expected = model.state_dict()
    wrong = [f"{name} is missing" for name in expected if name not in state]
    wrong += [f"{name} is unknown" for name in state if name not in expected]
    wrong += [
        f"{name} has shape {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WeightsError(f"{path}: {', '.join(wrong[:3])}{more}; {EXPECTED}: {REMEDY}")
    model.load_state_dict(state)


def _rows(state: Mapping[str, Tensor], name: str, default: int) -> int:
    """Length of a weight's first dimension; the default where there is none, to be reported later."""
    tensor = state.get(name)
    return default if tensor is None or tensor.ndim == 0 or len(tensor) == 0 else len(tensor)


def _n_heads(state: Mapping[str, Tensor]) -> int:
    return max(1, len({name.split(".")[1] for name in state if re.match(r"cluster_head\.\d+\.", name)}))


def _best(content: Mapping[str, Any], n_heads: int, path: Path) -> int:
    best = content.get("head", content.get("best_loss_head", 0)) if "model" in content else 0
    best = 0 if best is None else best
    if not isinstance(best, int | np.integer) or not 0 <= best < n_heads:
        raise WeightsError(f"{path}: its best head is {best!r}; expected a number below {n_heads}: {REMEDY}")
    return int(best)


def _recipe(dataset: Dataset, kind: Kind) -> _Recipe:
    if dataset == "stl-10":
        return STL10_RUC if kind == "ruc" else STL10
    return CIFAR20 if dataset == "cifar-20" else CIFAR10


def _guess_dataset(path: Path, n_clusters: int, image_side: int | None) -> Dataset:
    named = re.findall(r"cifar-?100|cifar-?20|cifar-?10|stl-?10", path.as_posix().lower().replace("_", "-"))
    if named:
        name = named[-1].replace("-", "")
        return "stl-10" if name == "stl10" else "cifar-10" if name == "cifar10" else "cifar-20"
    if n_clusters == 20:
        return "cifar-20"
    return "stl-10" if (image_side or 0) >= 64 else "cifar-10"
