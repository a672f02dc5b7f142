"""Commands that make runs, use them and measure them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ruc.commands.options import (
    Base,
    CacheFolder,
    Clusters,
    Config,
    Device,
    Embedder,
    Epochs,
    ExcelSafe,
    Features,
    FitOn,
    Json,
    MaxMegapixels,
    MaxSkipped,
    Open,
    Output,
    Overwrite,
    PageOption,
    Preset,
    Quiet,
    Ray,
    Replace,
    Review,
    Seed,
    Selection,
    Set,
    Size,
    Space,
    constants_of,
    given_of,
    share_of,
)
from ruc.commands.terminal import print_edited, print_json, print_table, set_logging


def cluster(
    source: Annotated[
        str | None, typer.Argument(help="Folder of images, or a CSV/Parquet with file_name.")
    ] = None,
    n_clusters: Clusters = None,
    output: Output = None,
    features: Features = None,
    fit_on: FitOn = None,
    embedder: Embedder = None,
    base: Base = None,
    space: Space = None,
    image_size: Size = None,
    preset: Preset = None,
    selection: Selection = None,
    epochs: Epochs = None,
    constants: Set = None,
    review: Review = None,
    max_skipped: MaxSkipped = None,
    page: PageOption = None,
    max_megapixels: MaxMegapixels = None,
    seed: Seed = None,
    device: Device = None,
    cache: CacheFolder = None,
    config: Config = None,
    excel_safe: ExcelSafe = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    opened: Open = False,
) -> None:
    """Cluster a folder of images, or an array of features."""
    given = given_of(
        source=source, features=features, fit_on=fit_on, n_clusters=n_clusters, output=output, embedder=embedder,
        base=base, space=space, image_size=image_size, review=review, max_skipped=max_skipped, page=page,
        max_megapixels=max_megapixels, seed=seed, device=device, excel_safe=excel_safe or None,
    )  # fmt: skip
    _run(given, constants_of(preset, selection, epochs, constants), config, cache, overwrite, quiet, opened)


def refine(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Folder of images, or a CSV/Parquet with file_name; or a finished run, to learn from its answers."
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="CSV or Parquet of file_name,label, or .npy; -1: unknown.")
    ] = None,
    probabilities: Annotated[
        str | None, typer.Option(help="Their probabilities: .npy (n_samples, n_clusters).")
    ] = None,
    features: Features = None,
    output: Output = None,
    embedder: Embedder = None,
    space: Space = None,
    image_size: Size = None,
    preset: Preset = None,
    selection: Selection = None,
    epochs: Epochs = None,
    constants: Set = None,
    review: Review = None,
    max_skipped: MaxSkipped = None,
    page: PageOption = None,
    max_megapixels: MaxMegapixels = None,
    seed: Seed = None,
    device: Device = None,
    cache: CacheFolder = None,
    config: Config = None,
    excel_safe: ExcelSafe = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    opened: Open = False,
) -> None:
    """Repair the labels that another clustering, a vendor or a crowd has given; or a run, by a person's answers."""
    given = given_of(
        source=source, features=features, labels=labels, probabilities=probabilities, output=output, embedder=embedder,
        space=space, image_size=image_size, review=review, max_skipped=max_skipped, page=page,
        max_megapixels=max_megapixels, seed=seed, device=device, excel_safe=excel_safe or None,
    )  # fmt: skip
    chosen = constants_of(preset, selection, epochs, constants)
    if labels is None and source is not None and _is_run(source):
        _learn(
            Path(source), [*(name for name in given if name != "source"), *chosen, *given_of(config=config)]
        )
        return
    given.setdefault("base", "given")
    _run(given, chosen, config, cache, overwrite, quiet, opened)


def predict(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    source: Annotated[str | None, typer.Argument(help="New images: a folder or a table.")] = None,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="CSV to write; what can't be read goes to NAME_skipped.csv."),
    ] = Path("predictions.csv"),
    features: Features = None,
    raw: Annotated[bool, typer.Option("--raw", help="Confidence as the networks say it.")] = False,
    most_novel: Annotated[
        float | None,
        typer.Option(
            parser=share_of,
            metavar="<share>",
            help="Leave the cluster empty where novelty is above this, e.g. 99%: 1% of the run's own kind are.",
        ),
    ] = None,
    max_skipped: MaxSkipped = None,
    max_megapixels: MaxMegapixels = None,
    device: Device = None,
    excel_safe: ExcelSafe = False,
    ray: Ray = None,
    overwrite: Replace = False,
    quiet: Quiet = False,
) -> None:
    """Give new images the clusters of a finished run."""
    set_logging(quiet)
    from ruc.doors.predict import predict_to_csv
    from ruc.images.reading import MOST_MEGAPIXELS
    from ruc.runtime import Runtime
    from ruc.skipped import skipped_note

    runtime = Runtime(device or "auto", verbose=not quiet)
    lost = 0.10 if max_skipped is None else max_skipped
    most = max_megapixels or MOST_MEGAPIXELS
    if ray is not None:
        from ruc.scale.predicting import predict_to_shards

        one = _only_one(features)
        written = predict_to_shards(run, source, one, output, ray, runtime, lost, raw, most_novel, most)
        typer.echo(f"{written.n_samples} predicted{skipped_note(output, written.skipped)}: {output}")
        return
    prediction = predict_to_csv(
        run, source, features, output, runtime, lost, raw, most_novel, overwrite, most, excel_safe
    )
    skipped = skipped_note(output, prediction.skipped)
    typer.echo(f"{len(prediction.file_names)} predicted{skipped}: {output}")


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="One finished run folder, or several to compare.")],
    truth: Annotated[Path, typer.Option(help="CSV or Parquet of file_name,label; for features also .npy.")],
    attack: Annotated[str | None, typer.Option(help="fgsm, bim or fgsm,bim: accuracy under attack.")] = None,
    corruptions: Annotated[bool, typer.Option("--corruptions", help="Accuracy on corrupted images.")] = False,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure a run against ground truth: accuracy, NMI, ARI, calibration, before and after."""
    set_logging(quiet)
    from ruc.doors.measure import measure_runs
    from ruc.evaluation.tables import compare, evaluation_lines, evaluation_rows
    from ruc.runtime import Runtime

    attacks = tuple(name.strip().lower() for name in attack.split(",")) if attack else ()
    measured = measure_runs(runs, truth, Runtime(device or "auto", verbose=not quiet), attacks, corruptions)
    if as_json:
        print_json({name: one.to_dict() for name, one in measured.items()})
        return
    if len(measured) > 1:
        print_table(compare({name: one.evaluation for name, one in measured.items()}))
    for name, one in measured.items():
        if len(measured) == 1:
            print_table([("", "base", "refined", "difference"), *evaluation_rows(one.evaluation)])
            typer.echo("\n".join(evaluation_lines(one.evaluation)))
        for table in (one.attacks, one.corruptions):
            if table is not None:
                typer.echo(f"\n{name}: {table.n_images} images; {table.base}; {table.scale}")
                print_table(table.rows())
        typer.echo(f"pictures: {Path(name) / 'figures'}   report: {Path(name) / 'report.html'}")


def embed(
    source: Annotated[str, typer.Argument(help="Folder of images, or a CSV/Parquet with file_name.")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help=".npy to write, rows in the order of the source; names go to a CSV beside it, what can't be read to "
            "NAME_skipped.csv. Or a new folder, of Parquet shards with file_name and embedding.",
        ),
    ],
    embedder: Embedder = None,
    image_size: Size = None,
    max_skipped: MaxSkipped = None,
    page: PageOption = None,
    max_megapixels: MaxMegapixels = None,
    seed: Seed = None,
    cache: CacheFolder = None,
    device: Device = None,
    ray: Ray = None,
    overwrite: Replace = False,
    quiet: Quiet = False,
) -> None:
    """Turn images into unit-norm features, for `--features` or for other tools."""
    set_logging(quiet)
    from ruc.cache import cache_for
    from ruc.doors.embed_to_files import embed_to_files
    from ruc.settings import make_settings
    from ruc.skipped import skipped_note

    given = given_of(
        source=source, embedder=embedder, image_size=image_size, seed=seed, device=device, max_skipped=max_skipped,
        page=page, max_megapixels=max_megapixels,
    )  # fmt: skip
    settings, place = make_settings(given), cache_for(output, cache)
    if ray is not None:
        from ruc.scale.embedding import embed_to_shards

        written = embed_to_shards(settings, output, ray, verbose=not quiet)
        skipped = skipped_note(output, written.skipped)
        typer.echo(f"{written.n_images} images, {written.n_features} features each{skipped}: {output}")
        return
    embedded = embed_to_files(settings, output, overwrite, verbose=not quiet, cache=place)
    n_images, n_features = embedded.features.shape
    skipped = skipped_note(output, embedded.skipped)
    names = f" (names: {output.with_suffix('.csv')})" if output.suffix else ""
    typer.echo(f"{n_images} images, {n_features} features each{skipped}: {output}{names}")


def cache(
    place: Annotated[
        Path, typer.Argument(help="The cache, the folder in which it lies, or a run beside it.")
    ] = Path(),
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is kept there.")] = False,
    as_json: Json = False,
) -> None:
    """Show which embeddings are kept for other runs, or remove them."""
    from ruc.cache import find_cache

    found = find_cache(place)
    if found is None:
        said = f"no cache in or beside {place}: name the one given as --cache, or a run"
        typer.echo("[]" if as_json else said)
        return
    if clear:
        found.clear()
        typer.echo("[]" if as_json else f"{found.folder}: removed")
        return
    kept = found.contents()
    if as_json:
        print_json([asdict(each) for each in kept])
        return
    typer.echo(f"{found.folder}{':' if kept else ': nothing is kept there'}")
    for each in kept:
        what = "learned from a set of images" if each.n_images is None else f"{each.n_images} images"
        typer.echo(f"  {each.name}: {what}, {each.n_bytes / 1e6:.1f} MB")


def weights() -> None:
    """Say which backbones are at hand, where they were looked for, and how to bring one to an offline machine."""
    from ruc.doors.weights import weights_lines

    typer.echo("\n".join(weights_lines()))


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for images, truth and run.")] = Path(
        "demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Run the main job on scikit-learn's scanned digits: cluster, then evaluate."""
    from ruc.doors.demo import write_digits

    images, truth = write_digits(output)
    run = output / "run"
    typer.echo(f"\n$ ruc cluster {images} -k 10 -o {run} --overwrite{' --quiet' if quiet else ''}")
    cluster(str(images), "10", str(run), overwrite=True, quiet=quiet)
    typer.echo(f"\n$ ruc evaluate {run} --truth {truth}")
    evaluate([run], truth)
    typer.echo(f"\nReport: {run / 'report.html'}")


def _only_one(features: list[str] | None) -> str | None:
    if features and len(features) > 1:
        raise typer.BadParameter(
            "several given with --ray; expected one folder of shards", param_hint="--features"
        )
    return features[0] if features else None


def _run(
    given: dict[str, Any],
    constants: dict[str, Any],
    config: Path | None,
    cache: str | None,
    overwrite: bool,
    quiet: bool,
    opened: bool,
) -> None:
    set_logging(quiet)
    from ruc.cache import cache_for
    from ruc.pipeline import run_to_folder
    from ruc.run_folder import REPORT
    from ruc.settings import make_settings
    from ruc.summary import summary_lines

    if constants:
        given["refine"] = constants
    settings = make_settings(given, config)
    place = cache_for(Path(settings.output), cache)
    run = run_to_folder(settings, overwrite=overwrite, verbose=not quiet, cache=place)
    typer.echo("\n".join(summary_lines(run, Path(settings.output))))
    if opened:
        import webbrowser

        webbrowser.open((Path(settings.output) / REPORT).resolve().as_uri())


def _is_run(source: str) -> bool:
    from ruc.run_folder import is_run

    return is_run(Path(source))


def _learn(run: Path, options: list[str]) -> None:
    """Learn from a run's answers, in place."""
    if options:
        raise typer.BadParameter(
            f"{', '.join(options)} given with the finished run {run}; expected the run alone, which learns from its "
            "answers as it is: or images and --labels"
        )
    from ruc.doors.edit_folder import learn_in_folder

    print_edited(run, learn_in_folder(run))
