"""Commands that make runs, use them and measure them."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ruc.commands.options import (
    METHOD,
    CacheFolder,
    Device,
    Embedder,
    ExcelSafe,
    Features,
    Json,
    MaxMegapixels,
    MaxSkipped,
    PageOption,
    Quiet,
    Ray,
    Replace,
    RunOptions,
    Seed,
    Size,
    given_of,
    option,
    share,
    with_run_options,
)  # fmt: skip
from ruc.commands.terminal import print_edited, print_json, print_table, set_logging
from ruc.torchrun import is_first


@with_run_options
def cluster(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Folder of images, or of tar or Parquet archives of them; or a CSV/Parquet with file_name."
        ),
    ] = None,
    n_clusters: Annotated[
        str | None,
        option("Number, 'auto' or a range such as 5:50.  [default: auto]", "-k", "--n-clusters"),
    ] = None,
    *,
    options: RunOptions,
    fit_on: Annotated[
        int | None,
        option(
            "Of features: cluster so many of the samples, drawn evenly so that small groups are in it; ruc predict "
            "places all.",
            metavar="<number>",
        ),
    ] = None,
    base: Annotated[
        str | None,
        option(
            "Base clustering: auto, graph, kmeans, scan, mixture, spectral, density, or a checkpoint (.pth, .pth.tar) "
            "of SCAN or RUC.  [default: auto]",
            group=METHOD,
        ),
    ] = None,
) -> None:
    """Cluster a folder of images, or an array of features."""
    _run(given_of(source=source, n_clusters=n_clusters, fit_on=fit_on, base=base), options)


@with_run_options
def refine(
    source: Annotated[
        str | None,
        typer.Argument(
            help="Folder of images or of archives, or a CSV/Parquet with file_name; or a finished run, to learn from "
            "its answers."
        ),
    ] = None,
    labels: Annotated[str | None, option("CSV or Parquet of file_name,label, or .npy; -1: unknown.")] = None,
    probabilities: Annotated[str | None, option("Their probabilities: .npy (n_samples, n_clusters).")] = None,
    *,
    options: RunOptions,
) -> None:
    """Repair labels from elsewhere, or a run by a person's answers. From another clustering, a vendor or a crowd."""
    if labels is None and source is not None and _is_run(source):
        beside = given_of(probabilities=probabilities, config=options.config)
        _learn(Path(source), [*options.settings, *options.refine, *beside])
        return
    _run(given_of(source=source, labels=labels, probabilities=probabilities, base="given"), options)


def predict(
    run: Annotated[Path, typer.Argument(help="A finished run folder.")],
    source: Annotated[str | None, typer.Argument(help="New images: a folder, an archive or a table.")] = None,
    output: Annotated[
        Path, option("CSV to write; what can't be read goes to NAME_skipped.csv.", "-o", "--output")
    ] = Path("predictions.csv"),
    features: Features = None,
    raw: Annotated[bool, option("Confidence as the networks say it.", "--raw")] = False,
    most_novel: Annotated[
        float | None,
        share("Leave the cluster empty where novelty is above this, e.g. 99%: 1% of the run's own kind are."),
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
    from ruc.doors.predict import Request, predict_to_csv
    from ruc.runtime import Runtime
    from ruc.skipped import NewTable, skipped_note

    runtime = Runtime(device or "auto", verbose=not quiet)
    limits = given_of(max_skipped=max_skipped, max_megapixels=max_megapixels)
    request = Request(run, source, tuple(features or ()), raw, most_novel, **limits)
    if ray is not None:
        from ruc.scale.predicting import predict_to_shards

        written = predict_to_shards(request, output, ray, runtime)
        typer.echo(f"{written.n_samples} predicted{skipped_note(output, written.skipped)}: {output}")
        return
    made = predict_to_csv(request, NewTable(output, overwrite, excel_safe), runtime)
    typer.echo(f"{made.n_samples} predicted{skipped_note(output, made.skipped)}: {output}")


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="One finished run folder, or several to compare.")],
    truth: Annotated[Path, option("CSV or Parquet of file_name,label; for features also .npy.")],
    attack: Annotated[str | None, option("fgsm, bim or fgsm,bim: accuracy under attack.")] = None,
    corruptions: Annotated[bool, option("Accuracy on corrupted images.", "--corruptions")] = False,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Measure a run against ground truth. Accuracy, NMI, ARI and calibration, before and after."""
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
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of images, or of tar or Parquet archives of them; or a CSV/Parquet with file_name."
        ),
    ],
    output: Annotated[
        Path,
        option(
            ".npy to write, rows in the order of the source; names go to a CSV beside it, what can't be read to "
            "NAME_skipped.csv. Or a new folder, of Parquet shards with file_name and embedding.",
            "-o",
            "--output",
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
    """Turn images into features, for --features or other tools. Each image is a row of unit length."""
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
    clear: Annotated[bool, option("Remove what is kept there.", "--clear")] = False,
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
    """Say which backbones are at hand. Where they were looked for, too, and how to bring one to an offline machine."""
    from ruc.doors.weights import weights_lines

    typer.echo("\n".join(weights_lines()))


def demo(
    output: Annotated[Path, option("Folder for images, truth and run.", "-o", "--output")] = Path("demo"),
    quiet: Quiet = False,
) -> None:
    """Cluster scikit-learn's scanned digits, then evaluate."""
    from ruc.doors.demo import write_digits

    images, truth = write_digits(output)
    run = output / "run"
    typer.echo(f"\n$ ruc cluster {images} -k 10 -o {run} --overwrite{' --quiet' if quiet else ''}")
    cluster(str(images), "10", output=str(run), overwrite=True, quiet=quiet)
    typer.echo(f"\n$ ruc evaluate {run} --truth {truth}")
    evaluate([run], truth)
    typer.echo(f"\nReport: {run / 'report.html'}")


def _run(given: dict[str, Any], options: RunOptions) -> None:
    set_logging(options.quiet)
    from ruc.cache import cache_for
    from ruc.pipeline import run_to_folder
    from ruc.refine.processes import processes
    from ruc.run_folder import REPORT
    from ruc.settings import make_settings
    from ruc.summary import summary_lines

    given |= options.settings | given_of(refine=options.refine or None)
    settings = make_settings(given, options.config)
    folder = Path(settings.output)
    cache = cache_for(folder, options.cache)
    with processes() as is_first:
        if not is_first:
            return
        run = run_to_folder(settings, options.overwrite, verbose=not options.quiet, cache=cache)
    typer.echo("\n".join(summary_lines(run, folder)))
    if options.opened:
        import webbrowser

        webbrowser.open((folder / REPORT).resolve().as_uri())


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

    if not is_first():
        return
    print_edited(run, learn_in_folder(run))
