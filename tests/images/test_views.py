"""Views: identity, reproducibility, geometry worked by hand, colours one step after the other."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from levels import generator, levels

from ruc.images import views
from ruc.images.colour import hue_rotation
from ruc.images.views import POLICIES, ViewPolicy, cutout, random_view, strong_view


def test_plain_policy_returns_the_images_unchanged() -> None:
    images = levels()
    assert torch.equal(random_view(images, POLICIES["plain"], generator()), images)


@pytest.mark.parametrize("name", list(POLICIES))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("view", [random_view, strong_view])
def test_views_keep_shape_and_range_and_repeat_with_the_seed(view, channels, name) -> None:
    images = levels(channels=channels)
    before = images.clone()
    once = view(images, POLICIES[name], generator(3))
    again = view(images, POLICIES[name], generator(3))
    assert once.shape == images.shape
    assert once.min() >= 0
    assert once.max() <= 1
    assert torch.equal(once, again)
    assert torch.equal(images, before), "the images themselves were written to"
    if name != "plain" or view is strong_view:
        assert not torch.equal(once, view(images, POLICIES[name], generator(4)))


@pytest.mark.parametrize("name", list(POLICIES))
@pytest.mark.parametrize("view", [random_view, strong_view])
def test_no_image_has_no_view(view, name) -> None:
    assert view(levels(0), POLICIES[name], generator()).shape == (0, 3, 16, 16)


def test_views_differ_between_images_of_a_batch() -> None:
    images = levels(1).repeat(8, 1, 1, 1)
    seen = random_view(images, POLICIES["gentle"], generator())
    for i in range(8):
        for j in range(i):
            assert not torch.equal(seen[i], seen[j])


def test_flip_alone_mirrors_about_half_of_the_images_and_nothing_else() -> None:
    images = levels(200, 1, 5)
    seen = random_view(images, ViewPolicy(flip=True), generator())
    mirrored = torch.tensor(
        [torch.allclose(a, b.flip(-1), atol=1e-5) for a, b in zip(seen, images, strict=True)]
    )
    same = torch.tensor([torch.allclose(a, b, atol=1e-5) for a, b in zip(seen, images, strict=True)])
    assert bool((mirrored ^ same).all())
    assert 70 < int(mirrored.sum()) < 130


def test_a_policy_without_flip_never_mirrors() -> None:
    # A ramp from dark on the left to bright on the right stays one under every gentle view.
    ramp = torch.linspace(0, 1, 28).expand(100, 1, 28, 28)
    policy = replace(POLICIES["gentle"], rotation=0.0, shear=0.0, elastic=0.0)
    seen = random_view(ramp, policy, generator())
    assert bool((seen[..., -1].mean(dim=(1, 2)) > seen[..., 0].mean(dim=(1, 2))).all())


def test_a_quarter_window_in_the_middle_shows_the_middle_twice_as_large() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[:, :, 2:6, 2:6] = torch.rand(4, 4, generator=generator())
    seen = random_view(images, ViewPolicy(area=(0.25, 0.25), wander=0.0), generator())
    # Each pixel of the 4 × 4 middle becomes 2 × 2; bilinear weights 3/4 and 1/4 in each direction.
    expected = 0.75**2 * images[0, 0, 3, 3] + 0.75 * 0.25 * (images[0, 0, 2, 3] + images[0, 0, 3, 2])
    expected = expected + 0.25**2 * images[0, 0, 2, 2]
    assert torch.allclose(seen[0, 0, 2, 2], expected, atol=1e-5)


def test_windows_stay_within_the_image() -> None:
    # Coordinates as colours: what a view shows tells where it looked.
    ramp = (torch.arange(32.0) + 0.5).expand(500, 1, 32, 32) / 32
    seen = random_view(ramp, ViewPolicy(area=(0.2, 0.6), aspect=4 / 3), generator())
    widths = (seen[:, 0, 0, -1] - seen[:, 0, 0, 0]) * 32 / 31
    assert widths.min() > math.sqrt(0.2 * 3 / 4) - 0.01
    assert widths.max() < math.sqrt(0.6 * 4 / 3) + 0.01
    # Were a window to leave the image, the border would be repeated and neighbouring columns be equal.
    assert bool((seen[:, 0, 0].diff(dim=1) > 1e-4).all())
    assert seen[:, 0, 0, 0].min() < 0.05
    assert seen[:, 0, 0, -1].max() > 0.95


def test_rotation_by_a_right_angle_equals_rot90(monkeypatch) -> None:
    images = levels(2, 1, 7)
    monkeypatch.setattr(views._Chance, "symmetric", lambda self, most: torch.full((self.count,), most))
    seen = random_view(images, ViewPolicy(rotation=math.pi / 2), generator())
    assert torch.allclose(seen, torch.rot90(images, 1, (2, 3)), atol=1e-4)


def test_size_gives_views_of_that_side() -> None:
    assert random_view(levels(), POLICIES["gentle"], generator(), size=11).shape == (6, 3, 11, 11)


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_change_as_one_step_after_the_other_would(channels, monkeypatch) -> None:
    images = levels(3, channels) * 0.2 + 0.4  # so that nothing has to be cut off
    monkeypatch.setattr(views._Chance, "symmetric", lambda self, most: most * torch.tensor([-0.5, 0.0, 1.0]))
    monkeypatch.setattr(views._Chance, "event", lambda self, chance: torch.tensor([False, True, True]))
    policy = ViewPolicy(brightness=0.2, contrast=0.3, saturation=0.4, hue=0.05, colour_chance=0.8)
    seen = random_view(images, policy, generator())
    faded = random_view(images, replace(policy, grey_chance=0.5), generator())

    def luma(image):
        red, green, blue = image
        return (0.299 * red + 0.587 * green + 0.114 * blue).expand(3, -1, -1)

    for image, result, grey, share in zip(images, seen, faded, (None, 0.0, 1.0), strict=True):
        expected = image
        if share is not None:
            expected = expected * (1 + 0.2 * share)
            mean = (luma(expected) if channels == 3 else expected).mean()
            expected = mean + (expected - mean) * (1 + 0.3 * share)
            if channels == 3:
                expected = luma(expected) + (expected - luma(expected)) * (1 + 0.4 * share)
                rotation = hue_rotation(torch.tensor([0.05 * share]))[0]
                expected = (rotation @ expected.flatten(1)).view_as(expected)
        assert torch.allclose(result, expected, atol=1e-5)
        if channels == 3 and share is not None:
            assert torch.allclose(grey, luma(expected), atol=1e-5)


def test_blur_equals_a_gaussian_convolution_of_each_image() -> None:
    from scipy.ndimage import gaussian_filter1d

    images, sigma = levels(3, 1), torch.tensor([0.3, 0.7, 1.0])
    seen = views._blur(images, sigma, 1.0)
    for image, blurred, s in zip(images[:, 0].numpy(), seen[:, 0].numpy(), sigma.tolist(), strict=True):
        once = gaussian_filter1d(image, s, axis=0, mode="nearest", radius=2)
        assert np.allclose(gaussian_filter1d(once, s, axis=1, mode="nearest", radius=2), blurred, atol=1e-5)


def test_blur_leaves_those_as_they_are_that_were_not_drawn() -> None:
    images = levels(200, 1, 8)
    seen = random_view(images, ViewPolicy(blur_chance=0.5, blur=(2.0, 4.0)), generator())
    same = (seen == images).flatten(1).all(dim=1)
    assert 70 < int(same.sum()) < 130


def test_changes_of_a_part_make_the_views_of_that_part() -> None:
    images, policy = levels(9), replace(POLICIES["photo"], elastic=0.03, blur_chance=0.5)
    whole = random_view(images, policy, generator(), size=12)
    changes = views.draw_changes(policy, 9, 3, generator())
    for part in (slice(0, 4), slice(4, 9)):
        torch.testing.assert_close(views.change(images[part], policy, changes.of(part), 12), whole[part])


def test_cutout_hides_a_square_of_its_share() -> None:
    images = torch.rand(300, 3, 20, 20, generator=generator())
    seen = cutout(images, 0.4, generator())
    hidden = (seen != images).any(dim=1)
    area = hidden.sum(dim=(1, 2))
    assert area.max() == 64, "a square of 8 × 8 lies within some images"
    assert area.min() >= 9, "a square is cut off by the border, never by more than a half on each side"
    filled = seen[hidden.unsqueeze(1).expand_as(seen)]
    means = images.mean(dim=(2, 3), keepdim=True).expand_as(images)[hidden.unsqueeze(1).expand_as(seen)]
    assert torch.allclose(filled, means)
    assert torch.equal(cutout(images, 0.0, generator()), images)
