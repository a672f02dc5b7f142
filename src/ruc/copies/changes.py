"""What a copy may look like: turned, mirrored, a window; and what of a picture survives other light and size."""

from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, normalize, unfold

MIDDLE = (
    0.12  # cycles a pixel beyond which the weight falls: far below lies the light, far above the encoding
)
GRAIN = 0.01  # of white: a block whose details vary as little may be noise, and counts half
FLATTEST = 1e-3  # of white: a picture that varies less shows nothing that could be told
# The columns of windows, (n, 6) float32: quarter turns to the left; whether left and right are exchanged then; the
# side of the part that is shown, as a share of the picture's; that part's middle, in [-1, 1]; and radians it is turned.
TURNS, MIRRORED, SCALE, RIGHT, DOWN, ANGLE = range(6)


def turns() -> Tensor:
    """(8, 6) windows: the ways to lay a picture on a table."""
    return torch.tensor([[turn, mirrored, 1.0, 0, 0, 0] for mirrored in (0, 1) for turn in range(4)])


def crops() -> Tensor:
    """(15, 6) windows of nine to seven tenths, in the middle and in the corners; those between are near to one."""
    corners = ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))
    return torch.tensor(
        [[0, 0, s, right * (1 - s), down * (1 - s), 0] for s in (0.9, 0.8, 0.7) for right, down in corners]
    )


def name_of(window: Tensor) -> str:
    """What one window does, for people."""
    words = [f"turned {90 * int(window[TURNS])}°"] if window[TURNS] else []
    words += ["mirrored"] if window[MIRRORED] else []
    words += ["cropped"] if (window[SCALE] - 1).abs() > 0.02 or window[ANGLE].abs() > 0.02 else []
    return ", ".join(words) or "same picture"


def look(pictures: Tensor, windows: Tensor) -> Tensor:
    """(n, side, side) through (n, 6) windows, or one for all; outside a picture its edge goes on."""
    windows = windows.expand(len(pictures), -1)
    quarter = windows[:, TURNS].round() * (torch.pi / 2)
    mirror = 1 - 2 * windows[:, MIRRORED]
    cos, sin = torch.cos(windows[:, ANGLE]), torch.sin(windows[:, ANGLE])
    part = windows[:, SCALE, None, None] * torch.stack(
        [torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1
    )
    inner = torch.cat([part, windows[:, [RIGHT, DOWN], None]], dim=2)
    turn = torch.stack(
        [
            torch.stack([quarter.cos() * mirror, -quarter.sin()], 1),
            torch.stack([quarter.sin() * mirror, quarter.cos()], 1),
        ],
        1,
    )
    grid = affine_grid(turn @ inner, [len(pictures), 1, *pictures.shape[1:]], align_corners=False)
    return grid_sample(pictures[:, None], grid, padding_mode="border", align_corners=False)[:, 0]


def details(pictures: Tensor) -> Tensor:
    """Unit vectors (n, side²) of what is neither light nor grain; zeros where a picture is flat.

    The product of two is the correlation of the pictures in their middle frequencies.
    """
    return _unit(_middle(pictures).flatten(1), pictures)


def sketches(pictures: Tensor) -> Tensor:
    """Unit vectors (n, 256): the same, coarser, to find pairs that may be copies."""
    coarse = avg_pool2d(_middle(pictures)[:, None], pictures.shape[-1] // 16)
    return _unit(coarse.flatten(1), pictures)


def local_agreement(pictures: Tensor, others: Tensor) -> Tensor:
    """(n,) mean correlation of details over the 4 × 4 blocks of two pictures each; blocks without details count less.

    One strong edge, a frame or a shadow, can make the whole of two pictures correlate that have nothing else in
    common. As the structure term of SSIM (Wang et al. 2004), but that flat blocks don't agree: they don't count.
    """
    one, other = (_blocks(_middle(each)) for each in (pictures, others))
    one, other = one - one.mean(dim=1, keepdim=True), other - other.mean(dim=1, keepdim=True)
    variances = one.square().mean(dim=1), other.square().mean(dim=1)
    correlation = (one * other).mean(dim=1) / (variances[0] * variances[1]).sqrt().clamp_min(1e-12)
    strongest = torch.maximum(*variances)
    weight = strongest / (strongest + GRAIN**2)
    return (weight * correlation).sum(dim=1) / weight.sum(dim=1).clamp_min(1e-12)


def _blocks(pictures: Tensor) -> Tensor:
    """(n, side, side) → (n, pixels of a block, 16)."""
    side = pictures.shape[-1] // 4
    return unfold(pictures[:, None], side, stride=side)


def _middle(pictures: Tensor) -> Tensor:
    side = pictures.shape[-1]
    kept: Tensor = torch.fft.irfft2(torch.fft.rfft2(pictures) * _band(side), s=(side, side))
    return kept


def _unit(vectors: Tensor, pictures: Tensor) -> Tensor:
    vectors = vectors - vectors.mean(dim=1, keepdim=True)
    flat = pictures.flatten(1).std(dim=1) < FLATTEST
    return normalize(vectors, dim=1) * ~flat[:, None]


@cache
def _band(side: int) -> Tensor:
    """Weight of each frequency: rising from 0 with it, falling beyond the middle."""
    radius = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None])
    return radius * torch.exp(-((radius / MIDDLE) ** 2))
