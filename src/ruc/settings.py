"""The settings of a run: checked, resolved, and written to `config.yaml`."""

import logging
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from numbers import Integral
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ruc.declared import Share, not_allowed
from ruc.errors import InputError, UnreadableFileError, UsageError, shown
from ruc.images.reading import MOST_MEGAPIXELS, Page
from ruc.readers import load_yaml
from ruc.refine.settings import RefineSettings
from ruc.side_by_side import split_names

logger = logging.getLogger(__name__)

PROVENANCE = "made_with"
LARGEST = 10**9
DIGITS = re.compile(r"\d{1,9}")
CLUSTERS = "expected a whole number of 2 to 999,999,999, 'auto' or a range such as 5:50"


class Settings(BaseModel):
    """Every setting of `ruc cluster` and `ruc refine`, as they stand in `config.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str | None = Field(
        None,
        description="Folder of images, or a CSV/Parquet table with `file_name`; none of an array or a list.",
    )
    features: str | list[str] | None = Field(
        None,
        description="A .npy of (n_samples, n_features) instead of images; or several, of the same samples.",
    )
    labels: str | None = Field(
        None, description="Labels to start from: CSV or Parquet of file_name,label, or .npy."
    )
    probabilities: str | None = Field(
        None, description="Their probabilities, a .npy of (n_samples, n_clusters)."
    )
    output: str = Field("ruc_run", description="The run folder.")
    n_clusters: int | str = Field("auto", description="A number, 'auto', or a range such as '5:50'.")
    embedder: str | list[str] = Field(
        "auto",
        description="auto, lite0, lite1, lite2, scratch, contrastive, momentum, pixels, a Hugging Face id, a folder, "
        "an exported model.onnx or a checkpoint; or several, as a list or joined by +.",
    )
    image_size: Annotated[int, Field(ge=8, le=1024)] | None = Field(
        None, description="Side in pixels when networks learn from images."
    )
    base: str = Field("auto", description="The base clustering.")
    space: Literal["auto", "feature", "image"] = Field(
        "auto", description="What RUC retrains: heads, or networks."
    )
    refine: RefineSettings = Field(default_factory=RefineSettings, description="RUC's own constants.")
    fit_on: Annotated[int, Field(ge=100)] | None = Field(
        None, description="Cluster so many samples of the features, drawn evenly; `ruc predict` places all."
    )
    review: Share = Field(0.05, description="Share of the images that review.csv lists.")
    excel_safe: bool = Field(
        False, description="Whether text in CSV that a spreadsheet would compute is quoted: '=1+1.png."
    )
    max_skipped: Share = Field(0.10, description="Largest share of unreadable images to accept.")
    page: Page = Field("first", description="Of files with several pages or slices: first, middle or max.")
    max_megapixels: float = Field(MOST_MEGAPIXELS, gt=0, description="Larger images are skipped.")
    value_range: dict[str, tuple[float, float]] | None = Field(
        None,
        description="What is black and white for each kind of values beyond 8 bits; found from the files.",
    )
    seed: int = Field(0, ge=0, description="Seed of all randomness.")
    device: str = Field("auto", description="auto, cpu, cuda, mps.")

    @property
    def embedders(self) -> tuple[str, ...]:
        """The embedders, one or several."""
        return (self.embedder,) if isinstance(self.embedder, str) else tuple(self.embedder)

    @property
    def feature_files(self) -> tuple[Path, ...]:
        """The files of features, none, one or several."""
        given = self.features or []
        return tuple(Path(path) for path in ([given] if isinstance(given, str) else given))

    @field_validator("source", "labels", "probabilities", "output", "base", "features", "embedder")
    @classmethod
    def _can_be_a_path(cls, value: Any) -> Any:
        for text in [value] if isinstance(value, str) else value or []:
            try:
                is_possible = b"\0" not in os.fsencode(text)
            except UnicodeEncodeError:
                is_possible = False
            if not is_possible:
                raise ValueError(f"{text!r} given, and no file can be called so; expected another")
        return value

    @field_validator("embedder", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        names = split_names(value) if isinstance(value, str) else value
        if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names) or not names:
            raise ValueError(f"{value!r} given, expected a name such as lite0, or several: lite0+lite2")
        if "auto" in names and len(names) > 1:
            raise ValueError(f"{value!r} given, expected names of embedders; auto stands alone")
        return names[0] if len(names) == 1 else list(names)

    @field_validator("features", mode="after")
    @classmethod
    def _none_one_or_several(cls, value: str | list[str] | None) -> str | list[str] | None:
        return value if not isinstance(value, list) or len(value) > 1 else (value[0] if value else None)

    @field_validator("n_clusters")
    @classmethod
    def _known_number(cls, value: int | str) -> int | str:
        value = cluster_number(value)
        if isinstance(value, int) and value < 2:
            raise ValueError(f"{value} given, expected at least 2 clusters: give -k 2 or more, or -k auto")
        return value

    @field_validator("refine", mode="before")
    @classmethod
    def _from_preset(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        constants = dict(value)
        preset = constants.pop("preset", "default")
        if preset not in ("default", "paper"):
            raise ValueError(f"preset {preset!r} given, expected 'default' or 'paper'")
        unknown = [name for name in constants if name not in {field.name for field in fields(RefineSettings)}]
        if unknown:
            known = ", ".join(field.name for field in fields(RefineSettings))
            raise ValueError(f"{unknown[0]!r} is no constant of RUC, expected one of {known}")
        return RefineSettings.paper(**constants) if preset == "paper" else RefineSettings(**constants)

    def as_yaml_dict(self) -> dict[str, Any]:
        """Plain values that YAML and JSON can hold."""
        return self.model_dump(mode="json")

    def with_absolute_paths(self) -> dict[str, Any]:
        """The same, with paths that hold from wherever the run is read or repeated later."""
        given = self.model_dump(include={"source", "labels", "probabilities"}, exclude_none=True)
        paths: dict[str, Any] = {name: str(Path(path).resolve()) for name, path in given.items()}
        features = [str(path.resolve()) for path in self.feature_files]
        if features:
            paths["features"] = features if len(features) > 1 else features[0]
        return self.as_yaml_dict() | paths


def cluster_number(value: object) -> int | str:
    """A number of clusters, in digits too, or "auto" or a range as they are; raises `ValueError` for anything else."""
    if isinstance(value, Integral) and not isinstance(value, bool) and value < LARGEST:
        return int(value)
    if isinstance(value, str):
        if DIGITS.fullmatch(value):
            return int(value)
        if value == "auto" or cluster_range(value):
            return value
    raise ValueError(f"{shown(value)} given, {CLUSTERS}")


def cluster_range(text: str) -> tuple[int, int]:
    """Read "5:50" as (5, 50).

    Raises
    ------
    ValueError
        It isn't two whole numbers, the first at least 2 and no larger than the second.
    """
    low, _, high = text.partition(":")
    if DIGITS.fullmatch(low) and DIGITS.fullmatch(high) and 2 <= int(low) <= int(high):
        return int(low), int(high)
    raise ValueError(f"{shown(text)} given, {CLUSTERS}")


def make_settings(given: Mapping[str, Any], config: Path | None = None) -> Settings:
    """Put the command line's settings over those of a YAML file, and check them all.

    A preset, or another space than the file's, replaces all of the file's refine: a run's `config.yaml` holds every
    constant, those too that its preset or its space had chosen.

    Raises
    ------
    InputError
        A setting is unknown or has a value that it cannot have.
    """
    merged = load_config(config) if config else {}
    has_other_space = "space" in given and merged.get("space", "auto") not in ("auto", given["space"])
    if has_other_space and merged.pop("refine", None):
        logger.warning(
            "%s: its constants are those of --space %s; left out, --set sets others", config, merged["space"]
        )
    for name, value in given.items():
        both_nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        of_file = merged[name] if both_nested and "preset" not in value else {}
        merged[name] = {**of_file, **value} if isinstance(value, Mapping) else value
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(_one_line(where, first)) from error


def _one_line(where: str, error: Any) -> str:
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = ", ".join(Settings.model_fields)
        return f"{where} is no setting; expected one of {known} (refine's constants stand under refine)"
    field = Settings.model_fields.get(str(error["loc"][0])) if error["loc"] else None
    if field is None or error["type"] == "value_error":
        return f"{where + ': ' if where else ''}{str(error['msg']).removeprefix('Value error, ')}"
    kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return not_allowed(str(error["loc"][0]), error["input"], kind)


def load_config(path: Path) -> dict[str, Any]:
    """Read settings from YAML, be it written by hand or the `config.yaml` of a run.

    Raises
    ------
    InputError
        There is no such file, or it isn't a mapping of settings.
    """
    try:
        content = load_yaml(path)
    except UnreadableFileError as error:
        raise InputError(f"{error}; expected `name: value` lines") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__}; expected `name: value` lines")
    content.pop(PROVENANCE, None)
    return content


def provenance(device: str) -> dict[str, Any]:
    """What made a run: versions and device, for `config.yaml`."""
    from importlib.metadata import version

    packages = ("ruc", "torch", "numpy", "scipy", "scikit-learn", "pillow", "transformers")
    return {
        PROVENANCE: {
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "device": device,
            **{name: version(name) for name in packages},
        }
    }
