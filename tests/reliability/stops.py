"""Stop every command that writes before each of its file operations, and at random moments; then give it again.

    python tests/reliability/stops.py                    every operation of every command, killed
    python tests/reliability/stops.py --random 1000      so many random moments: KILL, TERM, INT, a full disk
    python tests/reliability/stops.py --only rename --step 7

After each stop that leaves the files in a state not seen before: a reader takes the old state or the new one and
nothing else; the same command again ends with files equal bit for bit to those of an undisturbed one; nothing else
lies about. One process has everything imported and forks a child for each try. Linux, with a C compiler.
"""

import argparse
import ctypes
import gc
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

COUNT, SIGNAL, FULL = range(3)
HOWS = ("KILL", "TERM", "INT", "FULL")
SECONDS = 120  # a try that takes longer hangs
RUN = ("-q", "--embedder", "pixels", "--epochs", "1")


@dataclass(frozen=True)
class Stop:
    """A signal so many seconds after an operation (-1: after the beginning), or a disk that is full from there on."""

    how: str
    operation: int
    seconds: float = 0

    def __str__(self) -> str:
        return f"{self.how} {1e3 * self.seconds:.2f} ms after operation {self.operation}"


def every(step: int, n_operations: int) -> list[Stop]:
    """Killed before every `step`-th operation."""
    return [Stop("KILL", operation) for operation in range(0, n_operations, step)]


def some(count: int, draw: random.Random, n_operations: int) -> list[Stop]:
    """At random moments, while files are written: 10 microseconds to a tenth of a second after any operation."""
    return [
        Stop(draw.choice(HOWS), draw.randrange(-1, n_operations), 10 ** draw.uniform(-5, -1))
        for _ in range(count)
    ]


@dataclass(frozen=True)
class Command:
    """A command to be stopped.

    Attributes
    ----------
    arguments
        Of `ruc`.
    begin
        What is done before it, from the images alone.
    """

    arguments: tuple[str, ...]
    begin: tuple[tuple[str, ...], ...] = ()


CLUSTER = ("cluster", "images", "-k", "2", "-o", "run", *RUN)
RENAMED = ("rename", "run", "0", "cats")
EVALUATED = ("evaluate", "run", "--truth", "truth.csv", "-q")
EMBED = ("embed", "images", "--embedder", "pixels", "-o", "f.npy", "-q")
PREDICT = ("predict", "run", "images", "-o", "new.csv", "-q")
FEWER = ("cluster", "fewer", "-k", "2", "-o", "seen", "--max-skipped", "50%", *RUN)
OTHER = ("cluster", "images", "-k", "3", "-o", "other", *RUN)
COPIES = ("copies", "images", "-o", "copies.csv", "-q")
CUT = ("cut", "other", "-k", "2", "-o", "coarser", "-q")
FORMATS = ("folders", "imagefolder", "label-studio", "coco", "fiftyone", "parquet", "onnx")
COMMANDS = {
    "cluster": Command(CLUSTER),
    "refine": Command(("refine", "images", "--labels", "truth.csv", "-o", "run", *RUN)),
    "overwrite": Command(
        ("cluster", "images", "-k", "3", "-o", "run", "--overwrite", *RUN), (CLUSTER, RENAMED, EVALUATED)
    ),
    "rename": Command(RENAMED, (CLUSTER, EVALUATED)),
    "merge": Command(("merge", "run", "0", "1"), (CLUSTER, EVALUATED)),
    "split": Command(("split", "run", "0"), (CLUSTER, EVALUATED)),
    "apply": Command(("apply", "run", "answers.csv"), (CLUSTER, EVALUATED)),
    "apply edits": Command(("apply", "run", "answers.csv", "--coverage", "90%"), (CLUSTER, RENAMED)),
    "undo": Command(("undo", "run"), (CLUSTER, RENAMED, ("split", "run", "1"))),
    "check": Command(("check", "run", "--n", "4"), (CLUSTER,)),
    "evaluate": Command(EVALUATED, (CLUSTER, ("evaluate", "run", "--truth", "other.csv", "-q"))),
    "predict": Command(PREDICT, (CLUSTER,)),
    "predict again": Command((*PREDICT, "--overwrite"), (CLUSTER, RENAMED, PREDICT)),
    "embed": Command(EMBED),
    "embed again": Command(("embed", "fewer", *EMBED[2:], "--overwrite", "--max-skipped", "50%"), (EMBED,)),
    "embed shards": Command(("embed", "images", "--embedder", "pixels", "-o", "shards", "-q")),
    **{
        to: Command(("export", "run", "--to", to, "-o", "out" + ".onnx" * (to == "onnx")), (CLUSTER,))
        for to in FORMATS
    },
    "parquet again": Command(
        ("export", "run", "--to", "parquet", "-o", "out", "--overwrite"),
        (CLUSTER, ("export", "run", "--to", "parquet", "-o", "out"), RENAMED),
    ),
    "copies": Command(COPIES),
    "copies again": Command(("copies", "fewer", *COPIES[2:], "--overwrite"), (COPIES,)),
    "leaks": Command(("leaks", "images", "fewer", "-o", "leaks.csv", "-q")),
    "pick": Command(("pick", "run", "-n", "4", "-o", "picked"), (CLUSTER,)),
    "compare": Command(("compare", "run", "other", "-o", "moved.csv"), (CLUSTER, OTHER)),
    "cut": Command(CUT, (OTHER,)),
    "cut again": Command((*CUT, "--overwrite"), (OTHER, CUT, ("rename", "coarser", "0", "cats"))),
    "update": Command(("update", "seen", "images", "-q"), (FEWER,)),
    "update drop": Command(
        ("update", "run", "fewer", "--vanished", "drop", "-q"), (CLUSTER, RENAMED, EVALUATED)
    ),
    "learn": Command(("refine", "run"), (CLUSTER, ("apply", "run", "right.csv"), EVALUATED)),
    "name": Command(("name", "run", "--words", "words.txt", "--model", "clip", "-q"), (CLUSTER, EVALUATED)),
}
OUTPUTS = ("out", "out.onnx", "shards", "picked", "moved.csv")
DONE_ALREADY = (
    "exists already", "was merged into", "nothing to undo", "is in 1", "has learned from all",
    "all clusters of the run",
)  # fmt: skip


class Harness:
    """Commands in a folder of their own, each in a child of this process, which has everything imported."""

    def __init__(self, place: Path) -> None:
        self.work, self.start, self.model = place / "work", place / "start", place / "clip"
        self.shim = ctypes.CDLL(None)
        self.shim.operations.restype = ctypes.c_long

    def child(self, work: Callable[[], None]) -> tuple[int, str]:
        """The exit status, negative for a signal, and what was said."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _in_child(work, writing)
        os.close(writing)
        signal.alarm(SECONDS)
        with os.fdopen(reading, encoding="utf-8", errors="replace") as pipe:
            said = pipe.read()
        signal.alarm(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said

    def ruc(self, arguments: Sequence[str], stop: Stop | None = None) -> tuple[int, str]:
        """Run a command, which may be stopped."""
        how = (-1, COUNT, 0, 0)
        if stop is not None:
            action = FULL if stop.how == "FULL" else SIGNAL
            number = getattr(signal, f"SIG{stop.how}", 0)
            how = (stop.operation, action, number, round(1e6 * stop.seconds))

        def work() -> None:
            from ruc.__main__ import main

            os.chdir(self.work)
            self.shim.arm(*map(ctypes.c_long, how))
            try:
                main(list(arguments))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                print(f"\n{self.shim.operations()} operations")

        return self.child(work)

    def begin(self) -> None:
        """As before the command."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.start, self.work)

    def seen(self) -> str:
        """What readers take for what is there; an error that isn't theirs is said too."""
        return self.child(lambda: print(json.dumps(_seen(self.work))))[1]


def _in_child(work: Callable[[], None], pipe: int) -> None:
    out = io.TextIOWrapper(os.fdopen(pipe, "wb"), encoding="utf-8", errors="replace", write_through=True)
    status = 0
    time.monotonic = lambda: 0.0  # how long an epoch took is part of the run
    with redirect_stdout(out), redirect_stderr(out):
        try:
            work()
        except SystemExit as stop:
            status = int(stop.code or 0)
        except BaseException:  # noqa: BLE001 - whatever gets through is reported
            import traceback

            traceback.print_exc(file=out)
            status = 70
    out.flush()
    os._exit(status)


def _seen(work: Path) -> list[str]:
    from ruc.errors import RucError
    from ruc.given_features import load_features, names_beside
    from ruc.run_folder import Places, read_run_and_model

    found = []
    for name in ("run", "seen", "coarser"):
        try:
            run, model = read_run_and_model(work / name)
            found.append(repr(run) + str([(part, one.config) for part, one in model.items()]))
        except RucError as error:
            found.append("none" if "is not a finished run" in str(error) else str(error))
    if Places.of(work, "f.npy").path("f.npy").exists():
        features = load_features(work / "f.npy")
        found.append(f"{features.shape} {names_beside(work / 'f.npy', len(features))}")
    places = Places.of(work, "new.csv")
    found += [_text(places.path(name)) for name in ("new.csv", "new_skipped.csv")]
    for table in ("copies", "leaks"):
        places = Places.of(work, f"{table}.csv")
        found += [_text(places.path(name)) for name in (f"{table}.csv", f"{table}_skipped.csv")]
    for output in (work / name for name in OUTPUTS):
        found += [str(sorted(contents(output).items())) if output.is_dir() else _text(output)]
    return [hashlib.sha256(one.encode("utf-8", "replace")).hexdigest() for one in found]


def _text(path: Path) -> str:
    return path.read_bytes().decode("latin-1") if path.exists() else ""


def contents(folder: Path, as_rows: bool = True) -> dict[str, str]:
    """The bytes of every file by its path, as a digest; folders too. Of a database its rows: bytes tell its history."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            _rows(path) if as_rows and path.suffix == ".sqlite" else path.read_bytes()
        ).hexdigest()
        if path.is_file()
        else "folder"
        for path in folder.rglob("*")
    }


def _rows(path: Path) -> bytes:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return "\n".join(sorted(database.iterdump())).encode()


def _differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def _is_outside(said: str) -> bool:
    """Whether a traceback ends before the command had begun, or after it had ended."""
    return Path(said.rpartition('File "')[2].partition('"')[0]).name in ("stops.py", "__main__.py")


def try_command(
    harness: Harness, name: str, command: Command, stops_of: Callable[[int], list[Stop]]
) -> tuple[int, int, list[str]]:
    """Stop it wherever `stops_of` the number of its operations says.

    Returns how many tries, how many states of the files these left (each is gone on from once), and what was wrong.
    """
    shutil.rmtree(harness.start, ignore_errors=True)
    shutil.rmtree(harness.work, ignore_errors=True)
    write_inputs(harness.work, harness.model)
    for arguments in command.begin:
        status, said = harness.ruc(arguments)
        assert status == 0, (name, arguments, said)
    shutil.copytree(harness.work, harness.start)
    old = harness.seen()
    status, said = harness.ruc(command.arguments)
    assert status == 0, (name, said)
    n_operations = int(said.split()[-2])
    new, expected = harness.seen(), contents(harness.work)
    harness.begin()
    assert harness.ruc(command.arguments)[0] == 0
    differing = _differing(contents(harness.work), expected)
    assert not differing, f"{name} is not repeatable: {differing}"
    stops, wrong = stops_of(n_operations), []
    tried: set[frozenset[tuple[str, str]]] = set()
    for stop in stops:
        harness.begin()
        status, said = harness.ruc(command.arguments, stop)
        if stop.how == "FULL" and "Traceback" in said:
            wrong.append(f"{name}, {stop}: {said[-600:]}")
        if stop.how == "INT" and status not in (0, 130, -signal.SIGINT) and not _is_outside(said):
            wrong.append(f"{name}, {stop}: ended with {status}: {said[-600:]}")
        if status == 130 and "give the same command again to go on" not in said:
            wrong.append(f"{name}, {stop}: how to go on isn't said: {said[-600:]}")
        if status == 0 or "report: run" in said:  # it came too late: all was done, and was said to be
            left = contents(harness.work)
            if status != 0:
                left.pop("run/.run.done", None)  # who made it is forgotten after that was said
            if differing := _differing(left, expected):
                wrong.append(f"{name}, {stop}: it was said to be done, but these differ: {differing}")
            continue
        state = frozenset(contents(harness.work, as_rows=False).items())
        if state in tried:
            continue
        tried.add(state)
        seen = harness.seen()
        if seen not in (old, new):
            wrong.append(f"{name}, {stop}: a reader took neither the old state nor the new one")
        status, said = harness.ruc(command.arguments)
        if status != 0 and not any(words in said for words in DONE_ALREADY):
            wrong.append(f"{name}, {stop}: again it ended with {status}: {said[-600:]}")
        if differing := _differing(contents(harness.work), expected):
            wrong.append(f"{name}, {stop}: in the end these differ: {differing}")
    return len(stops), len(tried), wrong


def write_inputs(folder: Path, model: Path) -> None:
    """Twelve small images in two kinds, fewer of them beside, what is known of them, and a model of images and text."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "fewer").mkdir()
    for row in range(12):
        pixels = rng.integers(0, 60, (8, 8)).astype(np.uint8)
        pixels[:, :4] += 120 * (row % 2)
        Image.fromarray(pixels).save(folder / "images" / f"{row:02d}.png")
        if row % 3:
            shutil.copy2(folder / "images" / f"{row:02d}.png", folder / "fewer")
    (folder / "images" / "broken.png").write_bytes(b"none")
    (folder / "fewer" / "broken.png").write_bytes(b"none")
    rows = "".join(f"{row:02d}.png,{row % 2}\n" for row in range(12))
    (folder / "truth.csv").write_text("file_name,label\n" + rows)
    (folder / "other.csv").write_text("file_name,label\n" + rows.replace(",1", ",0", 2))
    (folder / "answers.csv").write_text("file_name,answer\n00.png,yes\n01.png,yes\n02.png,no\n")
    (folder / "right.csv").write_text("file_name,label\n00.png,1\n01.png,0\n02.png,1\n03.png,0\n")
    (folder / "words.txt").write_text("square\nred bar\nblue column\n")
    if model.exists():
        shutil.copytree(model, folder / "clip")
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def preloaded(place: Path) -> None:
    """Start this program again with the shim that counts and stops."""
    shim = place / "file_operations.so"
    source = Path(__file__).with_name("file_operations.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(source), "-ldl"], check=True)
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    environment = {**os.environ, **threads, "LD_PRELOAD": str(shim), "RUC_STOPS": str(place)}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def main() -> None:
    """Tries as asked for; ends with 1 where anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--step", type=int, default=1, help="before every so manieth operation")
    parser.add_argument("--random", type=int, help="so many random moments instead")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shared = Path("/dev/shm")
    if "RUC_STOPS" not in os.environ:
        preloaded(Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None)))
    place = Path(os.environ["RUC_STOPS"])
    draw = random.Random(options.seed)
    harness = Harness(place)
    n_all, n_states_all, n_wrong = 0, 0, 0
    try:
        warm(harness, [COMMANDS[name] for name in options.only])
        gc.freeze()  # a child that collects garbage copies all memory
        for number, name in enumerate(options.only):
            stops_of = partial(every, options.step)
            if options.random:
                n = options.random // len(options.only) + (number < options.random % len(options.only))
                stops_of = partial(some, n, draw)
            n_stops, n_states, wrong = try_command(harness, name, COMMANDS[name], stops_of)
            print(f"{name}: stopped {n_stops} times, {n_states} states, {len(wrong)} wrong", flush=True)
            print("".join(f"  {one}\n" for one in wrong), end="", flush=True)
            n_all, n_wrong = n_all + n_stops, n_wrong + len(wrong)
            n_states_all += n_states
    finally:
        shutil.rmtree(place)
    print(f"{n_all} stops, {n_states_all} states, {n_wrong} wrong")
    sys.exit(n_wrong > 0)


def warm(harness: Harness, commands: Sequence[Command]) -> None:
    """Give each once, that children have everything imported."""
    given = dict.fromkeys(each for command in commands for each in (*command.begin, command.arguments))
    if any("clip" in arguments for arguments in given):
        sys.path.append(str(Path(__file__).parents[1]))
        from image_text_models import make_clip, save_image_text

        save_image_text(make_clip(), harness.model)
    write_inputs(harness.work, harness.model)
    os.chdir(harness.work)
    from ruc.cli import main as ruc

    for arguments in given:  # whether they are done doesn't matter
        with suppress(SystemExit), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            ruc(list(arguments))
    os.chdir("/")


if __name__ == "__main__":
    main()
