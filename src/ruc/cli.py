"""The command line: which commands there are, and how each of them ends."""

import atexit
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from ruc.commands import curating, editing, running
from ruc.commands.help import Command, Group
from ruc.commands.terminal import set_logging
from ruc.errors import RucError
from ruc.last_line import last_line, readable

# Read when torch and NumPy are loaded: threads that spin while they wait are ten times slower beside any other busy
# program, and OpenBLAS's do nothing else; what is large torch multiplies (experiments/LOG.md, "threads that spin").
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}


class _Commands(Group):
    """Every command ends in a result, or in a line that says the true cause."""

    def make_context(self, *given: Any, **more: Any) -> Any:
        try:
            return super().make_context(*given, **more)
        except KeyboardInterrupt as error:  # which typer would end in silence
            raise typer.Exit(_end(error, bool(more.get("obj")))) from None

    def invoke(self, ctx: Any) -> Any:
        set_logging(quiet=True)
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = readable(error.message)
            raise
        except (RucError, KeyboardInterrupt, MemoryError, RuntimeError, ImportError, OSError) as error:
            raise typer.Exit(_end(error, ctx.obj)) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
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


# In the order of the help; a name that Python has already ends in an underscore.
GROUPS = {
    "Make runs": (running.cluster, running.refine, running.demo),
    "Look and correct": (
        editing.open_, editing.check, editing.apply_, editing.merge, editing.split, editing.rename, editing.name,
        editing.undo,
    ),
    "Go on from a run": (running.predict, editing.update, curating.cut, running.evaluate, curating.export),
    "Search and compare": (
        curating.nearest, curating.pick, curating.compare, curating.info, curating.copies, curating.leaks,
    ),
    "Embeddings": (running.embed, running.cache, running.weights),
}  # fmt: skip
COMMANDS = tuple(command for group in GROUPS.values() for command in group)
for purpose, commands in GROUPS.items():
    for command in commands:
        app.command(name=command.__name__.rstrip("_"), cls=Command, rich_help_panel=purpose)(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit with 0 when done, 1 when it can't be done, 2 for wrong usage, 130 by Ctrl-C.

    `arguments`: those of the process if None, which then ends here.
    """
    try:
        _main(arguments)
    except SystemExit as stop:
        if arguments is not None or not isinstance(stop.code, int | None):
            raise
        _leave(stop.code or 0)


def _leave(status: int) -> NoReturn:
    """End the process at once: all is written, and threads of libraries that wait for each other can't hold it."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or full: what was printed has been said to be lost
            stream.flush()
    os._exit(status)


def _main(arguments: Sequence[str] | None) -> None:
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    without_debug = [argument for argument in arguments if argument != "--debug"]
    is_debugging = without_debug != arguments
    try:
        app(without_debug, prog_name="ruc", obj=is_debugging)
    except (OSError, KeyboardInterrupt) as error:  # of --version and --help, and before any command begins
        sys.exit(_end(error, is_debugging))


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
