"""How many keys, and images looked at, until so many images are right: by the report's suggestions and its review.

    python experiments/deciding.py runs/*/ --truth DATA/stl10/truth.csv [--most 500] [--one]

A script answers in the report itself, in headless Chromium, as a person would who knows the truth: suggestions first (a
merge is right where both clusters mostly hold one class, a split where its parts mostly hold different ones), then the
review, twelve images at a time: each letter that sends an image on is a key, and so is Enter. With --one image by
image, with Shift where all marked look-alikes are of the image's class. Beside it the list as it was
before: every image in the order of its doubt, a key to confirm it or to send it to its second-best cluster, three keys
for any other. Right is what lies in the cluster that stands for its class under the best one-to-one matching; a person
who has gone through a list takes each cluster for the class that most of its images have.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Locator, Page, sync_playwright

from ruc.evaluation.metrics import contingency, correct_under, match_clusters
from ruc.evaluation.truth import Truth, read_truth
from ruc.run_folder import Run, read_run

GOALS = (0.90, 0.95, 0.99)
MOST_TURNS = 5
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu")


class Progress:
    """Keys and images looked at so far, and how many are right."""

    def __init__(self, run: Run, truth: Truth) -> None:
        self.cluster, self.truth, self.codes = run.cluster.copy(), truth, np.asarray(truth.codes)
        self.keys, self.seen = 0, set[int]()
        self.reached: dict[float, tuple[int, int]] = {}
        self.start = self.right()
        self.note()

    def right(self) -> float:
        """Share of the images."""
        labels = np.unique(self.cluster, return_inverse=True)[1].astype(np.int64)
        return float(
            correct_under(match_clusters(contingency(labels, self.truth)), labels, self.codes).mean()
        )

    def note(self) -> None:
        """Remember when a goal was reached."""
        now = self.right()
        for goal in GOALS:
            if now >= goal and goal not in self.reached:
                self.reached[goal] = (self.keys, len(self.seen))

    def standing_for(self, cluster: int) -> int:
        """The class that most images of the cluster have."""
        return Counter(self.codes[self.cluster == cluster].tolist()).most_common(1)[0][0]

    def target(self, row: int) -> int | None:
        """The cluster where an image belongs: its own, or else the largest that stands for its class."""
        if self.standing_for(int(self.cluster[row])) == self.codes[row]:
            return int(self.cluster[row])
        fitting = [one for one in np.unique(self.cluster) if self.standing_for(one) == self.codes[row]]
        return int(max(fitting, key=lambda one: (self.cluster == one).sum())) if fitting else None

    def line(self) -> str:
        """What was reached, in words."""
        goals = [f"{goal:.0%}: {keys} keys, {seen} seen" for goal, (keys, seen) in self.reached.items()]
        end = f"{self.right():.1%} after {self.keys} keys, {len(self.seen)} seen"
        return f"{self.start:.1%} → {end}; {', '.join(goals) or 'none reached'}"


def through_the_list(run: Run, truth: Truth, most: int) -> Progress:
    """The images in the order of their doubt, as `review.csv` and the report listed them."""
    progress = Progress(run, truth)
    others = run.probabilities.copy()
    others[np.arange(len(others)), run.cluster] = -1
    second = others.argmax(axis=1)
    for row in np.argsort(-run.marks["doubt"], kind="stable"):
        target = progress.target(int(row))
        progress.seen.add(int(row))
        progress.keys += 1 if target in (None, run.cluster[row], second[row]) else 3
        if target is not None:
            progress.cluster[row] = target
        progress.note()
        if GOALS[-1] in progress.reached or progress.keys >= most:
            break
    return progress


def through_the_report(run: Run, truth: Truth, page: Page, most: int, is_one: bool) -> Progress:
    """Suggestions, then the review, by the keys that a person would press."""
    progress = Progress(run, truth)
    for key, looked_at in _suggestions(page, progress):
        _press(page, progress, key, looked_at)
    page.keyboard.press("o" if is_one else "r")
    progress.keys += 1
    review = _one if is_one else _twelve
    while (
        progress.keys < most and GOALS[-1] not in progress.reached and not page.locator(".review-end").count()
    ):
        review(page, progress)
    return progress


def _twelve(page: Page, progress: Progress) -> None:
    """Each image where it belongs, or left open where no cluster stands for its class."""
    tiles = page.locator(".sheet-open")
    rows = _rows(tiles)
    for place, row in enumerate(rows):
        target = progress.target(row)
        wanted = -1 if target is None else target
        for _ in range(MOST_TURNS):
            shown = int(tiles.nth(place).get_attribute("data-target") or -1)
            if shown in (wanted, -1):
                break
            page.keyboard.press("abcdefghijkl"[place])
            progress.keys += 1
    _press(page, progress, "Enter", rows)


def _one(page: Page, progress: Progress) -> None:
    row = int(page.locator(".review-image").get_attribute("data-row") or -1)
    marked = _rows(page.locator(".near-one.marked button"))
    target = progress.target(row)
    offered = page.locator(".option").evaluate_all(
        "all => all.map(one => Number(one.dataset.action.slice(3)))"
    )
    place = offered.index(target) if target in offered else None
    key = "s" if place is None else str(place or "y")
    if marked and all(progress.codes[one] == progress.codes[row] for one in marked):
        key = f"Shift+{'Digit' + key if key.isdecimal() else key.upper()}"
    _press(page, progress, key, [row, *marked])


def _suggestions(page: Page, progress: Progress) -> Iterator[tuple[str, list[int]]]:
    while page.locator(".suggestion").count():
        card = page.locator(".suggestion").first
        card.focus()
        kind, *numbers = str(card.get_attribute("data-key")).split()
        strips = card.locator(".strip").all()
        rows = [_rows(strip.locator("button")) for strip in strips]
        if kind == "one":
            is_right = len({progress.standing_for(int(number)) for number in numbers}) == 1
        else:
            parts = [Counter(progress.codes[part].tolist()).most_common(1)[0][0] for part in rows[:2]]
            is_right = parts[0] != parts[1]
        yield ("y" if is_right else "n"), [row for part in rows for row in part]


def _press(page: Page, progress: Progress, key: str, looked_at: list[int]) -> None:
    n_before = len(_edits(page))
    page.keyboard.press(key)
    progress.keys += 1
    progress.seen.update(looked_at)
    for edit in _edits(page)[n_before:]:
        _perform(progress.cluster, edit)
    progress.note()


def _perform(cluster: NDArray[np.int64], edit: dict[str, Any]) -> None:
    if edit["op"] == "merge":
        cluster[np.isin(cluster, edit["clusters"])] = edit["clusters"][0]
    elif edit["op"] == "move":
        cluster[edit["rows"]] = edit["cluster"]
    elif edit["op"] == "split":
        first_new = cluster.max() + 1
        for number, rows in enumerate(edit["parts"]):
            cluster[rows] = first_new + number


def _rows(pictures: Locator) -> list[int]:
    return [int(row) for row in pictures.evaluate_all("all => all.map(one => one.dataset.row)")]


def _edits(page: Page) -> list[dict[str, Any]]:
    kept = page.evaluate(
        "Object.entries(localStorage).filter(([key]) => key.startsWith('ruc-edits')).map(([, value]) => value)"
    )
    return json.loads(kept[0]) if kept else []


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--most", type=int, default=5000, help="Keys.")
    parser.add_argument("--one", action="store_true", help="Image by image.")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=options.chromium, args=list(ARGUMENTS))
        for folder in options.runs:
            run = read_run(folder)
            truth = read_truth(options.truth, run.file_names)
            print(f"{folder.name}, the list: {through_the_list(run, truth, options.most).line()}", flush=True)
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            page = context.new_page()
            page.goto((folder / "report.html").resolve().as_uri())
            print(
                f"{folder.name}, the report: {through_the_report(run, truth, page, options.most, options.one).line()}",
                flush=True,
            )
            context.close()


if __name__ == "__main__":
    main()
