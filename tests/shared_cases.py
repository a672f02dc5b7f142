"""The cases that went wrong once, run all at one commit; not part of the suite.

    python tests/shared_cases.py [NAME …]

They lie in `cases/` beside the data (RUC_CASES says where else): inputs, each with a `case.py` that prints what comes
out, or a folder of images and its truth. What is right of each is said here.
"""

import csv
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

CASES = Path(os.environ.get("RUC_CASES", Path(__file__).parents[1] / "../shared/cases"))
COMMANDS = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
DIGITS = 65.0  # percent right of the digits that are read rightly: 70.8, with room for another processor


def _lines(text: str, with_: str) -> list[str]:
    return [line for line in text.splitlines() if with_ in line]


def _wrong_names(text: str) -> list[str]:
    """Each label at its image, or refused, by both doors."""
    right = re.compile(r"refine: (refused|1\.00 of).*evaluate: (refused|accuracy +100\.0)")
    lines = _lines(text, "evaluate: ")
    return [line for line in lines if not right.search(line)] + ([] if len(lines) == 8 else [text])


def _wrong_features(text: str) -> list[str]:
    wanted = ("000.png | labels at their row: 1.0", "labels at their row: 1.0\n", "accuracy  ", "100.0")
    return [each for each in wanted if each not in text]


def _wrong_order(text: str) -> list[str]:
    return [what for what in ("features", "labels") if not re.search(rf"{what} accuracy +100\.0", text)]


def _wrong_copies(text: str) -> list[str]:
    found = re.findall(r"ARI (-?[0-9.]+)", text)
    return [f"ARI {each}" for each in found if float(each) < 0.99] + ([] if len(found) == 11 else [text])


def _wrong_random(text: str) -> list[str]:
    """All at random: nothing is trusted, and that is said; up to 80% the repair is right."""
    wrong = [
        line for line in _lines(text, "random share 0.") if "0.95" not in line and "after 1.00" not in line
    ]
    at_random = [*_lines(text, "share 1.00"), *_lines(text, "shifted by"), *_lines(text, "permuted")]
    wrong += [line for line in at_random if "trusted 0.00" not in line]
    return wrong + ([] if text.count("nothing to do with these samples") >= 3 else ["it isn't said"])


def _wrong_floats(text: str) -> list[str]:
    """As bright in every second file as in the others, many grey levels, the groups found."""
    line = re.compile(
        r"grey levels +([0-9.]+)  mean brightness even +([0-9.]+) odd +([0-9.]+)  accuracy +([0-9.]+)"
    )
    found = [(each, line.search(each)) for each in _lines(text, "mean brightness")]
    return [
        each
        for each, match in found
        if match is None
        or float(match[1]) < 60
        or float(match[4]) < 95
        or abs(float(match[2]) - float(match[3])) > 12
    ] + ([] if len(found) >= 9 else [text])


def _wrong_review(text: str) -> list[str]:
    row = re.compile(r"review.csv: cluster (\S+) \| clusters.csv: cluster (\S+) ")
    return [
        line
        for line in _lines(text, "review.csv")
        if (found := row.search(line)) is None or found[1] != found[2]
    ]


def _wrong_classes(text: str) -> list[str]:
    """`datasets` gives the classes back as they are called, and none is lost in the repair."""
    wrong = []
    for line in _lines(text, " -> "):
        given, _, found = line.partition(" -> ")
        classes = re.findall(r"'([^']+)'", given)
        wrong += [] if all(f"'{name}': 10" in found for name in classes) else [line]
    return wrong + ([] if text.count(" -> ") == 5 else [text])


def _wrong_urls(text: str) -> list[str]:
    wanted = (
        "s3://bucket/Foto 0 ü.png", "gs://bucket/Foto 0 ü.png", "azure-blob://box/Foto 0 ü.png",
        "https://host/Foto%200%20%C3%BC.png", "/data/local-files/?d=Foto%200%20%C3%BC.png",
    )  # fmt: skip
    return [each for each in wanted if each not in text]


BY_OUTPUT: dict[str, Callable[[str], list[str]]] = {
    "label-name-column": _wrong_names,
    "features-names-beside": _wrong_features,
    "list-order": _wrong_order,
    "exact_copies": _wrong_copies,
    "random-labels-all-right": _wrong_random,
    "float_tiff": _wrong_floats,
    "uint32_and_white_is_zero": lambda text: (
        _lines(text, "WRONG") + ([] if text.count("as it should") == 4 else [text])
    ),
    "array_remedy": lambda text: _lines(text, "astype(np.uint8)"),
    "review_cluster_column": _wrong_review,
    "imagefolder_NA": _wrong_classes,
    "label_studio_s3": _wrong_urls,
    "phone_108_megapixels": lambda text: _lines(text, "phone.jpg,"),
}


def _of_images(name: str, folder: Path) -> list[str]:
    """A folder of images: clustered, evaluated where there is a truth, and every file accounted for."""
    case, run = CASES / name, folder / "run"
    clusters = "3" if name == "sound_tiff_called_damaged" else "4"
    command = ["ruc", "cluster", str(case / "images"), "-k", clusters, "--embedder", "pixels", "-o", str(run)]
    done = subprocess.run(
        [*command, "--max-skipped", "50%"], env=COMMANDS, capture_output=True, text=True, check=False
    )
    if done.returncode:
        return [done.stderr]
    said = done.stdout + done.stderr
    left_out = sum(map(int, re.findall(r"([0-9]+) \.\w+", "".join(_lines(said, "left out: ")[:1]))))
    skipped = list(csv.DictReader((run / "skipped.csv").open(encoding="utf-8")))
    read = list(csv.DictReader((run / "clusters.csv").open(encoding="utf-8")))
    there = sum(path.is_file() for path in (case / "images").rglob("*"))
    wrong = [row["reason"] for row in skipped if row["reason"].startswith("damaged")]
    if len(read) + len(skipped) + left_out != there:
        wrong.append(f"{len(read)} read, {len(skipped)} skipped, {left_out} left out of {there}")
    if name == "only_first_page" and "several pages" not in said:
        wrong.append("pages aren't spoken of")
    if (case / "truth.csv").exists() and name != "only_first_page":
        seen = subprocess.run(
            ["ruc", "evaluate", str(run), "--truth", str(case / "truth.csv")],
            env=COMMANDS, capture_output=True, text=True, check=True,
        )  # fmt: skip
        right = re.search(r"accuracy +([0-9.]+)", seen.stdout)
        wrong += [] if right and float(right[1]) >= DIGITS else [seen.stdout]
    return wrong


def judge(name: str) -> list[str]:
    """What is wrong of a case; empty where nothing is."""
    with tempfile.TemporaryDirectory(prefix="case") as folder:
        if name not in BY_OUTPUT:
            return _of_images(name, Path(folder))
        done = subprocess.run(
            [sys.executable, str(CASES / name / "case.py")],
            env={**COMMANDS, "TMPDIR": folder}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        is_refused = "no values: every pixel is NaN" in done.stderr  # the last image of float_tiff, rightly
        return BY_OUTPUT[name](done.stdout) if done.returncode == 0 or is_refused else [done.stderr[-2000:]]


if __name__ == "__main__":
    names = sys.argv[1:] or sorted(path.name for path in CASES.iterdir() if path.is_dir())
    found = {}
    for name in names:
        found[name] = judge(name)
        sys.stdout.write(f"{'WRONG' if found[name] else 'right'} {name}\n")
        sys.stdout.write("".join(f"    {text[:300]}\n" for text in found[name]))
        sys.stdout.flush()
    sys.exit(any(found.values()))
