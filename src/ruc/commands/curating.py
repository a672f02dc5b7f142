"""Commands that search in a finished run, compare it, and hand it over; and that find copies."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ruc.commands.options import (
    Device,
    ExcelSafe,
    How,
    ImagesNow,
    Json,
    Overwrite,
    Quiet,
    Replace,
    RunFolder,
    option,
)
from ruc.commands.terminal import print_json, print_table, set_logging


def nearest(
    run: RunFolder,
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    n: Annotated[int, option("How many for each.", "-n", "--n", min=1)] = 12,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """List the images of a run that are most like new ones. Each with its cluster."""
    set_logging(quiet=True)
    from ruc.doors.nearest import nearest as find
    from ruc.runtime import Runtime

    near = find(run, images, n, Runtime(device or "auto"))
    if as_json:
        print_json([asdict(one) for one in near])
        return
    rows = [(one.asked, one.file_name, f"{one.similarity:.3f}", one.cluster_name) for one in near]
    print_table([("image", "nearest", "similarity", "cluster"), *rows])


def pick(
    run: RunFolder,
    output: Annotated[Path, option("A new folder.", "-o", "--output")] = Path("picked"),
    n: Annotated[int, option("How many images.", "-n", "--n", min=1)] = 50,
    by: Annotated[
        str, option("representative, balanced (the same from each cluster), diverse or uncertain.")
    ] = "representative",
    per_cluster: Annotated[bool, option("So many of each cluster.", "--per-cluster")] = False,
    how: Annotated[How, option("For the images.")] = "copy",
    images: ImagesNow = None,
    excel_safe: ExcelSafe = False,
) -> None:
    """Pick images that stand for the others, to label or to show. They come as a table and a folder."""
    set_logging(quiet=True)
    from ruc.doors.pick_images import Choice, pick_to_folder

    rows = pick_to_folder(run, output, Choice(n, by, per_cluster), how, images, excel_safe)
    typer.echo(f"{len(rows)} images: {output / 'picked.csv'}")


def compare(
    first: RunFolder,
    second: RunFolder,
    output: Annotated[
        Path | None, option("CSV to write: file_name, before, after.", "-o", "--output")
    ] = None,
    excel_safe: ExcelSafe = False,
    overwrite: Replace = False,
    as_json: Json = False,
) -> None:
    """Tell which images have other clusters in a second run. Both runs are over the same images."""
    from ruc.doors.compare_runs import compare_folders, matched_line

    found = compare_folders(first, second, output, overwrite, excel_safe)
    if as_json:
        print_json(asdict(found))
        return
    alone = [(found.n_only_first, first), (found.n_only_second, second)]
    rest = "".join(f", {n} only in {name}" for n, name in alone if n)
    typer.echo(
        f"{found.n_common} images in both{rest}; {found.n_moved} moved; NMI of the two {found.nmi:.3f}"
    )
    if matched := matched_line(found):
        typer.echo(matched)
    moved = [flow for flow in found.flows if not flow.is_match]
    if moved:
        print_table(
            [("before", "after", "images"), *((f.before, f.after, str(f.n_images)) for f in moved[:20])]
        )
    if len(moved) > 20:
        typer.echo(f"and {len(moved) - 20} smaller flows")


def cut(
    run: RunFolder,
    n_clusters: Annotated[int, option("How many clusters, from 2 to about 4K.", "-k", "--n-clusters")],
    output: Annotated[Path, option("Run folder for the new run.", "-o", "--output")],
    device: Device = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Make a run with more or fewer clusters of a finished one. Nothing is embedded again, and edits are kept.

    The clusters of a run are one level of a tree: upwards they join, downwards they fall into parts; the report
    shows it.
    """
    set_logging(quiet)
    from ruc.doors.cut_run import cut_to_folder
    from ruc.summary import summary_lines

    made = cut_to_folder(run, n_clusters, output, device or "auto", overwrite, verbose=not quiet)
    typer.echo("\n".join(summary_lines(made, output)))


def info(run: RunFolder, as_json: Json = False) -> None:
    """Show what was printed at a run's end, and how it was made."""
    from ruc.run_folder import read_run
    from ruc.summary import made_lines, summary_dict, summary_lines

    finished = read_run(run)
    if as_json:
        print_json(summary_dict(finished))
        return
    typer.echo("\n".join([*summary_lines(finished, run), *made_lines(finished)]))


def copies(
    source: Annotated[str, typer.Argument(help="Folder of images, a CSV/Parquet with file_name, or a run.")],
    output: Annotated[Path, option("CSV to write.", "-o", "--output")] = Path("copies.csv"),
    excel_safe: ExcelSafe = False,
    overwrite: Replace = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List images that show the same picture, and which to keep. They come in groups, and nothing is deleted.

    Copies in another size, encoding or light, mirrored, turned by quarters, framed or cropped by up to a sixth.
    """
    set_logging(quiet)
    from ruc.doors.find_copies import copies_to_csv
    from ruc.runtime import Runtime
    from ruc.skipped import NewTable, skipped_note

    found = copies_to_csv(source, NewTable(output, overwrite, excel_safe), Runtime("cpu", verbose=not quiet))
    if as_json:
        print_json(asdict(found))
        return
    skipped = skipped_note(output, found.skipped)
    typer.echo(
        f"{found.n_images} images{skipped}: {found.n_copies} copies in {found.n_groups} groups: {output}"
    )


def leaks(
    train: Annotated[str, typer.Argument(help="Images that are known: a folder, a table or a run.")],
    test: Annotated[str, typer.Argument(help="Images that shouldn't be among them.")],
    output: Annotated[Path, option("CSV to write.", "-o", "--output")] = Path("leaks.csv"),
    excel_safe: ExcelSafe = False,
    overwrite: Replace = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List images of one folder that are (nearly) in another. As when training images leak into a test."""
    set_logging(quiet)
    from ruc.doors.find_copies import leaks_to_csv
    from ruc.runtime import Runtime
    from ruc.skipped import NewTable, skipped_note

    found = leaks_to_csv(
        train, test, NewTable(output, overwrite, excel_safe), Runtime("cpu", verbose=not quiet)
    )
    if as_json:
        print_json(asdict(found))
        return
    skipped = skipped_note(output, found.skipped)
    shown = f"{found.n_copies} of {found.n_images} images show what {found.n_groups} of {train} do"
    typer.echo(f"{shown}{skipped}: {output}")


def export(
    run: RunFolder,
    to: Annotated[str, option("folders, imagefolder, label-studio, coco, fiftyone, parquet or onnx.")],
    output: Annotated[
        Path | None,
        option(
            "File or folder to write.  [default: sorted, imagefolder, label_studio, coco.json, fiftyone, "
            "run.parquet or model.onnx]",
            "-o",
            "--output",
        ),
    ] = None,
    how: Annotated[How, option("For folders and imagefolder.")] = "copy",
    images: ImagesNow = None,
    image_root: Annotated[
        str | None,
        option(
            "For label-studio: what it finds the images under, e.g. s3://bucket/photos/.  [default: its local storage]"
        ),
    ] = None,
    include_junk: Annotated[bool, option("Clusters marked as junk too.", "--include-junk")] = False,
    overwrite: Replace = False,
) -> None:
    """Hand a run over to other tools."""
    from ruc.export.export import export_run

    written = export_run(run, to, output, how, images, image_root, include_junk, overwrite)
    typer.echo(f"written: {written}")
