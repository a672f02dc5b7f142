"""Commands that change a finished run: looked at, corrected, checked, taken back."""

from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ruc.commands.options import Device, ImagesNow, Json, Quiet, RunFolder, option, share
from ruc.commands.terminal import print_edited, print_json, print_table, set_logging


def open_(
    run: RunFolder,
    port: Annotated[
        int,
        option("Where to serve it.  [default: any free port]", min=0, max=65535, show_default=False),
    ] = 0,
    browser: Annotated[bool, option("Open it in the browser.", "--browser/--no-browser")] = True,
) -> None:
    """Open a run's report live: edits go straight into the run. Originals are shown."""
    import webbrowser

    from ruc.doors.live import LiveRun, LiveServer

    set_logging(quiet=True)
    with LiveServer(LiveRun(run), port) as server:
        typer.echo(f"{server.address}\nCtrl-C closes it.")
        if browser:
            webbrowser.open(server.address)
        with suppress(KeyboardInterrupt):
            server.wait()
    typer.echo(f"closed; report: {run / 'report.html'}")


def merge(
    run: RunFolder,
    clusters: Annotated[
        list[str],
        typer.Argument(help="Names or numbers (0, 1, …; names count first); all go into the first."),
    ],
) -> None:
    """Merge clusters of a run into the first one named."""
    from ruc.doors.edit_folder import edit_folder
    from ruc.edits import Merge, find_cluster

    def edits(now: Any) -> list[Merge]:
        return [Merge(tuple(find_cluster(now, text) for text in clusters))]

    edit_folder(run, f"merge {clusters}", edits, partial(print_edited, run))


def split(
    run: RunFolder,
    cluster: Annotated[str, typer.Argument(help="Name, or number (0, 1, …; names count first).")],
    parts: Annotated[int, option("Number of parts; the largest keeps number and name.", min=2)] = 2,
) -> None:
    """Split a cluster of a run by what its images look like."""
    from ruc.doors.edit_folder import edit_folder
    from ruc.edits import find_cluster, split_cluster

    what = f"split {cluster!r} into {parts}"
    edit_folder(
        run,
        what,
        lambda now: [split_cluster(now, find_cluster(now, cluster), parts)],
        partial(print_edited, run),
    )


def rename(
    run: RunFolder,
    cluster: Annotated[str, typer.Argument(help="Name, or number (0, 1, …; names count first).")],
    name: Annotated[str, typer.Argument(help='The new name; "" gives its number back.')],
) -> None:
    """Give a cluster of a run a name."""
    from ruc.doors.edit_folder import edit_folder
    from ruc.edits import rename_cluster

    what = f"rename {cluster!r} to {name!r}"
    edit_folder(run, what, lambda now: [rename_cluster(now, cluster, name)], partial(print_edited, run))


def name(
    run: RunFolder,
    words: Annotated[Path, option("A text file of words or short phrases, one a line.")],
    model: Annotated[
        Path,
        option(
            "The folder of a model of images and text, such as CLIP or SigLIP: config.json, model.safetensors, "
            "preprocessor_config.json and its tokenizer."
        ),
    ],
    prompt: Annotated[str, option("The text that a word is put into.")] = "a photo of a {}",
    images: ImagesNow = None,
    device: Device = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Call clusters by the words of a list that fit their images. What has a name keeps it."""
    set_logging(quiet or as_json)
    from ruc.doors.name_clusters import name_clusters
    from ruc.runtime import Runtime

    runtime = Runtime(device or "auto", verbose=not (quiet or as_json))
    named = name_clusters(run, words, model, runtime, prompt, images)
    if as_json:
        print_json([asdict(one) for one in named.proposals])
        return
    rows = [
        (
            str(one.cluster),
            one.word,
            one.next_word,
            f"{one.lead:.3g}",
            f"keeps its number: {one.kept}" if one.kept else f"called {one.word}",
        )
        for one in named.proposals
    ]
    print_table([("cluster", "best word", "next", "times as likely", ""), *rows])
    print_edited(run, named.run, undone=all(one.kept for one in named.proposals))


def check(
    run: RunFolder,
    n_asked: Annotated[int, option("How many images to ask about.", "--n", min=1)] = 50,
    seed: Annotated[int | None, option("Of the draw.  [default: the run's]")] = None,
) -> None:
    """Ask a person about some images, to learn how right all are. They are drawn by chance, by known probabilities."""
    from ruc.doors.check_folder import ask

    asked = ask(run, n_asked, seed)
    where = asked.page or f"{asked.table} (fill the column answer with yes or no)"
    answers = "edits.json" if asked.page else asked.table
    typer.echo(f"{asked.n_asked} questions: {where}")
    typer.echo(f"then: ruc apply {run} {answers}")


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
        share(
            "Write a column possible_clusters that holds the right one this often, e.g. 90%, by the answers."
        ),
    ] = None,
) -> None:
    """Put a report's edits, or answers to `ruc check`, into the run."""
    from ruc.doors.edit_folder import apply_file

    apply_file(run, edits, coverage, partial(print_edited, run))


def update(
    run: RunFolder,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Its images as they are now: a folder or a table.  [default: where the run found them]"
        ),
    ] = None,
    vanished: Annotated[
        Literal["keep", "drop"], option("What to do with images that aren't there any more.")
    ] = "keep",
    new_clusters: Annotated[
        int | None, option("So many new clusters for images that joined and fit none.", min=1)
    ] = None,
    device: Device = None,
    quiet: Quiet = False,
) -> None:
    """Let new images of a run's folder join it. The others keep cluster, confidence and edits."""
    set_logging(quiet)
    from ruc.doors.update_run import update_folder, updated_lines
    from ruc.runtime import Runtime

    runtime = Runtime(device or "auto", verbose=not quiet)
    updated = update_folder(run, source, runtime, vanished, new_clusters)
    typer.echo("\n".join(updated_lines(updated, run)))
    print_edited(run, updated.run, undone=new_clusters is None)


def undo(
    run: RunFolder,
    edits: Annotated[
        int | None,
        option("Take so many single edits back.  [default: all that the last command made]", min=1),
    ] = None,
) -> None:
    """Take back a run's last merge, split, rename, name, apply, or refine of the run itself.

    What `ruc update` added stays: only the new clusters that it made are taken back.
    """
    from ruc.doors.edit_folder import undo_in_folder
    from ruc.edits.words import in_words

    def say(edited: Any, undone: Any) -> None:
        typer.echo("\n".join(f"taken back: {line}" for line in reversed(in_words(undone))))
        print_edited(run, edited, undone=True)

    undo_in_folder(run, edits, say)
