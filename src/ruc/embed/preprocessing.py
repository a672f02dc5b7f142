"""What a pretrained network wants done to an image, as its `preprocessor_config.json` says.

It's our own, written from what that file means: the processors of transformers want torchvision, and decode and
normalise one image at a time.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ruc.embed.weights import PREPROCESSOR_FILES, WAY_OUT, first_line
from ruc.errors import WeightsError
from ruc.readers import FAILURES, load_json


@dataclass(frozen=True)
class Preprocessing:
    """What a checkpoint wants done to an image.

    Attributes
    ----------
    resize
        The shorter side in pixels, the proportions kept; or (height, width), the proportions lost.
    crop
        (height, width) of the centre that is kept: the input size of the network.
    resample
        Pillow's filter.
    scale, mean, std
        The network sees (x * scale - mean) / std of pixels x in [0, 1]; mean and std one a channel.
    """

    resize: int | tuple[int, int]
    crop: tuple[int, int]
    resample: Image.Resampling
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Preprocessing":
        """Read the content of a `preprocessor_config.json`; raises `WeightsError` when it asks for other things."""
        _refuse_what_is_left_open(config)
        cropped = config.get("do_center_crop", "crop_size" in config)
        resize = _size(config.get("size", config.get("crop_size", 224)), square=not cropped)
        if cropped:
            crop = _height_width(_size(config.get("crop_size", config.get("size", 224)), square=True))
            # ConvNeXt and others write the resize as a share of the crop instead.
        elif isinstance(resize, int) and "crop_pct" in config and resize < 384:
            crop, resize = (resize, resize), int(resize / config["crop_pct"])
        else:
            crop = _height_width(resize)
        if isinstance(resize, int):
            resize = max(resize, *crop)
        normalized = config.get("do_normalize", "image_mean" in config)
        rescaled = config.get("do_rescale", True)
        if min(crop) < 1 or np.min(resize) < 1:
            raise ValueError(f"it makes images of {crop[0]} x {crop[1]} pixels")
        return cls(
            resize=resize,
            crop=crop,
            resample=Image.Resampling(config.get("resample", Image.Resampling.BICUBIC)),
            scale=255 * float(config.get("rescale_factor", 1 / 255)) if rescaled else 255.0,
            mean=_one_a_channel(config, "image_mean") if normalized else (0.0, 0.0, 0.0),
            std=_one_a_channel(config, "image_std") if normalized else (1.0, 1.0, 1.0),
        )

    @property
    def shorter_side(self) -> int:
        """The least an image may be reduced to before `prepare`."""
        return self.resize if isinstance(self.resize, int) else max(self.resize)

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """Resize and crop one image; (3, height, width) uint8, not yet normalised."""
        image = image.convert("RGB")
        if isinstance(self.resize, int):
            shorter = min(image.size)
            width, height = (int(self.resize * side / shorter) for side in image.size)
        else:
            height, width = self.resize
        top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
        # The cropped box alone is resized, which gives the same pixels as resizing all and cropping.
        x, y = image.width / width, image.height / height
        box = (left * x, top * y, (left + self.crop[1]) * x, (top + self.crop[0]) * y)
        return np.asarray(image.resize(self.crop[::-1], self.resample, box=box)).transpose(2, 0, 1)


def _refuse_what_is_left_open(config: dict[str, Any]) -> None:
    """Raise where the class of the processor, which isn't looked at, would decide what the network sees."""
    if config.get("do_normalize", True) and not ("image_mean" in config and "image_std" in config):
        raise WeightsError(
            "the preprocessor doesn't say by which image_mean and image_std it normalises; expected both in its "
            "configuration, or do_normalize: false"
        )
    if not config.get("do_resize", True):
        raise WeightsError(
            "the preprocessor takes images at the size that they have (do_resize: false); expected one that resizes: "
            "set do_resize and size in its configuration"
        )


def _one_a_channel(config: dict[str, Any], name: str) -> tuple[float, ...]:
    """Three numbers; a standard deviation is none by which nothing can be divided."""
    numbers = tuple(float(number) for number in config[name])
    if len(numbers) != 3 or not np.isfinite(numbers).all() or (name == "image_std" and 0 in numbers):
        raise ValueError(f"{name} is {config[name]}; expected three numbers")
    return numbers


def _size(size: int | dict[str, int], square: bool) -> int | tuple[int, int]:
    """`size` or `crop_size` as they are written in any year; a bare number is a shorter side unless `square`."""
    if isinstance(size, int):
        return (size, size) if square else size
    if "height" in size and "width" in size:
        return size["height"], size["width"]
    if "shortest_edge" in size:
        return size["shortest_edge"]
    raise WeightsError(
        f"the preprocessor asks for the size {size}; expected height and width, or shortest_edge"
    )


def _height_width(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def read_preprocessing(folder: Path, name: str) -> Preprocessing:
    """Of the model in a folder; `name` is what messages call it."""
    for file, key in zip(PREPROCESSOR_FILES, (None, "image_processor"), strict=True):
        if not (folder / file).is_file():
            continue
        try:
            config = load_json(folder / file)
            if key is None or key in config:
                return Preprocessing.from_config(config if key is None else config[key])
        except FAILURES as error:
            raise WeightsError(
                f"the {file} of {name} cannot be used ({first_line(error)}); {WAY_OUT}"
            ) from error
    raise WeightsError(f"{name} has no preprocessor_config.json, which says how to prepare images; {WAY_OUT}")
