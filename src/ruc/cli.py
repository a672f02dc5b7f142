"""The command line: one command per door. Nothing here but parameters in, work called, results printed."""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from ruc.errors import RucError
from ruc.last_line import last_line, readable
from ruc.options import (
    Base,
    CacheFolder,
    Clusters,
    Config,
    Device,
    Embedder,
    Epochs,
    Features,
    MaxMegapixels,
    MaxSkipped,
    Output,
    Overwrite,
    PageOption,
    Preset,
    Quiet,
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


class _Commands(TyperGroup):
    """Every command ends in a result, or in a line that says the true cause."""

    def invoke(self, ctx: Any) -> Any:
        _logging(quiet=True)
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = readable(error.message)
            raise
        except (RucError, KeyboardInterrupt, MemoryError, RuntimeError, OSError) as error:
            raise typer.Exit(_end(error, ctx.obj)) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"ruc {version('ruc')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Turn a folder of unlabelled images into clusters that can be trusted.

    ruc treats the labels of any clustering as noisy labels, keeps those it can trust, and retrains two
    networks that correct the rest.

    Start with:  ruc cluster photos/ -k 10 -o run/   and open run/report.html in a browser.

    Any command takes --debug, which shows the traceback of an error.
    """


@app.command()
def cluster(
    source: Annotated[
        str | None, typer.Argument(help="Folder of images, or a CSV/Parquet with file_name.")
    ] = None,
    n_clusters: Clusters = None,
    output: Output = None,
    features: Features = None,
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
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Cluster a folder of images, or an array of features."""
    given = given_of(
        source=source, features=features, n_clusters=n_clusters, output=output, embedder=embedder, base=base,
        space=space, image_size=image_size, review=review, max_skipped=max_skipped, page=page,
        max_megapixels=max_megapixels, seed=seed, device=device,
    )  # fmt: skip
    _run(given, constants_of(preset, selection, epochs, constants), config, cache, overwrite, quiet)


@app.command()
def refine(
    source: Annotated[
        str | None, typer.Argument(help="Folder of images, or a CSV/Parquet with file_name.")
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
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Repair the labels that another clustering, a vendor or a crowd has given."""
    given = given_of(
        source=source, features=features, labels=labels, probabilities=probabilities, output=output, embedder=embedder,
        space=space, image_size=image_size, review=review, max_skipped=max_skipped, page=page,
        max_megapixels=max_megapixels, seed=seed, device=device,
    )  # fmt: skip
    given.setdefault("base", "given")
    _run(given, constants_of(preset, selection, epochs, constants), config, cache, overwrite, quiet)


@app.command()
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
    overwrite: Replace = False,
    quiet: Quiet = False,
) -> None:
    """Give new images the clusters of a finished run."""
    _logging(quiet)
    from ruc.images.reading import MOST_MEGAPIXELS
    from ruc.predict import predict_to_csv
    from ruc.runtime import Runtime
    from ruc.skipped import skipped_note

    runtime = Runtime(device or "auto", verbose=not quiet)
    lost = 0.10 if max_skipped is None else max_skipped
    most = max_megapixels or MOST_MEGAPIXELS
    prediction = predict_to_csv(
        run, source, features, output, runtime, lost, raw, most_novel, overwrite, most
    )
    skipped = skipped_note(output, prediction.skipped)
    typer.echo(f"{len(prediction.file_names)} predicted{skipped}: {output}")


@app.command()
def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="One finished run folder, or several to compare.")],
    truth: Annotated[Path, typer.Option(help="CSV or Parquet of file_name,label; for features also .npy.")],
    attack: Annotated[str | None, typer.Option(help="fgsm, bim or fgsm,bim: accuracy under attack.")] = None,
    corruptions: Annotated[bool, typer.Option("--corruptions", help="Accuracy on corrupted images.")] = False,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Measure a run against ground truth: accuracy, NMI, ARI, calibration, before and after."""
    _logging(quiet)
    from ruc.evaluation.tables import compare, evaluation_lines, evaluation_rows
    from ruc.measure import measure_runs
    from ruc.runtime import Runtime

    attacks = tuple(name.strip().lower() for name in attack.split(",")) if attack else ()
    measured = measure_runs(runs, truth, Runtime(device or "auto", verbose=not quiet), attacks, corruptions)
    if len(measured) > 1:
        _table(compare({name: one.evaluation for name, one in measured.items()}))
    for name, one in measured.items():
        if len(measured) == 1:
            _table([("", "base", "refined", "difference"), *evaluation_rows(one.evaluation)])
            typer.echo("\n".join(evaluation_lines(one.evaluation)))
        for table in (one.attacks, one.corruptions):
            if table is not None:
                typer.echo(f"\n{name}: {table.n_images} images; {table.base}; {table.scale}")
                _table(table.rows())
        typer.echo(f"pictures: {Path(name) / 'figures'}   report: {Path(name) / 'report.html'}")


@app.command()
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
    overwrite: Replace = False,
    quiet: Quiet = False,
) -> None:
    """Turn images into unit-norm features, for `--features` or for other tools."""
    _logging(quiet)
    from ruc.cache import cache_for
    from ruc.embedding import embed_to_files
    from ruc.settings import make_settings
    from ruc.skipped import skipped_note

    given = given_of(
        source=source, embedder=embedder, image_size=image_size, seed=seed, device=device, max_skipped=max_skipped,
        page=page, max_megapixels=max_megapixels,
    )  # fmt: skip
    settings, place = make_settings(given), cache_for(output, cache)
    embedded = embed_to_files(settings, output, overwrite, verbose=not quiet, cache=place)
    n_images, n_features = embedded.features.shape
    skipped = skipped_note(output, embedded.skipped)
    names = f" (names: {output.with_suffix('.csv')})" if output.suffix else ""
    typer.echo(f"{n_images} images, {n_features} features each{skipped}: {output}{names}")


@app.command()
def cache(
    folder: Annotated[Path, typer.Argument(help="The folder of the cache.")] = Path(".ruc_cache"),
    clear: Annotated[bool, typer.Option("--clear", help="Remove what is kept there.")] = False,
) -> None:
    """Show which embeddings are kept for other runs, or remove them."""
    from ruc.cache import Cache

    place = Cache(folder)
    if clear:
        place.clear()
    kept = place.contents()
    for each in kept:
        what = "learned from a set of images" if each.n_images is None else f"{each.n_images} images"
        typer.echo(f"{each.name}: {what}, {each.n_bytes / 1e6:.1f} MB")
    if not kept:
        typer.echo(f"{folder}: nothing is kept there")


@app.command()
def weights() -> None:
    """Say which backbones are at hand, where they were looked for, and how to bring one to an offline machine."""
    from ruc.weights import weights_lines

    typer.echo("\n".join(weights_lines()))


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for images, truth and run.")] = Path(
        "demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Run the main job on scikit-learn's scanned digits: cluster, then evaluate."""
    from ruc.demo import write_digits

    images, truth = write_digits(output)
    run = output / "run"
    typer.echo(f"\n$ ruc cluster {images} -k 10 -o {run} --overwrite{' --quiet' if quiet else ''}")
    cluster(str(images), "10", str(run), overwrite=True, quiet=quiet)
    typer.echo(f"\n$ ruc evaluate {run} --truth {truth}")
    evaluate([run], truth)
    typer.echo(f"\nReport: {run / 'report.html'}")


RunFolder = Annotated[Path, typer.Argument(help="A finished run folder.")]


@app.command(name="open")
def open_(
    run: RunFolder,
    port: Annotated[
        int, typer.Option(help="Where to serve it.  [default: any free port]", show_default=False)
    ] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
) -> None:
    """Open a run's report live: edits go straight into the run, and originals are shown."""
    import webbrowser

    from ruc.live import LiveRun, LiveServer

    _logging(quiet=True)
    with LiveServer(LiveRun(run), port) as server:
        typer.echo(f"{server.address}\nCtrl-C closes it.")
        if browser:
            webbrowser.open(server.address)
        with suppress(KeyboardInterrupt):
            server.wait()
    typer.echo(f"closed; report: {run / 'report.html'}")


@app.command()
def merge(
    run: RunFolder,
    clusters: Annotated[
        list[str],
        typer.Argument(help="Names or numbers (0, 1, …; names count first); all go into the first."),
    ],
) -> None:
    """Merge clusters of a run into the first one named."""
    from ruc.edit_folder import edit_folder
    from ruc.edits import Merge, find_cluster

    edited = edit_folder(
        run, f"merge {clusters}", lambda r: [Merge(tuple(find_cluster(r, text) for text in clusters))]
    )
    _edited(run, edited)


@app.command()
def split(
    run: RunFolder,
    cluster: Annotated[str, typer.Argument(help="Name, or number (0, 1, …; names count first).")],
    parts: Annotated[int, typer.Option(help="Number of parts; the largest keeps number and name.")] = 2,
) -> None:
    """Split a cluster of a run by what its images look like."""
    from ruc.edit_folder import edit_folder
    from ruc.edits import find_cluster, split_cluster

    what = f"split {cluster!r} into {parts}"
    _edited(run, edit_folder(run, what, lambda r: [split_cluster(r, find_cluster(r, cluster), parts)]))


@app.command()
def rename(
    run: RunFolder,
    cluster: Annotated[str, typer.Argument(help="Name, or number (0, 1, …; names count first).")],
    name: Annotated[str, typer.Argument(help="The new name.")],
) -> None:
    """Give a cluster of a run a name."""
    from ruc.edit_folder import edit_folder
    from ruc.edits import Rename, find_cluster

    what = f"rename {cluster!r} to {name!r}"
    _edited(run, edit_folder(run, what, lambda r: [Rename(find_cluster(r, cluster), name)]))


@app.command()
def check(
    run: RunFolder,
    n_asked: Annotated[int, typer.Option("--n", min=1, help="How many images to ask about.")] = 50,
    seed: Annotated[int | None, typer.Option(help="Of the draw.  [default: the run's]")] = None,
) -> None:
    """Ask a person about some images, drawn by chance: their answers say how many of all are right."""
    from ruc.check_folder import ask

    asked = ask(run, n_asked, seed)
    where = asked.page or f"{asked.table} (fill the column answer with yes or no)"
    answers = "edits.json" if asked.page else asked.table
    typer.echo(f"{asked.n_asked} questions: {where}")
    typer.echo(f"then: ruc apply {run} {answers}")


@app.command(name="apply")
def apply_(
    run: RunFolder,
    edits: Annotated[
        Path,
        typer.Argument(
            help="The edits.json that report.html or check.html downloaded, or a CSV of file_name,answer (yes, no) "
            "or file_name,label (the right cluster)."
        ),
    ],
    coverage: Annotated[
        float | None,
        typer.Option(
            parser=share_of,
            metavar="<share>",
            help="Write a column possible_clusters that holds the right one this often, e.g. 90%, by the answers.",
        ),
    ] = None,
) -> None:
    """Put edits made in a run's report, or answers to `ruc check`, into the run."""
    from ruc.edit_folder import apply_file

    _edited(run, apply_file(run, edits, coverage))


@app.command()
def undo(
    run: RunFolder,
    edits: Annotated[
        int | None,
        typer.Option(help="Take so many single edits back.  [default: all that the last command made]"),
    ] = None,
) -> None:
    """Take back what the last merge, split, rename or apply did to a run."""
    from ruc.edit_folder import undo_in_folder

    _edited(run, undo_in_folder(run, edits), undone=True)


@app.command()
def nearest(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    n: Annotated[int, typer.Option("-n", "--n", help="How many for each.")] = 12,
    device: Device = None,
) -> None:
    """List the images of a run that are most like new ones, with their clusters."""
    _logging(quiet=True)
    from ruc.nearest import nearest as find
    from ruc.runtime import Runtime

    near = find(run, images, n, Runtime(device or "auto"))
    rows = [(one.asked, one.file_name, f"{one.similarity:.3f}", one.cluster_name) for one in near]
    _table([("image", "nearest", "similarity", "cluster"), *rows])


@app.command()
def pick(
    run: RunFolder,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder.")] = Path("picked"),
    n: Annotated[int, typer.Option("-n", "--n", help="How many images.")] = 50,
    by: Annotated[
        str, typer.Option(help="representative, balanced (the same from each cluster), diverse or uncertain.")
    ] = "representative",
    per_cluster: Annotated[bool, typer.Option("--per-cluster", help="So many of each cluster.")] = False,
    how: Annotated[Literal["copy", "symlink", "hardlink"], typer.Option(help="For the images.")] = "copy",
    images: Annotated[Path | None, typer.Option(help="Where the images are now, if they were moved.")] = None,
) -> None:
    """Pick images that stand for the others, for labelling or to show, as a table and a folder."""
    _logging(quiet=True)
    from ruc.pick_images import pick_to_folder

    picked = pick_to_folder(run, output, n, by, per_cluster, how, images)
    typer.echo(f"{len(picked.rows)} images: {picked.target / 'picked.csv'}")


@app.command()
def compare(
    first: RunFolder,
    second: RunFolder,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="CSV to write: file_name, before, after.")
    ] = None,
    overwrite: Replace = False,
) -> None:
    """Tell which images are in other clusters in a second run over the same images."""
    from ruc.compare_runs import compare_folders

    found = compare_folders(first, second, output, overwrite)
    alone = [(found.n_only_first, first), (found.n_only_second, second)]
    rest = "".join(f", {n} only in {name}" for n, name in alone if n)
    typer.echo(
        f"{found.n_common} images in both{rest}; {found.n_moved} moved; NMI of the two {found.nmi:.3f}"
    )
    moved = [flow for flow in found.flows if not flow.is_match]
    if moved:
        _table([("before", "after", "images"), *((f.before, f.after, str(f.n_images)) for f in moved[:20])])
    if len(moved) > 20:
        typer.echo(f"and {len(moved) - 20} smaller flows")


@app.command()
def info(run: RunFolder) -> None:
    """Show what a finished run is: what was printed at its end, and how it was made."""
    from ruc.run_folder import read_run
    from ruc.summary import made_lines, summary_lines

    finished = read_run(run)
    typer.echo("\n".join([*summary_lines(finished, run), *made_lines(finished)]))


@app.command()
def copies(
    source: Annotated[str, typer.Argument(help="Folder of images, a CSV/Parquet with file_name, or a run.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV to write.")] = Path("copies.csv"),
    overwrite: Replace = False,
    quiet: Quiet = False,
) -> None:
    """List images that show the same picture, in groups, with the one to keep; nothing is deleted.

    Copies in another size, encoding or light, mirrored, turned by quarters, framed or cropped by up to a sixth.
    """
    _logging(quiet)
    from ruc.find_copies import copies_to_csv
    from ruc.runtime import Runtime

    found = copies_to_csv(source, output, Runtime("cpu", verbose=not quiet), overwrite)
    unread = f", {len(found.skipped)} could not be read" if found.skipped else ""
    typer.echo(
        f"{found.n_images} images{unread}: {found.n_copies} copies in {found.n_groups} groups: {output}"
    )


@app.command()
def leaks(
    train: Annotated[str, typer.Argument(help="Images that are known: a folder, a table or a run.")],
    test: Annotated[str, typer.Argument(help="Images that shouldn't be among them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV to write.")] = Path("leaks.csv"),
    overwrite: Replace = False,
    quiet: Quiet = False,
) -> None:
    """List images of one folder that are (nearly) in another, as when training images leak into a test."""
    _logging(quiet)
    from ruc.find_copies import leaks_to_csv
    from ruc.runtime import Runtime

    found = leaks_to_csv(train, test, output, Runtime("cpu", verbose=not quiet), overwrite)
    unread = f", {len(found.skipped)} could not be read" if found.skipped else ""
    typer.echo(f"{found.n_copies} of {found.n_images} images are in {train} too{unread}: {output}")


@app.command()
def export(
    run: RunFolder,
    to: Annotated[str, typer.Option(help="folders, imagefolder, label-studio, coco, parquet or onnx.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="File or folder to write.  [default: sorted, imagefolder, label_studio, coco.json, run.parquet or "
            "model.onnx]",
        ),
    ] = None,
    how: Annotated[
        Literal["copy", "symlink", "hardlink"], typer.Option(help="For folders and imagefolder.")
    ] = "copy",
    images: Annotated[Path | None, typer.Option(help="Where the images are now, if they were moved.")] = None,
    image_root: Annotated[
        str | None,
        typer.Option(
            help="For label-studio: what it finds the images under, e.g. s3://bucket/photos/.  "
            "[default: its local storage]"
        ),
    ] = None,
    include_junk: Annotated[
        bool, typer.Option("--include-junk", help="Clusters marked as junk too.")
    ] = False,
    overwrite: Replace = False,
) -> None:
    """Hand a run over to other tools."""
    from ruc.export.export import export_run

    written = export_run(run, to, output, how, images, image_root, include_junk, overwrite)
    typer.echo(f"written: {written}")


def _edited(folder: Path, run: Any, undone: bool = False) -> None:
    from ruc.summary import edited_lines

    typer.echo("\n".join(edited_lines(run)))
    hint = "" if undone else f"   (ruc undo {folder} takes it back)"
    typer.echo(f"report: {folder / 'report.html'}{hint}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit with 0 when done, 1 when it can't be done, 2 for wrong usage, 130 by Ctrl-C."""
    # Before torch is loaded: threads that spin while they wait are ten times slower beside any other busy program.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    without_debug = [argument for argument in arguments if argument != "--debug"]
    is_debugging = without_debug != arguments
    try:
        app(without_debug, prog_name="ruc", obj=is_debugging)
    except OSError as error:  # of --version and --help, which are no commands
        sys.exit(_end(error, is_debugging))


def _run(
    given: dict[str, Any],
    constants: dict[str, Any],
    config: Path | None,
    cache: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    _logging(quiet)
    from ruc.cache import cache_for
    from ruc.pipeline import run_to_folder
    from ruc.settings import make_settings
    from ruc.summary import summary_lines

    if constants:
        given["refine"] = constants
    settings = make_settings(given, config)
    place = cache_for(Path(settings.output), cache)
    run = run_to_folder(settings, overwrite=overwrite, verbose=not quiet, cache=place)
    typer.echo("\n".join(summary_lines(run, Path(settings.output))))


def _end(error: BaseException, is_debugging: bool) -> int:
    """Say why it ends, and return the exit status; raises the error where nobody foresaw it."""
    said = last_line(error)
    if said is None or is_debugging:
        raise error
    message, status = said
    typer.echo(f"ruc: {message}", err=True)
    try:
        sys.stdout.flush()
    except OSError:  # the screen is full or gone, and would be so again at the very end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status


def _table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns; the first row is the header."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _logging(quiet: bool) -> None:
    logging.basicConfig(level=logging.WARNING if quiet else logging.INFO, format="%(message)s", force=True)
    for library in ("httpx", "urllib3", "fontTools", "matplotlib", "PIL", "transformers", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(
        logging.ERROR if quiet else logging.WARNING
    )  # of other libraries


if __name__ == "__main__":
    main()
