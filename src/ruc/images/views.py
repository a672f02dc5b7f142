"""Random views of a batch of images, all images at once.

A view is what augmentation makes of an image. Every function takes float images (n, channels, height,
width) in [0, 1] with one or three channels and returns the same shape; nothing loops over images, and all
chance comes from the generator that is passed in: it is drawn on the CPU, and sent to the images in few pieces.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from ruc.images.colour import LUMA, hue_rotation, per_image
from ruc.images.rand_augment import rand_augment
from ruc.images.warp import KNOTS, warp
from ruc.runtime import to_device

SHARP = 1e-3  # pixels: a blur as small as this leaves every pixel as it is
Range = tuple[float, float]


@dataclass(frozen=True)
class ViewPolicy:
    """How far a random view may be from its image. The defaults change nothing.

    Lengths are shares of the image's side, angles are radians, chances are probabilities.

    Attributes
    ----------
    area
        Range of the area of the window that is shown, as a share of the image; above 1 the image shrinks.
    aspect
        The window's width over height is drawn from [1/aspect, aspect], uniformly in its logarithm.
    wander
        Where the window may lie: 0 in the middle, 1 anywhere within the image.
    shift
        Greatest further displacement of the window in each direction.
    rotation, shear
        Greatest angle, either way, and greatest shear coefficient.
    elastic
        Standard deviation of a smooth random displacement field.
    flip
        Whether half of the views are mirrored. Wrong for digits and text.
    colour_chance
        Chance that brightness, contrast, saturation and hue change.
    brightness, contrast, saturation
        Factors are drawn from [1 - x, 1 + x].
    hue
        Greatest turn of the colour wheel, as a share of a full turn.
    grey_chance
        Chance that colour is dropped.
    blur_chance, blur
        Chance of a Gaussian blur, and the range of its standard deviation in pixels at a side of 32.
    noise
        Greatest standard deviation of Gaussian noise.
    operations, magnitude
        RandAugment in `strong_view`: operations per image, and how far each goes, 0 to 10.
    cutout
        Side of the square that `strong_view` hides.
    """

    area: Range = (1.0, 1.0)
    aspect: float = 1.0
    wander: float = 1.0
    shift: float = 0.0
    rotation: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0
    flip: bool = False
    colour_chance: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey_chance: float = 0.0
    blur_chance: float = 0.0
    blur: Range = (0.3, 1.0)
    noise: float = 0.0
    operations: int = 2
    magnitude: float = 5.0
    cutout: float = 0.5

    @property
    def moves(self) -> bool:
        """Whether any geometric change is possible."""
        still = self.area == (1.0, 1.0) and self.aspect == 1.0
        return not still or any((self.shift, self.rotation, self.shear, self.elastic, self.flip))

    @property
    def recolours(self) -> bool:
        """Whether colours can change."""
        return any((self.brightness, self.contrast, self.saturation, self.hue, self.grey_chance))


PLAIN = ViewPolicy()
# Section 4.1 of the paper: random resized crop, scale 0.2–1, and flip.
PAPER = ViewPolicy(area=(0.2, 1.0), aspect=4 / 3, flip=True)
# For drawn things, where orientation and position carry meaning: digits, letters, symbols.
GENTLE = ViewPolicy(
    area=(0.5, 1.3), aspect=1.2, rotation=0.35, shear=0.3, shift=0.08, elastic=0.03, brightness=0.3, cutout=0.3
)  # fmt: skip
# SimCLR (Chen et al. 2020) for small photographs.
PHOTO = ViewPolicy(
    area=(0.2, 1.0), aspect=4 / 3, flip=True,
    colour_chance=0.8, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, grey_chance=0.2,
)  # fmt: skip

POLICIES: Mapping[str, ViewPolicy] = MappingProxyType(
    {"plain": PLAIN, "paper": PAPER, "gentle": GENTLE, "photo": PHOTO}
)


def to_float(pixels: Tensor) -> Tensor:
    """uint8 pixels as floats in [0, 1]."""
    return pixels.float().div_(255.0)


def random_view(
    images: Tensor, policy: ViewPolicy, generator: torch.Generator, size: int | None = None
) -> Tensor:
    """One random view of each image.

    Returns (n, channels, height, width), or (n, channels, size, size).

    Parameters
    ----------
    images
        (n, 1 or 3, height, width) in [0, 1], on any device.
    generator
        A CPU generator; the same state gives the same views.
    size
        Side of the views; by default they are as large as the images.
    """
    changes = draw_changes(policy, len(images), images.shape[1], generator)
    views = change(images, policy, changes, size)
    if policy.noise > 0:
        noise = torch.randn(views.shape, generator=generator)
        noise *= per_image(_Chance(len(images), generator).uniform(0.0, policy.noise))
        views = (views + to_device(images.device, noise)[0]).clamp_(0.0, 1.0)
    return views


class Changes(NamedTuple):
    """What makes a random view of each of n images, but for the noise."""

    window: Tensor  # (n, 2, 3) affine maps from the view's coordinates to the image's, both in [-1, 1]
    knots: Tensor  # (n, 2, k, k) displacements on a coarse grid; k = 0 without any
    colours: Tensor  # (n, channels, channels) maps of colours
    brightness: Tensor  # (n,) factors
    lift: Tensor  # (n,) how much of an image's mean grey, once brightened, is added for the contrast
    blur: Tensor  # (n,) standard deviations in pixels at a side of 32; 0: none

    def of(self, part: slice) -> "Changes":
        """Those of a part of the images."""
        return Changes(*(each[part] for each in self))


def draw_changes(policy: ViewPolicy, n_images: int, n_channels: int, generator: torch.Generator) -> Changes:
    """Draw on the CPU what makes a random view of each image."""
    chance = _Chance(n_images, generator)
    window = _window(policy, chance) if policy.moves else torch.eye(2, 3).expand(n_images, -1, -1)
    knots = _knots(policy, chance)
    recolouring = _recolouring(policy, n_channels, chance)
    blur = torch.zeros(n_images)
    if policy.blur_chance > 0:
        blur = chance.uniform(*policy.blur)
        blur = blur * chance.event(policy.blur_chance)
    return Changes(window, knots, *recolouring, blur)


def change(images: Tensor, policy: ViewPolicy, changes: Changes, size: int | None = None) -> Tensor:
    """Views of the images with these changes; `policy` is that of which they were drawn, `size` as in `random_view`."""
    shape = images.shape[-2:] if size is None else torch.Size((size, size))
    sent = to_device(images.device, *changes, _luma(images.shape[1]))
    window, knots, colours, brightness, lift, blur, luma = sent
    if policy.moves or shape != images.shape[-2:]:
        images = warp(images, window, knots if policy.elastic > 0 else None, shape)
    if policy.recolours:
        if policy.contrast > 0:
            lift = lift * ((brightness[:, None] * images.mean(dim=(2, 3))) @ luma)
        images = _recolour(images, colours, lift)
    if policy.blur_chance > 0:
        scale = shape[0] / 32
        images = _blur(images, blur * scale, policy.blur[1] * scale)
    return images


def strong_view(images: Tensor, policy: ViewPolicy, generator: torch.Generator) -> Tensor:
    """A random view, then RandAugment, then cutout (section 3.3 of the design; FixMatch's strong view).

    Parameters and shapes are those of `random_view`.
    """
    views = random_view(images, policy, generator)
    views = rand_augment(views, policy.operations, policy.magnitude, generator)
    return cutout(views, policy.cutout, generator)


def cutout(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Hide a square of side `share`, centred anywhere within the image, under the image's mean."""
    if share <= 0:
        return images
    chance = _Chance(len(images), generator)
    down, across = to_device(images.device, chance.uniform(0.0, 1.0), chance.uniform(0.0, 1.0))
    height, width = images.shape[-2:]
    rows = (torch.arange(height, device=images.device) + 0.5) / height
    columns = (torch.arange(width, device=images.device) + 0.5) / width
    near_row = (rows - down[:, None]).abs() < share / 2
    near_column = (columns - across[:, None]).abs() < share / 2
    hidden = near_row[:, None, :, None] & near_column[:, None, None, :]
    return torch.where(hidden, images.mean(dim=(2, 3), keepdim=True), images)


class _Chance:
    """Draws one number per image from a CPU generator."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count = count
        self.generator = generator

    def uniform(self, low: float, high: float) -> Tensor:
        return torch.rand(self.count, generator=self.generator).mul_(high - low).add_(low)

    def symmetric(self, most: float) -> Tensor:
        return self.uniform(-most, most)

    def event(self, probability: float) -> Tensor:
        return self.uniform(0.0, 1.0) < probability

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.count, *shape, generator=self.generator)


# --- geometry ----------------------------------------------------------------------------------------------


def _window(policy: ViewPolicy, chance: _Chance) -> Tensor:
    """(n, 2, 3) affine maps from the view's coordinates to the image's, both in [-1, 1]."""
    side = chance.uniform(*policy.area).sqrt()
    stretch = (chance.symmetric(math.log(policy.aspect)) / 2).exp()
    # A stretched window must not become wider than the image when it could have fitted in.
    width = torch.minimum(side * stretch, side.clamp(min=1.0))
    height = torch.minimum(side / stretch, side.clamp(min=1.0))
    angle, shear = chance.symmetric(policy.rotation), chance.symmetric(policy.shear)
    across = policy.wander * (1 - width) * chance.symmetric(1.0) + 2 * chance.symmetric(policy.shift)
    down = policy.wander * (1 - height) * chance.symmetric(1.0) + 2 * chance.symmetric(policy.shift)
    mirror = torch.where(chance.event(0.5), -1.0, 1.0) if policy.flip else torch.ones_like(side)
    cosine, sine = angle.cos(), angle.sin()
    first = torch.stack([width * cosine * mirror, width * (shear * cosine - sine), across], dim=1)
    second = torch.stack([height * sine * mirror, height * (shear * sine + cosine), down], dim=1)
    return torch.stack([first, second], dim=1)


def _knots(policy: ViewPolicy, chance: _Chance) -> Tensor:
    """(n, 2, k, k) random displacements on a coarse grid."""
    if policy.elastic == 0:
        return torch.empty(chance.count, 2, 0, 0)
    return chance.normal(2, KNOTS, KNOTS) * (2 * policy.elastic)


# --- colour ------------------------------------------------------------------------------------------------


def _recolouring(policy: ViewPolicy, channels: int, chance: _Chance) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness, contrast, saturation, hue and grey, in this order, as one linear map of each image's colours.

    The three are `colours`, `brightness` and `lift` of `Changes`.
    """
    same, brightness, lift = torch.eye(channels), torch.ones(chance.count), torch.zeros(chance.count)
    changed = same.expand(chance.count, -1, -1)
    if not policy.recolours:
        return changed, brightness, lift
    grey = _luma(channels).expand(channels, channels)
    if policy.brightness > 0:
        brightness = 1 + chance.symmetric(policy.brightness)
        changed = changed * _matrix(brightness)
    if policy.contrast > 0:
        factor = 1 + chance.symmetric(policy.contrast)
        changed, lift = changed * _matrix(factor), 1 - factor
    # The lift is a grey, and greys stay greys under what follows.
    if channels == 3 and policy.saturation > 0:
        factor = _matrix(1 + chance.symmetric(policy.saturation))
        changed = factor * changed + (1 - factor) * (grey @ changed)
    if channels == 3 and policy.hue > 0:
        changed = hue_rotation(chance.symmetric(policy.hue)) @ changed
    if policy.colour_chance < 1:
        chosen = chance.event(policy.colour_chance)
        changed, lift = torch.where(_matrix(chosen), changed, same), lift * chosen
    if channels == 3 and policy.grey_chance > 0:
        changed = torch.where(_matrix(chance.event(policy.grey_chance)), grey @ changed, changed)
    return changed, brightness, lift


def _recolour(images: Tensor, colours: Tensor, lift: Tensor) -> Tensor:
    """The images' colours mapped by a matrix each, and lifted by a grey each."""
    if images.shape[1] == 1:
        return (images * colours.unsqueeze(3) + per_image(lift)).clamp_(0.0, 1.0)
    return torch.baddbmm(_matrix(lift), colours, images.flatten(2)).view_as(images).clamp_(0.0, 1.0)


def _blur(images: Tensor, sigma: Tensor, most: float) -> Tensor:
    """Gaussian blur with a standard deviation (in pixels) for each image, cut off at twice the largest, 2 at least."""
    radius = max(2, math.ceil(2 * most))
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    taps = torch.exp(-0.5 * (offsets / sigma.clamp_min(SHARP)[:, None]) ** 2)
    taps = taps / taps.sum(dim=1, keepdim=True)
    for dim in (2, 3):
        length = images.shape[dim]
        places = torch.arange(length, device=images.device)
        blurred = torch.zeros_like(images)
        for number, offset in enumerate(range(-radius, radius + 1)):
            shifted = images.index_select(dim, (places + offset).clamp(0, length - 1))
            blurred += per_image(taps[:, number]) * shifted
        images = blurred
    return images


def _luma(channels: int) -> Tensor:
    """(channels,) what each channel adds to the grey of an image."""
    return torch.tensor(LUMA if channels == 3 else (1.0,))


def _matrix(values: Tensor) -> Tensor:
    return values[:, None, None]
