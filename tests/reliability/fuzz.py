"""Give `ruc` damaged, malicious and senseless inputs: each must end in a result or in a line that says the cause.

    python tests/reliability/fuzz.py --count 100000 --seed 0
    python tests/reliability/fuzz.py --only labels run --count 2000
    python tests/reliability/fuzz.py --one run:17          one input again, with its traceback

A failure is a traceback, a crash, a hang, more than one line or one too long to read, a library's warning, anything
lost (what the command was given, or what was there before, is no longer as it was), or a result that can't be: a run
that can't be read, a row too few, a confidence above 1. Every input follows from its kind, its number and the seed.
The long work after an input was accepted isn't done, and of most evaluations and edits no report is made (EVERY).
"""

import argparse
import csv
import hashlib
import io
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml
from PIL import Image
from typer.main import get_command

sys.path.append(str(Path(__file__).parents[1]))
from image_text_models import make_clip, save_image_text

SECONDS = 60  # an input that takes longer hangs
LONGEST = 1500  # characters of a line that can still be read
BATCH = 200  # inputs a child process takes
# Of so many inputs that get there one is worked on; the others skip what costs most and asks nothing of the input.
EVERY = {
    "evaluation_figures": 100,
    "cut": 20,
    "find_pairs": 4,
    "report of an edit": 2,
    "report of an evaluation": 8,
}
N = 24  # samples

STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, -(2**63), 10**400, 1e308, -0.5, float("nan"), float("inf"), "", " ", "-1", "nan",
    "x" * 5000, "é", "e\u0301", "\ud800", "\x00", "\u202e", "a/b", "../../x", "/etc/passwd", "=1+1", "<script>",
    "{{7*7}}", "C:\\x", "00.png", [], {}, [[]], [1, 2], ["a"], {"a": 1}, "!!python/object/apply:os.system [ls]", "*a",
    "1" * 5000, "1e5", "2024-01-01", b"\xff",
)  # fmt: skip

EDITING = ("rename", "merge", "split", "undo", "apply", "check", "evaluate", "update", "refine", "name")
FLAGS = (
    "--overwrite",
    "--raw",
    "--include-junk",
    "--per-cluster",
    "--clear",
    "--json",
    "--excel-safe",
    "--corruptions",
)

PIXELS = ("--embedder", "pixels", "--image-size", "8")  # as large as the images are

command_line = cache(get_command)  # built anew for each call it comes out the same


class Accepted(Exception):  # noqa: N818 - it is none
    """The input was taken: the long work would begin here."""


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Bits turned, bytes cut off, left out, doubled, put in or made equal."""
    content = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 40))):
        at = draw.randrange(len(content) + 1)
        match draw.randrange(8):
            case 0 | 1 | 2 if at < len(content):
                content[at] ^= 1 << draw.randrange(8)
            case 3:
                del content[at:]
            case 4:
                del content[at : at + draw.randrange(1, 30)]
            case 5:
                content[at:at] = content[at : at + draw.randrange(1, 60)]
            case 6:
                content[at:at] = draw.randbytes(draw.randrange(1, 20))
            case _:
                content[at : at + 8] = bytes([draw.randrange(256)]) * len(content[at : at + 8])
    return bytes(content)


def strange_json(draw: random.Random, value: Any) -> Any:
    """The same with a value in it replaced, left out, renamed or nested."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        copy = dict(value)
        match draw.randrange(6):
            case 0:
                del copy[key]
            case 1:
                copy[str(draw.choice(STRANGE))] = copy.pop(key)
            case _:
                copy[key] = strange_json(draw, copy[key])
        return copy
    if isinstance(value, list) and value and draw.random() < 0.7:
        copy = list(value)
        at = draw.randrange(len(copy))
        match draw.randrange(5):
            case 0:
                del copy[at]
            case 1:
                copy.append(copy[at])
            case _:
                copy[at] = strange_json(draw, copy[at])
        return copy
    return draw.choice(STRANGE)


def json_text(draw: random.Random, value: Any) -> bytes:
    """Strange JSON, now and then nested or long beyond reason."""
    match draw.randrange(12):
        case 0:
            return b"[" * 100_000
        case 1:
            return json.dumps(value).replace("1", "1" * 5000, 1).encode()
        case 2:
            return damaged(draw, json.dumps(value).encode())
        case _:
            return json.dumps(strange_json(draw, value), default=str).encode("utf-8", "surrogatepass")


def yaml_text(draw: random.Random, value: Any) -> bytes:
    """Strange YAML."""
    text = yaml.safe_dump(value, sort_keys=False)
    match draw.randrange(12):
        case 0:
            return b"a: " + b"[" * 400  # deeper than Python's stack; PyYAML's time grows with the square
        case 1:
            return b"a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nsource: [*c,*c]\n"
        case 2:
            tags = (
                "!!python/object/apply:os.system ['touch hacked']",
                "!!python/name:os.system",
                "!!binary x",
                "!x y",
            )
            return f"source: {draw.choice(tags)}\n".encode()
        case 3 | 4:
            return damaged(draw, text.encode())
        case _:
            plain = json.loads(json.dumps(strange_json(draw, value), default=str))
            return yaml.safe_dump(plain, sort_keys=False).encode("utf-8", "surrogatepass")


def strange_npy(draw: random.Random, array: np.ndarray) -> bytes:
    """An array of another type, shape or content, or one whose header lies."""
    file = io.BytesIO()
    match draw.randrange(12):
        case 0:
            kind = draw.choice(
                ("<c8", "<c16", "<U3", "S4", "<M8[s]", "V8", "?", "<f2", ">f8", "<i8", "<u8", "<f16", "i1")
            )
            with np.errstate(all="ignore"):
                np.save(
                    file,
                    np.ones(array.shape, "f8").astype(kind) if kind != "V8" else np.zeros(array.shape, kind),
                )
        case 1:
            shapes = (
                (),
                (0,),
                (0, 3),
                (3, 0),
                (len(array),),
                (len(array), 1),
                (1, *array.shape),
                (len(array) + 1, *array.shape[1:]),
            )
            np.save(file, np.zeros(draw.choice(shapes), array.dtype))
        case 2:
            changed = array.astype(np.float64)
            changed[tuple(draw.randrange(side) for side in array.shape)] = draw.choice(
                (np.nan, np.inf, -1, 1e300, 2, 1e-320)
            )
            np.save(file, changed)
        case 3:
            shape = draw.choice(
                (
                    "(10**12,)",
                    "(-1, 4)",
                    "(99999999999, 99999999999)",
                    "(1" + "0" * 400 + ",)",
                    "'a'",
                    "(3.5,)",
                )
            )
            descr = draw.choice(
                (
                    "'<f4'",
                    "'|O'",
                    "'<U1000000000'",
                    "[('a','<f4')]",
                    "'x'",
                    "(" * 300 + ")" * 300,
                    "__import__('os')",
                )
            )
            header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
            header += b" " * (-(len(header) + 11) % 64) + b"\n"
            return (
                b"\x93NUMPY\x01\x00"
                + len(header).to_bytes(2, "little")
                + header
                + bytes(draw.choice((0, 8, 400)))
            )
        case 4:
            np.save(
                file,
                np.array([draw.choice(STRANGE) for _ in range(len(array))], dtype=object),
                allow_pickle=True,
            )
        case 5:
            np.savez(file, array=array)
        case 6:
            return b""
        case 7:
            np.save(file, np.asfortranarray(array))
        case _:
            np.save(file, array)
            return damaged(draw, file.getvalue())
    return file.getvalue()


def strange_csv(draw: random.Random, rows: Sequence[Sequence[Any]]) -> bytes:
    """A table with strange cells, rows or columns, in another encoding or form."""
    table = [list(row) for row in rows]
    for _ in range(draw.choice((1, 1, 2, 6))):
        row = draw.randrange(len(table))
        match draw.randrange(7):
            case 0 | 1 | 2 if table[row]:
                table[row][draw.randrange(len(table[row]))] = str(draw.choice(STRANGE))
            case 3:
                del table[row : row + draw.randrange(1, len(table) + 1)]
            case 4:
                table.insert(row, list(table[draw.randrange(len(table))]))
            case 5:
                table[row] = table[row][: draw.randrange(3)]
            case _:
                table[row] = [*table[row], "more"]
        table = table or [[]]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=draw.choice(",,,;\t|")).writerows(table)
    text = file.getvalue()
    match draw.randrange(12):
        case 0:
            return text.encode("utf-16", "surrogatepass")
        case 1:
            return text.encode("latin-1", "replace")
        case 2:
            return damaged(draw, text.encode("utf-8", "surrogatepass"))
        case 3:
            return text.replace("\r\n", draw.choice(("\r", "\n\n", "\x00", '"'))).encode(
                "utf-8", "surrogatepass"
            )
        case _:
            return text.encode("utf-8", "surrogatepass")


def strange_parquet(draw: random.Random, columns: dict[str, Any]) -> bytes:
    """A Parquet file with other columns, or a damaged one."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    changed = dict(columns)
    name = draw.choice(list(changed))
    n = len(changed[name])
    kinds = (
        lambda: [draw.choice((None, 1, -1, 2**40)) for _ in range(n)],
        lambda: [draw.choice((None, "a", "", "x" * 5000)) for _ in range(n)],
        lambda: [[1, 2]] * n, lambda: [{"a": 1}] * n, lambda: [None] * n, lambda: [b"\xff"] * n,
        lambda: [draw.choice((float("nan"), 1e300, -1.0, 0.5)) for _ in range(n)], lambda: [True] * n,
    )  # fmt: skip
    twice = ([], [])
    match draw.randrange(6):
        case 0:
            del changed[name]
        case 5:
            twice = ([name], [changed[name]])
        case 1:
            changed = {key: list(column)[: draw.randrange(n)] for key, column in changed.items()}
            changed = {key: column[: min(map(len, changed.values()))] for key, column in changed.items()}
        case 2:
            changed[name] = draw.choice(kinds)()
        case _:
            pass
    sink = io.BytesIO()
    changed = changed or {"x": []}
    columns = [pa.array(column) for column in (*changed.values(), *twice[1])]
    parquet.write_table(pa.Table.from_arrays(columns, names=[*changed, *twice[0]]), sink)
    content = sink.getvalue()
    return damaged(draw, content) if draw.random() < 0.5 else content


def parquet_bytes(columns: dict[str, Any]) -> bytes:
    """A Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def strange_member(draw: random.Random, suffix: str, content: bytes) -> bytes:
    """What a file of a run might be instead: of its kind, or damaged."""
    if draw.random() < 0.3:
        return damaged(draw, content)
    match suffix:
        case ".json":
            return json_text(draw, json.loads(content or b"0"))
        case ".yaml":
            return yaml_text(draw, yaml.safe_load(content))
        case ".npy":
            return strange_npy(draw, np.load(io.BytesIO(content)))
        case ".csv":
            return strange_csv(draw, list(csv.reader(io.StringIO(content.decode()))))
        case ".parquet":
            return strange_parquet(draw, _columns(content))
    return damaged(draw, content)


class Fuzz:
    """The kinds of inputs, each a method that puts one into `work` and returns the command that is given it."""

    kinds = (
        "labels",
        "probabilities",
        "features",
        "truth",
        "config",
        "edits",
        "answers",
        "options",
        "run",
        "images",
        "lists",
        "models",
        "shards",
        "words",
    )

    def __init__(self, place: Path) -> None:
        self.work, self.whole, self.printed = place / "work", place / "whole", place / "printed"
        self.states: dict[str, tuple[int, ...]] = {}  # of the files in `work` that are as in `whole`
        self.folders: set[str] = set()
        self.loaded: Any = None
        self.digests: dict[str, str] = {}

    def prepare(self) -> None:
        """Inputs that are as they should be, and runs on features and on images."""
        shutil.rmtree(self.whole, ignore_errors=True)
        self.whole.mkdir(parents=True)
        rng = np.random.default_rng(0)
        rows = np.eye(2, 6)[np.arange(N) % 2] + 0.2 * rng.standard_normal((N, 6))
        np.save(self.whole / "f.npy", rows.astype(np.float32))
        (self.whole / "images").mkdir()
        for row in range(N):
            pixels = rng.integers(0, 60, (8, 8, 3)).astype(np.uint8)
            pixels[:, :4] += 120 * (row % 2)
            Image.fromarray(pixels).save(self.whole / "images" / f"{row:02d}.png")
        shutil.copytree(self.whole / "images", self.whole / "more")
        for row in range(4):  # of the run that follows this folder some have vanished, and new ones are there
            (self.whole / "more" / f"{row:02d}.png").rename(self.whole / "more" / f"new{row}.png")
            pixels = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(self.whole / "more" / f"other{row}.png")
        (self.whole / "answers.csv").write_text("file_name,label\n00.png,1\n01.png,cats\n02.png,cats\n")
        save_image_text(make_clip(), self.whole / "clip")
        (self.whole / "words.txt").write_text("square\nred bar\nblue column\n")
        table = "".join(f"{row:02d}.png,{row % 2}\n" for row in range(N))
        (self.whole / "truth.csv").write_text("file_name,label\n" + table)
        begin = ("--epochs", "1", "-k", "2", "-q")
        with _at(self.whole):
            assert give(["cluster", "--features", "f.npy", "-o", "run", *begin])[0] == 0
            assert give(["cluster", "images", "--embedder", "pixels", "-o", "seen", *begin])[0] == 0
            for run, truth in (("run", "rows.csv"), ("seen", "truth.csv")):
                (self.whole / "rows.csv").write_text("label\n" + "".join(f"{row % 2}\n" for row in range(N)))
                assert give(["rename", run, "0", "cats"])[0] == 0
                if run == "seen":
                    assert give(["apply", run, "answers.csv"])[0] == 0
                with mock.patch("ruc.doors.measure.figure_to_svg", lambda _: "<svg/>"):
                    assert give(["evaluate", run, "--truth", truth, "-q"])[0] == 0
        self.digests = contents(self.whole)
        for path in self.whole.glob("*/config.yaml"):
            _known[path.read_text()] = yaml.safe_load(path.read_text())

    def restore(self) -> None:
        """Have in `work` what is in `whole`, and nothing else; what was left alone stays."""
        if not self.states:
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.copytree(self.whole, self.work)
            self.states = states(self.work)
            self.folders = {folder for folder, _, _ in os.walk(self.work)}
            return
        now = states(self.work)
        for path in now.keys() - self.states.keys():
            (self.work / path).unlink()
        for folder, _, _ in os.walk(self.work, topdown=False):
            if folder not in self.folders:
                shutil.rmtree(folder)
        for path, state in self.states.items():
            if now.get(path) != state:
                (self.work / path).parent.mkdir(parents=True, exist_ok=True)
                (self.work / path).unlink(missing_ok=True)
                shutil.copy2(self.whole / path, self.work / path)
                self.states[path] = state_of(self.work / path)

    def has_model(self) -> bool:
        """Whether the model of images and text is as it was."""
        there = states(self.work / "clip")
        return there == {path[5:]: state for path, state in self.states.items() if path.startswith("clip/")}

    def image_text(self, folder: Path, runtime: Any) -> Any:
        """That model, read once."""
        from ruc.embed.image_text import load_image_text

        if str(folder) != "clip":
            return load_image_text(folder, runtime)
        self.loaded = self.loaded or load_image_text(folder, runtime)
        return self.loaded

    def put(self, kind: str, number: int, seed: int) -> list[str]:
        """Make the input of a kind and a number; returns the command."""
        self.restore()
        made: list[str] = getattr(self, kind)(random.Random(f"{seed} {kind} {number}"))
        return made

    def labels(self, draw: random.Random) -> list[str]:
        """`refine --labels`."""
        names = [f"{row:02d}.png" for row in range(N)]
        labels = (
            [draw.choice(("cat", "dog")) for _ in range(N)]
            if draw.random() < 0.5
            else [str(row % 2) for row in range(N)]
        )
        match draw.randrange(4):
            case 0:
                (self.work / "labels.npy").write_bytes(strange_npy(draw, np.arange(N) % 2))
                name = "labels.npy"
            case 1:
                (self.work / "labels.parquet").write_bytes(
                    strange_parquet(draw, {"file_name": names, "label": labels})
                )
                name = "labels.parquet"
            case _:
                rows = [("file_name", "label"), *zip(names, labels, strict=True)]
                (self.work / "labels.csv").write_bytes(strange_csv(draw, rows))
                name = "labels.csv"
        source = ["--features", "f.npy"] if draw.random() < 0.3 else ["images", *PIXELS]
        return ["refine", *source, "--labels", name, "-o", "new", "-q"]

    def probabilities(self, draw: random.Random) -> list[str]:
        """`refine --probabilities`."""
        rows = np.full((N, 2), 0.25)
        rows[np.arange(N), np.arange(N) % 2] = 0.75
        (self.work / "p.npy").write_bytes(strange_npy(draw, rows))
        return [
            "refine",
            "--features",
            "f.npy",
            "--labels",
            "rows.csv",
            "--probabilities",
            "p.npy",
            "-o",
            "new",
            "-q",
        ]

    def features(self, draw: random.Random) -> list[str]:
        """`cluster --features`, and `predict`."""
        (self.work / "g.npy").write_bytes(strange_npy(draw, np.load(self.whole / "f.npy")))
        if draw.random() < 0.5:
            return ["predict", "run", "--features", "g.npy", "-o", "new.csv", "-q"]
        return [
            "cluster",
            *(["images"] if draw.random() < 0.3 else []),
            "--features",
            "g.npy",
            "-o",
            "new",
            "-q",
        ]

    def truth(self, draw: random.Random) -> list[str]:
        """`evaluate --truth`."""
        names, labels = [f"{row:02d}.png" for row in range(N)], [row % 3 for row in range(N)]
        match draw.randrange(4):
            case 0:
                (self.work / "t.npy").write_bytes(strange_npy(draw, np.array(labels)))
                return ["evaluate", "run", "--truth", "t.npy", "-q"]
            case 1:
                (self.work / "t.parquet").write_bytes(
                    strange_parquet(draw, {"file_name": names, "label": labels})
                )
                return ["evaluate", "seen", "--truth", "t.parquet", "-q"]
            case _:
                (self.work / "t.csv").write_bytes(
                    strange_csv(draw, [("file_name", "label"), *zip(names, labels, strict=True)])
                )
                return ["evaluate", "seen", "--truth", "t.csv", "-q"]

    def config(self, draw: random.Random) -> list[str]:
        """`cluster --config`."""
        settings = yaml.safe_load((self.whole / "seen" / "config.yaml").read_text())
        (self.work / "c.yaml").write_bytes(yaml_text(draw, {**settings, "output": "new"}))
        return ["cluster", "--config", "c.yaml", "-o", "new", "-q"]

    def edits(self, draw: random.Random) -> list[str]:
        """`apply` with an edits.json that a report made."""
        from ruc.edits import junk_clusters, run_id
        from ruc.run_folder import read_run

        run = read_run(self.whole / "seen")
        edits = [
            {"op": "rename", "cluster": 0, "name": "cats"}, {"op": "junk", "cluster": 1, "junk": True},
            {"op": "move", "cluster": 2, "file_names": ["00.png"]}, {"op": "merge", "clusters": [0, 1]},
            {"op": "split", "cluster": 0, "parts": [["02.png"]]},
            {"op": "answer", "file_name": "03.png", "asked": 1, "right": None}, {"op": "learn"},
        ]  # fmt: skip
        draw.shuffle(edits)
        content = {
            "format": "ruc-edits", "version": 1, "edits": edits[: draw.randrange(1, 6)],
            "run": run_id(run.file_names, run.cluster, run.cluster_names, junk_clusters(run)),
        }  # fmt: skip
        if draw.random() < 0.8:  # what passes the first checks
            content["edits"] = strange_json(draw, content["edits"])
            text = json.dumps(content, default=str).encode("utf-8", "surrogatepass")
        else:
            text = json_text(draw, content)
        (self.work / "edits.json").write_bytes(text)
        return ["apply", "seen", "edits.json"]

    def answers(self, draw: random.Random) -> list[str]:
        """`apply` with a table of answers."""
        rows = [(f"{row:02d}.png", row % 2, draw.choice(("yes", "no", "")), "") for row in range(8)]
        (self.work / "a.csv").write_bytes(
            strange_csv(draw, [("file_name", "cluster", "answer", "label"), *rows])
        )
        return ["apply", "seen", "a.csv"]

    def options(self, draw: random.Random) -> list[str]:
        """Any command with senseless options."""
        values = [
            *map(str, STRANGE),
            "run",
            "seen",
            "images",
            "f.npy",
            "truth.csv",
            "0",
            "2",
            "5:50",
            "50:5",
            "auto",
            "kmeans",
            "1e9",
        ]
        values += [
            "epsilon=0.3",
            "n_epochs=-1",
            "n_neighbors=nan",
            "epsilon=" + "[" * 300,
            "epsilon=1e400",
            "x" * 300 + ".csv",
        ]
        options = {
            "cluster": ("-k", "-o", "--features", "--embedder", "--base", "--space", "--image-size", "--preset",
                        "--set", "--epochs", "--review", "--max-skipped", "--seed", "--device", "--config",
                        "--overwrite"),
            "refine": ("--labels", "--probabilities", "--features", "-o", "--set", "--selection"),
            "predict": ("-o", "--features", "--raw", "--device", "--max-skipped", "--most-novel", "--excel-safe",
                        "--overwrite"),
            "evaluate": ("--truth", "--attack", "--device", "--corruptions", "--json"),
            "embed": ("-o", "--embedder", "--image-size", "--seed", "--overwrite"),
            "export": ("--to", "-o", "--how", "--images", "--image-root", "--include-junk", "--overwrite"),
            "merge": (), "split": ("--parts",), "rename": (), "undo": ("--edits",), "apply": (),
            "check": ("--n", "--seed"),
            "copies": ("-o", "--excel-safe", "--overwrite", "--json"),
            "leaks": ("-o", "--excel-safe", "--overwrite", "--json"), "info": ("--json",),
            "cache": ("--clear", "--json"),
            "pick": ("-o", "-n", "--by", "--per-cluster", "--how", "--images", "--excel-safe"),
            "nearest": ("-n", "--device", "--json"), "compare": ("-o", "--excel-safe", "--overwrite", "--json"),
            "update": ("--vanished", "--new-clusters", "--device"), "cut": ("-k", "-o", "--device", "--overwrite"),
            "name": ("--words", "--model", "--prompt", "--images", "--device", "--json"),
        }  # fmt: skip
        command = draw.choice(list(options))
        first = (
            draw.choice(("images", "more", "seen", "run", *values[:20]))
            if command in ("cluster", "refine", "embed", "copies", "leaks", "cache")
            else draw.choice(("seen", "run"))
        )
        arguments = [command, first]
        arguments += [
            draw.choice(values)
            for _ in range({"rename": 2, "merge": 2, "split": 1, "apply": 1, "predict": 1, "leaks": 1,
                            "nearest": 1, "compare": 1, "update": 1}.get(command, 0))
        ]  # fmt: skip
        for option in draw.sample(options[command], min(len(options[command]), draw.randrange(1, 4))):
            arguments.append(option)
            if option not in FLAGS:
                arguments.append(draw.choice(values))
        return [argument.replace("\x00", "0").encode("utf-8", "replace").decode() for argument in arguments]

    def run(self, draw: random.Random) -> list[str]:
        """A run folder of which a member or two are damaged."""
        name = draw.choice(("run", "seen"))
        folder = self.work / name
        members = sorted(
            path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".html", ".svg")
        )
        for path in draw.sample(members, draw.choice((1, 1, 1, 2))):
            content = path.read_bytes()
            if draw.random() < 0.1:
                path.unlink()
            else:
                path.write_bytes(strange_member(draw, path.suffix, content))
        new = ["--features", "f.npy"] if name == "run" else ["images"]
        truth = "rows.csv" if name == "run" else "truth.csv"
        as_json = draw.choice(([], ["--json"]))
        return draw.choice(
            (
                ["export", name, "--to", "label-studio", "-o", "new"],
                ["export", name, "--to", "parquet", "-o", "new.parquet"],
                ["predict", name, *new, "-o", "new.csv", "-q"],
                ["predict", name, *new, "-o", "new.csv", "-q"],
                ["rename", name, "1", "dogs"],
                ["merge", name, "0", "1"],
                ["split", name, "0"],
                ["undo", name],
                ["evaluate", name, "--truth", truth, "-q", *as_json],
                ["check", name, "--n", "4"],
                ["refine", name],
                ["cut", name, "-k", "3", "-o", "new", "-q"],
                [
                    "update",
                    "seen",
                    draw.choice(("images", "more")),
                    "-q",
                    *draw.choice(([], ["--vanished", "drop"])),
                ],
                ["info", name, *as_json],
                ["compare", name, draw.choice(("run", "seen")), *as_json],
                ["nearest", "seen", "more/new0.png", *as_json],
                ["pick", name, "-n", "4", "-o", "new"],
            )
        )

    def images(self, draw: random.Random) -> list[str]:
        """A folder in which some images are damaged."""
        for path in draw.sample(sorted((self.work / "images").iterdir()), 3):
            image = Image.open(path)
            kind = draw.choice(("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm", "tga", "ico"))
            options: dict[str, Any] = (
                {"compression": draw.choice(("raw", "tiff_lzw", "jpeg"))} if kind == "tiff" else {}
            )
            if kind in ("gif", "webp", "tiff") and draw.random() < 0.3:
                options |= {"save_all": True, "append_images": [image, image]}
            file = io.BytesIO()
            image.save(file, kind, **options)
            path.with_suffix(f".{kind}").write_bytes(damaged(draw, file.getvalue()))
            if kind != "png":
                path.unlink()
        share = ["--max-skipped", draw.choice(("0%", "50%"))]
        if draw.random() < 0.2:
            return ["copies", "images", "-o", "new.csv", "-q", *draw.choice(([], ["--json"]))]
        if draw.random() < 0.2:
            return ["update", "seen", "images", "-q"]
        if draw.random() < 0.2:
            return ["predict", "seen", "images", "-o", "new.csv", "-q", *share]
        return ["embed", "images", *PIXELS, "-o", "new.npy", "-q", *share]

    def lists(self, draw: random.Random) -> list[str]:
        """A table of images in place of a folder."""
        names = [f"images/{row:02d}.png" for row in range(N)]
        if draw.random() < 0.2:
            (self.work / "l.parquet").write_bytes(strange_parquet(draw, {"file_name": names}))
            name = "l.parquet"
        else:
            rows = [("file_name", "site"), *((one, "a") for one in names)]
            (self.work / "l.csv").write_bytes(strange_csv(draw, rows))
            name = "l.csv"
        if draw.random() < 0.2:
            return ["leaks", name, "more", "-o", "new.csv", "-q"]
        return ["embed", name, *PIXELS, "-o", "new.npy", "-q", "--max-skipped", "50%"]

    def models(self, draw: random.Random) -> list[str]:
        """A network in a file or a folder that is none."""
        name = draw.choice(("m.onnx", "m.pth", "m.pth.tar", "model"))
        if name == "model":
            (self.work / name).mkdir()
            config = {"model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
            (self.work / name / "config.json").write_bytes(json_text(draw, config))
            (self.work / name / "model.safetensors").write_bytes(draw.randbytes(draw.choice((0, 8, 200))))
        else:
            beside = {"size": 8, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
            (self.work / "m.json").write_bytes(json_text(draw, beside))
            content = (self.whole / "seen" / "features.npy").read_bytes() + draw.randbytes(400)
            (self.work / name).write_bytes(damaged(draw, content[draw.randrange(len(content)) :]))
        return ["embed", "images", "--embedder", name, "-o", "new.npy", "-q"]

    def shards(self, draw: random.Random) -> list[str]:
        """A folder of Parquet shards of features."""
        rows = np.load(self.whole / "f.npy")
        (self.work / "shards").mkdir()
        for number in range(3):
            part = range(8 * number, 8 * number + 8)
            columns = {"file_name": [f"{row:02d}.png" for row in part], "embedding": rows[part].tolist()}
            if draw.random() < 0.5:  # as many models write them, of other lengths or none
                columns["embedding"][draw.randrange(8)] = draw.choice(
                    (None, [], [0.5], [None] * 6, [float("nan")] * 6)
                )
            path = self.work / "shards" / draw.choice((f"{number}.parquet", "a/b.parquet", f"{number}.txt"))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(
                strange_parquet(draw, columns) if draw.random() < 0.5 else parquet_bytes(columns)
            )
        return draw.choice(
            (
                ["cluster", "--features", "shards", "-o", "new", "-q"],
                ["cluster", "--features", "shards", "--fit-on", "16", "-o", "new", "-q"],
                ["predict", "run", "--features", "shards", "-o", "new.csv", "-q"],
                ["refine", "--features", "shards", "--labels", "truth.csv", "-o", "new", "-q"],
            )
        )

    def words(self, draw: random.Random) -> list[str]:
        """`name` with a list of words, or a model of images and text, that is damaged."""
        if draw.random() < 0.5:
            words = [str(draw.choice(STRANGE)) for _ in range(draw.randrange(4))] + ["square", "red bar"]
            text = draw.choice(("\n", "\n", "\r\n", " ", "\x0b")).join(words).encode("utf-8", "surrogatepass")
            (self.work / "words.txt").write_bytes(damaged(draw, text) if draw.random() < 0.3 else text)
        else:
            path = draw.choice(sorted((self.work / "clip").iterdir()))
            content = strange_member(draw, path.suffix, path.read_bytes())
            path.unlink()
            if draw.random() < 0.9:
                path.write_bytes(content)
        return [
            "name",
            "seen",
            "--words",
            "words.txt",
            "--model",
            "clip",
            "-q",
            *draw.choice(([], ["--json"])),
        ]


def _columns(content: bytes) -> dict[str, Any]:
    import pyarrow.parquet as parquet

    table = parquet.read_table(io.BytesIO(content))
    return {name: table.column(name).to_pylist() for name in table.column_names}


@contextmanager
def _at(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def give(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Exit status, what was printed, and what was said beside that."""
    from ruc.cli import main

    out, err = io.StringIO(), io.StringIO()
    status = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 0
        except Accepted:
            out = io.StringIO("null")  # what would have been printed isn't known
        finally:
            logging.getLogger().handlers.clear()
    return status, out.getvalue(), err.getvalue()


def _stop(*_: object, **__: object) -> None:
    raise Accepted


def _too_long(*_: object) -> None:
    raise TimeoutError(f"no end after {SECONDS} seconds")


@contextmanager
def shortened(fuzz: Fuzz, number: int) -> Iterator[None]:
    """Without the long work, most figures and reports, and without reading again what isn't damaged."""
    from ruc.evaluation.runs import evaluate_run

    def skip(what: str, target: str, instead: Any) -> None:
        if number % EVERY[what]:
            patches.enter_context(mock.patch(target, instead))

    with ExitStack() as patches:
        for target, instead in (
            ("ruc.pipeline.find_neighbors", _stop),
            ("typer.main.get_command", command_line),
            ("ruc.doors.measure.evaluate_run", partial(evaluate_run, n_resamples=20)),
            ("ruc.readers.yaml.load", _loaded),
            ("logging.Logger.setLevel", _set_level),
        ):
            patches.enter_context(mock.patch(target, instead))
        if fuzz.has_model():
            patches.enter_context(mock.patch("ruc.doors.name_clusters.load_image_text", fuzz.image_text))
        skip("evaluation_figures", "ruc.doors.measure.evaluation_figures", lambda *_: {})
        skip("cut", "ruc.doors.cut_run.find_neighbors", _stop)
        skip("find_pairs", "ruc.doors.find_copies.find_pairs", _stop)
        skip("report of an edit", "ruc.doors.edit_folder.write_report", lambda *_: "")
        skip("report of an evaluation", "ruc.doors.measure.write_report", lambda *_: "")
        yield


_set_level_as_it_was = logging.Logger.setLevel


def _set_level(logger: logging.Logger, level: int) -> None:
    if level != logger.level:  # the same one again costs a walk over all the loggers of all libraries
        _set_level_as_it_was(logger, level)


_as_it_was = yaml.load
_known: dict[str, Any] = {}  # the settings of the two runs are most of what is read


def _loaded(text: str, Loader: Any) -> Any:
    if text in _known:
        return deepcopy(_known[text])
    return _as_it_was(text, Loader)


def contents(folder: Path) -> dict[str, str]:
    """The bytes of every file by its path, as a digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def states(folder: Path) -> dict[str, tuple[int, ...]]:
    """Which file is at each path, and when it was changed."""
    found: dict[str, tuple[int, ...]] = {}
    below = [("", str(folder))]
    while below:
        within, path = below.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append((f"{within}{entry.name}/", entry.path))
                else:
                    found[within + entry.name] = _state(entry.stat(follow_symlinks=False))
    return found


def state_of(path: Path) -> tuple[int, ...]:
    """What changes when the file does."""
    return _state(path.lstat())


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_ctime_ns, status.st_size, status.st_mode


def digest_of(path: Path) -> str:
    """Of the bytes of a file; what is none has none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def nonsense(work: Path, arguments: Sequence[str], printed: str) -> str | None:
    """What is wrong with what a command that said it was done wrote and printed; None: nothing that can be seen."""
    from ruc.readers import load_json, load_npy, load_parquet
    from ruc.run_folder import read_run

    if "--json" in arguments:
        try:
            json.loads(printed)
        except ValueError as error:
            return f"no JSON ({error}): {printed[:300]}"
    match arguments:
        case ["update", name, *_]:
            run = read_run(work / name)
            if not np.isfinite(run.probabilities).all() or len(set(run.file_names)) != len(run.cluster):
                return f"a run of {len(run.file_names)} images, probabilities {run.probabilities.ravel()[:9]}"
        case ["cut", *_] if (work / "new").exists():
            run = read_run(work / "new")
            if len(run.file_names) != N or run.n_clusters != 3:
                return f"cut into {run.n_clusters} clusters of {len(run.file_names)} images"
        case ["rename" | "merge" | "split" | "undo" | "apply" | "check" | "evaluate" | "name", name, *_]:
            run = read_run(work / name)
            if len(run.file_names) != N or not np.isfinite(run.probabilities).all():
                return f"a run of {len(run.file_names)} rows, probabilities {run.probabilities.ravel()[:9]}"
            scores = (run.metrics or {}).get("refined", {})
            for name in ("accuracy", "nmi"):
                if name in scores and not 0 <= scores[name] <= 1:
                    return f"{name} is {scores[name]}"
        case ["predict", *_] if (work / "new.csv").exists():
            with (work / "new.csv").open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            if "--features" not in arguments and not rows:
                return "nothing predicted"
            for row in rows:
                if not (row["cluster"] in "012345" and 0 <= float(row["confidence"]) <= 1):
                    return f"predicted: {row}"
        case ["embed", *_] if (work / "new.npy").exists():
            array = load_npy(work / "new.npy")
            lengths = np.linalg.norm(array, axis=1)
            if not len(array) or not (np.isclose(lengths, 1, atol=1e-4) | (lengths == 0)).all():
                return f"features {array.shape}, of lengths {lengths[:9]}"
        case ["export", *_]:
            for path in (work / "new").rglob("*.json") if (work / "new").is_dir() else ():
                load_json(path)
            if (work / "new.parquet").exists() and load_parquet(work / "new.parquet").num_rows != N:
                return "rows too few"
    return None


def fault_of(fuzz: Fuzz, kind: str, number: int, seed: int) -> str | None:
    """Give one input; what was wrong with how it ended, or None."""
    arguments = fuzz.put(kind, number, seed)
    if fuzz.printed.exists():
        os.truncate(fuzz.printed, 0)
    given = states(fuzz.work)
    before = {
        path: fuzz.digests[path] if state == fuzz.states.get(path) else digest_of(fuzz.work / path)
        for path, state in given.items()
    }
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(SECONDS)
    try:
        with _at(fuzz.work), shortened(fuzz, number):
            status, out, err = give(arguments)
            if status == 0 and (wrong := nonsense(fuzz.work, arguments, out)):
                return f"done, and {wrong}"
    except BaseException as error:  # noqa: BLE001 - whatever gets through is a fault
        return "".join(traceback.format_exception(error))
    finally:
        signal.alarm(0)
    now = states(fuzz.work)
    after = {
        path: before[path] if given.get(path) == state else digest_of(fuzz.work / path)
        for path, state in now.items()
    }
    may_change = arguments[1] + os.sep if status == 0 and arguments[0] in EDITING else None
    lost = [
        path
        for path, digest in before.items()
        if after.get(path) != digest
        and not path.startswith(".ruc_cache")
        and not (may_change and path.startswith(may_change))
    ]
    if lost and not {"--overwrite", "--clear"} & set(arguments):
        return f"lost or changed: {lost}"
    if (fuzz.work / "hacked").exists():
        return "something of the input ran"
    left = {
        path
        for path in after.keys() - before.keys()
        if ".new" in path or ".pending" in path or ".done" in path
    }
    if left:
        return f"left over: {sorted(left)}"
    lines = err.strip().splitlines()
    is_said = lines and lines[-1].startswith("ruc: ") and (len(lines) == 1 or "-q" not in arguments)
    if status == 1 and not is_said:
        return f"not one line: {err[:2000]}"
    if status not in (0, 1, 2):
        return f"ended with {status}: {err[:500]}"
    if any(len(line) > LONGEST for line in lines):
        return f"a line of {max(map(len, lines))} characters: {lines[0][:300]}"
    if fuzz.printed.exists() and (past := fuzz.printed.read_text(errors="replace")):
        return f"printed past Python: {past[:300]}"
    if "Warning" in err or "Traceback" in err:
        return f"a library's words: {err[:1000]}"
    return None


def _take(fuzz: Fuzz, inputs: Sequence[tuple[str, int]], seed: int, pipe: int) -> None:
    words = os.open(fuzz.printed, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    os.dup2(words, 1)  # what libraries print past Python
    os.dup2(words, 2)
    with os.fdopen(pipe, "w", encoding="utf-8", errors="replace") as told:
        for kind, number in inputs:
            fault = fault_of(fuzz, kind, number, seed)
            told.write(json.dumps([kind, number, fault]) + "\n")
            told.flush()


def batch(fuzz: Fuzz, inputs: Sequence[tuple[str, int]], seed: int) -> list[tuple[str, int, str]]:
    """Faults of so many inputs, which a child process takes; a crash counts for the input at which it came."""
    faults = []
    while inputs:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                _take(fuzz, inputs, seed, writing)
            finally:  # nothing of what the parent would do at its end
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            done = [json.loads(line) for line in pipe]
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        faults += [(kind, number, fault) for kind, number, fault in done if fault]
        inputs = inputs[len(done) :]
        if inputs:
            faults.append((*inputs[0], f"the process ended with {status}"))
            inputs = inputs[1:]
    return faults


def run_all(
    place: Path, kinds: Sequence[str], count: int, seed: int, say: Callable[[str], None]
) -> list[tuple[str, int, str]]:
    """So many inputs, of every kind alike; returns the faults."""
    fuzz = Fuzz(place)
    fuzz.prepare()
    inputs = [(kinds[number % len(kinds)], number // len(kinds)) for number in range(count)]
    faults = []
    for start in range(0, count, BATCH):
        found = batch(fuzz, inputs[start : start + BATCH], seed)
        for kind, number, fault in found:
            say(f"{kind}:{number}: {fault.strip()[-1200:]}")
        faults += found
        if (start // BATCH + 1) % 10 == 0:
            say(f"{min(start + BATCH, count)} inputs, {len(faults)} faults")
    return faults


def main() -> None:
    """Inputs as asked for; ends with 1 where there was a fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=Fuzz.kinds, default=list(Fuzz.kinds))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", help="kind:number")
    options = parser.parse_args()
    shared = Path("/dev/shm")
    place = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    try:
        if options.one:
            kind, number = options.one.split(":")
            fuzz = Fuzz(place)
            fuzz.prepare()
            print(fuzz.put(kind, int(number), options.seed))
            fault = fault_of(fuzz, kind, int(number), options.seed)
            print(fault)
        else:
            faults = run_all(
                place, options.only, options.count, options.seed, lambda text: print(text, flush=True)
            )
            print(
                f"{options.count} inputs, {len(faults)} faults: {dict(Counter(kind for kind, _, _ in faults))}"
            )
            fault = faults
    finally:
        shutil.rmtree(place)
    sys.exit(bool(fault))


if __name__ == "__main__":
    main()
