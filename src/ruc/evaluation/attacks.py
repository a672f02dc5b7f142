"""Adversarial attacks: how much accuracy is lost when each pixel may move by ε (section 4.4 of the paper).

ε is measured in pixels scaled to [0, 1], before any normalisation, and attacked images stay in [0, 1]. The paper
doesn't say in which scale its ε are, and its public code, which feeds normalised images, holds no attack; in
normalised pixels the same ε would be about a quarter as strong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from ruc.errors import InputError, UsageError

Model = Callable[[Tensor], Tensor]
Attack = Callable[[Model, Tensor, Tensor, float], Tensor]
INPUT_SCALE: Final = (
    "ε is of pixels in [0, 1], before any normalisation (L∞); each model is attacked by its own gradient"
)
EPSILONS: Final[dict[str, tuple[float, ...]]] = {
    "fgsm": (0.1, 0.2, 0.3, 0.4, 0.5),
    "bim": (0.01, 0.02, 0.03, 0.04, 0.05),
}


@dataclass(frozen=True)
class AttackResult:
    """Accuracy of each model, by name, under one attack of one strength, and what it lost, in [0, 1]."""

    attack: str
    epsilon: float
    accuracy: dict[str, float]
    drop: dict[str, float]


@dataclass(frozen=True)
class AttackTable:
    """Accuracy of each model without attack, and under each.

    Attributes
    ----------
    n_images
        How many images were attacked.
    clean_accuracy
        Of each model, by name, on the images as they are.
    results
        One for each attack and strength.
    scale
        What ε means.
    base
        What the model of the base is, in words.
    """

    n_images: int
    clean_accuracy: dict[str, float]
    results: tuple[AttackResult, ...]
    scale: str = INPUT_SCALE
    base: str = ""

    def rows(self) -> list[tuple[str, ...]]:
        """Rows for a table, as text: a header, then accuracy and drop in points for each attack."""
        names = list(self.clean_accuracy)
        rows: list[tuple[str, ...]] = [("attack", "ε", *names, *(f"{name} drop" for name in names))]
        rows.append(
            (
                "none",
                "0",
                *(f"{100 * self.clean_accuracy[name]:.1f}" for name in names),
                *("–" for _ in names),
            )
        )
        rows.extend(
            (
                one.attack.upper(),
                f"{one.epsilon:g}",
                *(f"{100 * one.accuracy[name]:.1f}" for name in names),
                *(f"{100 * one.drop[name]:.1f}" for name in names),
            )
            for one in self.results
        )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, for metrics.json."""
        return asdict(self)


def fgsm(model: Model, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """Move every pixel by ε in the direction that raises the loss (Goodfellow et al. 2015, fast gradient sign).

    Returns attacked images, in [0, 1].

    Parameters
    ----------
    model
        Images (n, channels, height, width) in [0, 1] to logits (n, n_clusters), differentiable.
    labels
        (n,) int64 the right cluster of each.
    """
    return _step(model, images, labels, epsilon).clamp(0, 1)


def bim(
    model: Model,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    n_steps: int = 10,
    relative_step: float = 0.2,
) -> Tensor:
    """Take `n_steps` small steps, never further than ε from the image (Kurakin et al. 2017, basic iterative method).

    `model`, `images`, `labels`, `epsilon`: see `fgsm`. `relative_step`: length of a step as a share of ε.
    """
    attacked = images
    for _ in range(n_steps):
        attacked = _step(model, attacked, labels, relative_step * epsilon)
        attacked = torch.clamp(attacked, images - epsilon, images + epsilon).clamp(0, 1)
    return attacked


ATTACKS: Final[dict[str, Attack]] = {"fgsm": fgsm, "bim": bim}


def attack_models(
    models: Mapping[str, Model],
    images: Tensor,
    labels: Mapping[str, Tensor],
    attacks: tuple[str, ...] = ("fgsm", "bim"),
    batch_size: int = 250,
    advance: Callable[[int], None] | None = None,
) -> AttackTable:
    """Attack each model by its own gradient at the strengths of the paper's figure.

    Parameters
    ----------
    models
        Name, such as "base" and "refined", to model; in evaluation mode.
    images
        (n, channels, height, width) in [0, 1].
    labels
        Name to (n,) int64: the cluster of that model that stands for each image's true class; -1 where none does:
        the image is wrong whatever is done.
    attacks
        Of `EPSILONS`.
    advance
        Told the number of images after each batch of each attack, for progress.

    Raises
    ------
    InputError
        An attack that isn't known, or no image.
    """
    check_attacks(attacks)
    if len(images) == 0:
        raise InputError("no image to attack; expected at least one with a known truth")
    clean = {name: _accuracy(model, images, labels[name], batch_size) for name, model in models.items()}
    results = []
    for attack in attacks:
        for epsilon in EPSILONS[attack]:
            accuracy = {
                name: _accuracy(model, images, labels[name], batch_size, ATTACKS[attack], epsilon, advance)
                for name, model in models.items()
            }
            drop = {name: clean[name] - accuracy[name] for name in models}
            results.append(AttackResult(attack, epsilon, accuracy, drop))
    return AttackTable(len(images), clean, tuple(results))


def check_attacks(attacks: Sequence[str]) -> None:
    """Raise `InputError` where none is named, or one that isn't known."""
    unknown = [attack for attack in attacks if attack not in ATTACKS]
    if unknown or not attacks:
        raise UsageError(f"attack {(unknown or ['(none)'])[0]!r} given; expected {' or '.join(ATTACKS)}")


def _step(model: Model, images: Tensor, labels: Tensor, length: float) -> Tensor:
    """One step of the given length per pixel up the gradient of the cross-entropy."""
    with torch.enable_grad():
        inputs = images.detach().clone().requires_grad_(True)
        loss = nn.functional.cross_entropy(model(inputs), labels.clamp_min(0), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, inputs)
    return images + length * gradient.sign()


def _accuracy(
    model: Model,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    attack: Attack | None = None,
    epsilon: float = 0.0,
    advance: Callable[[int], None] | None = None,
) -> float:
    n_right = 0
    for batch, right in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True):
        seen = batch if attack is None else attack(model, batch, right, epsilon)
        with torch.no_grad():
            n_right += int((model(seen).argmax(dim=1) == right).sum())
        if advance is not None:
            advance(len(batch))
    return n_right / len(images)
