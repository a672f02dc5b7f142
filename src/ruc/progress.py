"""Progress of long work: a bar on a terminal, plain log lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress(description: str, total: int, unit: str, visible: bool) -> Iterator[Callable[[int], None]]:
    """Show how far a piece of work is; yields `advance(count)`.

    Parameters
    ----------
    description
        What is being done, e.g. "embedding".
    unit
        The name of a unit, in the plural, e.g. "images".
    visible
        When false nothing is shown.
    """
    if not visible:
        yield lambda count: None
    elif sys.stderr.isatty():
        yield from _bar(description, total, unit)
    else:
        yield from _lines(description, total, unit)


def _bar(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total, rate="")
        started, done = time.monotonic(), 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            rate = done / max(time.monotonic() - started, 1e-6)
            bar.update(task, advance=count, rate=f"{rate:,.1f}/s")

        yield advance


def _lines(description: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    started = last = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            rate = done / (now - started)
            left = (total - done) / rate if rate else 0.0
            logger.info("%s: %d of %d %s, %.1f/s, %.0f s left", description, done, total, unit, rate, left)

    yield advance
    seconds = time.monotonic() - started
    logger.info("%s: %d %s in %.1f s (%.1f/s)", description, done, unit, seconds, done / max(seconds, 1e-6))
