"""The report in a real browser, with no way out of the page."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import chromium, reload_until, unfold
from colours import BREAKOUT, HOSTILE, make_data
from PIL import Image

from ruc.edits import apply_edits, read_edits
from ruc.edits.nearest import nearest_images
from ruc.edits.suggest import suggest
from ruc.evaluation.evaluate import evaluate
from ruc.marks import doubt_of
from ruc.report import thumbnails
from ruc.report.data import ReportData
from ruc.report.report import write_report
from ruc.run_folder import Run

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install 'ruc[dev]'"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


class Visit:
    """One opened report: its page, and what it complained of or asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}, **options)
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.refused: dict[str, str] = {}
        self.page.on("requestfailed", lambda one: self.refused.update({one.url: one.failure}))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).first.inner_text())

    def names(self) -> list[str]:
        """File names in the table, as shown."""
        return [str(name) for name in self.page.locator("#images .file-name").all_inner_texts()]

    def listed(self, count: int) -> None:
        """Wait until the table shows so many files (a function to wait for needs `eval`: forbidden here)."""
        playwright.expect(self.page.locator("#images .file-name")).to_have_count(count, timeout=60_000)

    def kept(self, kind: str) -> list[Any]:
        """The list that the browser keeps of this kind."""
        kept = self.page.evaluate(
            "(kind) => Object.entries(localStorage).filter(([key]) => key.startsWith(kind)).map(([, value]) => value)",
            kind,
        )
        return json.loads(kept[0]) if kept else []

    def store(self) -> list[dict[str, Any]]:
        """The edits that the browser keeps."""
        return self.kept("ruc-edits")


def choose(select: Any, value: str) -> None:
    """As a hand does: the options of a list of clusters come with the focus."""
    select.focus()
    select.select_option(value)


def wait_for_focus(page: Any, action: str) -> None:
    page.wait_for_function("action => document.activeElement.dataset.action === action", arg=action)


def focused(page: Any) -> str:
    """What the keyboard is on, by what it does."""
    return str(
        page.evaluate(
            "((one) => one.dataset.action || one.ariaLabel || one.textContent)(document.activeElement)"
        )
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("report"), make_data())


def written(folder: Path, data: ReportData, **options: Any) -> str:
    path = folder / "report.html"
    path.write_text(write_report(data, **options), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    opened = Visit(browser, address)
    yield opened
    opened.context.close()
    assert opened.complaints == []
    assert {url.split(":")[0] for url in opened.requests} <= {"file", "data", "blob"}
    assert [url for url in opened.requests if url.startswith("file:")] == [address]


def test_first_screen(visit: Visit) -> None:
    data = make_data()
    assert visit.text("h1") == "colours"
    headline = visit.text(".headline")
    assert "240 images in 4 clusters" in headline
    assert "RUC moved 24 of them (10.0 %)" in headline
    assert f"in doubt about {(data.confidence <= 0.8).sum()}." in headline
    assert "How many are in the right cluster isn’t known" in headline
    assert visit.page.locator(".size").count() == 4
    flows = visit.page.locator(".flow")
    # every tenth image came from the cluster below its own: 2 ← 1 and 0 ← 3, twelve times each
    assert sorted(text.replace("\n", " ") for text in flows.all_inner_texts()) == [
        "1 → 2 12 images",
        "3 → 0 12 images",
    ]
    flows.first.click()
    assert visit.page.locator(".flow-open .tile img").count() > 0
    assert visit.page.locator(".flow-open .tile-open").first.get_attribute("title").endswith("%")
    assert flows.first.get_attribute("aria-expanded") == "true"


def test_untrusted_text_stays_text(visit: Visit) -> None:
    page = visit.page
    for selector in ("#clusters", "#images", "#map", "#skipped", "#settings"):
        page.locator(selector).scroll_into_view_if_needed()
    unfold(page, "#settings")
    page.fill("#search", "hacked")
    visit.listed(2)
    assert set(visit.names()) == {HOSTILE, BREAKOUT}
    page.locator("#images .file-name").first.click()
    page.locator("dialog.detail").wait_for()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0
    assert BREAKOUT in visit.text("#settings pre")
    assert "<b>not an image</b>" in visit.text("#skipped")
    assert "<i>look</i>" in visit.text(".warnings")
    assert "Note: <i>all</i> is well." in visit.text("#outcome")
    assert len(page.locator("script").all()) == 3  # data, one sheet of thumbnails, the program


def test_nothing_can_be_injected_or_sent(visit: Visit) -> None:
    page = visit.page
    page.evaluate("""() => {
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 1';
        document.body.append(script);
        const image = document.createElement('img');
        image.src = 'https://example.org/a.png';
        document.body.append(image);
    }""")
    refused = page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    assert page.evaluate("window.hacked") is None
    assert set(visit.refused) == {url for url in visit.requests if url.startswith("http")}
    assert set(visit.refused.values()) == {"csp"}
    assert all("Content Security Policy" in text for text in visit.complaints), visit.complaints
    assert len(visit.complaints) >= 3
    visit.complaints.clear()
    visit.requests[:] = [url for url in visit.requests if url not in visit.refused]


def test_gallery_orders_and_pages(visit: Visit) -> None:
    page, data = visit.page, make_data()
    panel = page.locator("#cluster-1")
    panel.scroll_into_view_if_needed()
    panel.locator(".tile").first.wait_for()
    shown = panel.locator(".tile-open")

    def rows() -> list[int]:
        return [int(shown.nth(index).get_attribute("data-row")) for index in range(shown.count())]

    first = rows()
    assert panel.locator(".page-text").inner_text() == f"1–{len(first)} of 60"
    panel.get_by_label("Next page").click()
    assert not set(first) & set(rows())
    panel.get_by_role("button", name="Doubtful").click()
    members = np.flatnonzero(data.cluster == 1)
    expected = sorted(members, key=lambda row: (round(10_000 * data.confidence[row]), row))
    assert rows() == [int(row) for row in expected[: len(rows())]]
    page.locator("#cluster-2").scroll_into_view_if_needed()
    page.locator("#cluster-2").get_by_role("button", name="Newly joined").click()
    assert page.locator("#cluster-2 .flag").count() == page.locator("#cluster-2 .tile").count() == 12
    image = page.locator("#cluster-2 .tile img").first
    assert image.get_attribute("alt").startswith("folder/image_")
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 24


def test_table_searches_sorts_and_filters(visit: Visit) -> None:
    page, data = visit.page, make_data()
    page.fill("#search", "IMAGE_0010")
    visit.listed(10)
    assert visit.names() == [f"folder/image_{row:05d}.png" for row in range(100, 110)]
    page.fill("#search", "")
    visit.listed(25)
    page.locator("th.col-confidence button").click()
    assert visit.names()[0] == data.file_names[int(data.confidence.argmin())]
    page.locator("th.col-confidence button").click()
    assert visit.names()[0] == data.file_names[int(data.confidence.argmax())]
    assert page.locator("th.col-confidence").get_attribute("aria-sort") == "descending"
    status = page.locator("#images").get_by_label("Status")
    assert "Placed by RUC" not in status.locator("option").all_inner_texts()  # every image had a cluster
    status.select_option("changed")
    page.locator("#images").get_by_label("Cluster", exact=True).select_option("2")
    assert len(visit.names()) == 12
    status.select_option("")
    page.locator("#images").get_by_label("Cluster", exact=True).select_option("")
    page.locator("th.col-name button").click()
    first = visit.names()
    page.locator("#images").get_by_label("Next page").click()
    assert not set(first) & set(visit.names())
    assert visit.text("#images .pager .page-text") == "26–50 of 240"
    page.locator("#images").get_by_label("Previous page").click()
    assert visit.names() == first
    page.fill("#search", "no such file")
    page.get_by_text("No image fits").wait_for()


def test_map_hover_and_lasso(visit: Visit) -> None:
    page, data = visit.page, make_data()
    frame = page.locator(".map-frame")
    frame.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    box = frame.bounding_box()
    row = 57
    # where the page puts the point, worked out here once more
    positions = np.asarray(data.positions, dtype=float)
    low, high = positions.min(axis=0), positions.max(axis=0)  # there is no outlier
    unit = (positions - (low + high) / 2) / (high - low).max() + 0.5
    side = min(box["width"] - 2, box["height"] - 2) - 24
    x = box["x"] + box["width"] / 2 + (unit[row, 0] - 0.5) * side
    y = box["y"] + box["height"] / 2 + (0.5 - unit[row, 1]) * side
    page.mouse.move(x, y)
    page.locator(".tip").wait_for()
    assert visit.text(".tip-name") == data.file_names[row]
    assert page.locator(".tip img").count() == 5  # itself, and its four nearest
    page.mouse.move(x - 25, y - 25)
    page.mouse.down()
    for step_x, step_y in ((25, -25), (25, 25), (-25, 25), (-25, -25)):
        page.mouse.move(x + step_x, y + step_y, steps=4)
    page.mouse.up()
    page.get_by_text("in the lasso").first.wait_for()
    near = np.abs((unit - unit[row]) * side).max(axis=1) < 25
    assert visit.text(".map-found-head").startswith(f"{near.sum()} image")
    caught = page.locator(".map-found .tile-open")
    assert {int(caught.nth(index).get_attribute("data-row")) for index in range(caught.count())} <= set(
        np.flatnonzero(near).tolist()
    )
    for value in ("confidence", "changed"):
        page.get_by_label("Colour by").select_option(value)
    page.mouse.click(x, y, button="right")
    page.mouse.move(box["x"] + box["width"] + 40, y)
    page.mouse.down()  # a selection of text that ends over the map
    page.mouse.move(x, y)
    page.mouse.up()
    assert not page.locator("dialog.detail").is_visible()
    page.mouse.click(x, y)
    assert visit.text("dialog.detail h3") == data.file_names[row]


def test_edits_reach_the_run(visit: Visit, tmp_path: Path) -> None:
    """Rename, merge, junk, move and undo in the page; what is downloaded does the same to the run."""
    page, data = visit.page, make_data()
    page.locator("#cluster-3").scroll_into_view_if_needed()
    page.get_by_label("Name of cluster 3").fill('sunsets "<b>"')
    page.keyboard.press("Enter")
    choose(page.locator("#cluster-1").get_by_label("Merge into…"), "0")
    page.locator("#cluster-1").wait_for(state="detached")
    assert page.locator("#cluster-0 .panel-numbers b").first.inner_text() == "120"
    page.locator("#cluster-3").get_by_role("button", name="Mark as junk").click()
    page.locator("#cluster-2 .tile-open").first.focus()
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    assert visit.text(".editbar").startswith("2 selected")
    choose(page.locator(".editbar").get_by_label("Move to…"), "4")
    moved = visit.store()[-1]["rows"]
    assert len(moved) == 2
    page.locator("#cluster-4").wait_for()
    page.locator("#doubtful").scroll_into_view_if_needed()
    confirm = page.locator("#doubtful .verdicts button").first
    n_doubtful = int(visit.text("a[href='#doubtful'] .stat-value"))
    confirm.click()
    assert int(visit.text("a[href='#doubtful'] .stat-value")) == n_doubtful - 1
    page.keyboard.press("u")
    assert int(visit.text("a[href='#doubtful'] .stat-value")) == n_doubtful
    page.locator(".editbar").get_by_role("button", name="Redo").click()
    assert int(visit.text("a[href='#doubtful'] .stat-value")) == n_doubtful - 1

    before = visit.text(".headline")
    reload_until(page, lambda: visit.text(".headline") == before)  # kept in the browser
    assert len(visit.store()) == 5
    with page.expect_download() as download:
        page.locator(".editbar").get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "edits.json"
    path = tmp_path / "edits.json"
    download.value.save_as(path)
    run = as_run(data)
    edited = apply_edits(run, read_edits(path, run))
    kept_by_page = page.locator("#images")
    assert edited.cluster_names == ("0", "1", "2", 'sunsets "<b>"', "4")
    assert edited.notes["junk_clusters"] == [3]
    assert edited.cluster[moved].tolist() == [4, 4]
    assert (edited.cluster == 0).sum() == 120
    assert edited.marks["moved_by_hand"].sum() == 3
    for cluster in (0, 2, 3, 4):
        kept_by_page.get_by_label("Cluster", exact=True).select_option(str(cluster))
        count = int(visit.text("#images .filters .page-text").split()[0])
        assert count == (edited.cluster == cluster).sum(), cluster
    visit.requests[:] = visit.requests[-1:]  # the reload asked for the file once more


def two_objects_in_one(n_each: int = 60) -> ReportData:
    """Cluster 0 holds two objects; clusters 1 and 2 are the halves of one."""
    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(4), n_each)
    features = np.eye(4)[np.array([0, 1, 2, 2])[kind]] + rng.normal(0, 0.1, (4 * n_each, 4))
    cluster = np.array([0, 0, 1, 2])[kind]
    probabilities = np.full((4 * n_each, 3), 0.05)
    probabilities[np.arange(4 * n_each), cluster] = 0.9
    confidence = probabilities.max(axis=1).astype(np.float32)
    return make_data(
        4 * n_each,
        cluster=cluster,
        initial_cluster=cluster,
        probabilities=probabilities,
        confidence=confidence,
        features=features / np.linalg.norm(features, axis=1, keepdims=True),
        cluster_names=["0", "1", "2"],
        positions=None,
        doubt=doubt_of(cluster, confidence, nearest_images(features)),
    )


def test_suggestions_are_accepted_by_one_key_and_taken_back(browser: Any, tmp_path: Path) -> None:
    """And every number follows as it does in the run itself."""
    data = two_objects_in_one()
    visit = Visit(browser, written(tmp_path, data))
    page = visit.page
    found = suggest(data.cluster, data.features, nearest_images(data.features))
    cards = page.locator(".suggestion")
    asked = {" ".join(text.split(":")[0].split()) for text in cards.locator("h3").all_inner_texts()}
    assert asked == {"0", "1 and 2"}
    assert {type(one).__name__ for one in found.ranked()} == {"SuggestedMerge", "SuggestedSplit"}
    assert len(found.ranked()) == 2
    assert visit.text("#next").count("Are Cluster 1 and Cluster 2 the same?") == 1
    for cluster, closest in ((1, 2), (2, 1)):  # the same links, not probabilities of which the rest is even
        card = page.locator(f"#cluster-{cluster}")
        card.scroll_into_view_if_needed()
        playwright.expect(card).to_contain_text(f"most like Cluster {closest}")
    (split,) = [one for one in found.splits if one.cluster == 0]
    page.locator("[data-key='two 0']").focus()
    page.keyboard.press("y")
    assert len(cards.all()) == 1
    assert visit.store() == [{"op": "split", "cluster": 0, "parts": [split.rows.tolist()]}]
    assert page.evaluate("document.activeElement.dataset.key") == "one 1 2"
    page.keyboard.press("y")
    assert cards.count() == 0
    assert visit.text("#suggestions .lead").startswith("Nothing to merge or to split stands out")
    page.locator("#cluster-1").scroll_into_view_if_needed()
    with page.expect_download() as download:
        page.locator(".editbar").get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "edits.json")
    run = replace(as_run(data), marks={"doubt": data.doubt})
    edited = apply_edits(run, read_edits(tmp_path / "edits.json", run))
    assert edited.confidence[data.cluster == 1] == pytest.approx(0.95)
    for cluster in (0, 1, 3):
        panel = page.locator(f"#cluster-{cluster}")
        panel.scroll_into_view_if_needed()
        members = edited.cluster == cluster
        numbers = " ".join(panel.locator(".panel-numbers").inner_text().split())
        assert numbers.startswith(f"{members.sum()} images")
        assert f" {(edited.marks['doubt'][members] >= 0.2).sum()} doubtful" in numbers
    page.keyboard.press("u")
    page.keyboard.press("u")
    assert cards.count() == 2
    page.locator("[data-key='two 0']").focus()
    page.keyboard.press("n")
    assert cards.count() == 1
    reload_until(page, lambda: cards.count() == 1)  # what was refused isn't asked again
    visit.context.close()
    assert visit.complaints == []


def test_what_is_thrown_away_or_placed_is_in_no_count_and_no_review(visit: Visit) -> None:
    page, data = visit.page, make_data()
    page.locator("#cluster-1").scroll_into_view_if_needed()
    page.locator("#cluster-1").get_by_role("button", name="Mark as junk").click()
    assert visit.text(".headline").startswith("180 images in 3 clusters, and 60 thrown away as junk.")
    page.locator("#doubtful").scroll_into_view_if_needed()
    shown = page.locator("#doubtful .tile-open")
    rows = [int(shown.nth(index).get_attribute("data-row")) for index in range(shown.count())]
    assert not [row for row in rows if data.cluster[row] == 1]
    targets = page.locator("#doubtful [data-action='second']").all_inner_texts()
    assert targets
    assert not [text for text in targets if text.split()[1] == "1"]  # nor is one to be sent there
    page.keyboard.press("u")


def test_review_by_keyboard(visit: Visit) -> None:
    """Every key: right, second best, a digit, junk, skip, undo, and with Shift the look-alikes too."""
    page, data = visit.page, make_data()
    page.keyboard.press("o")
    dialog = page.locator("#review")
    dialog.wait_for()

    def row() -> int:
        return int(page.locator(".review-image").get_attribute("data-row"))

    def offered() -> list[int]:
        names = page.locator(".option").evaluate_all("all => all.map((one) => one.dataset.action)")
        return [int(name.removeprefix("to-")) for name in names]

    def last() -> tuple[list[int], int]:
        edit = visit.store()[-1]
        return edit["rows"], edit["cluster"]

    assert page.locator(".near-one").count() == 12
    nearest = nearest_images(data.features)
    marked = page.locator(".near-one.marked button").evaluate_all("all => all.map((one) => one.dataset.row)")
    first = row()
    assert [int(one) for one in marked] == [
        one for one in nearest[first] if data.cluster[one] == data.cluster[first]
    ]
    assert offered()[0] == data.cluster[first]
    assert sorted(offered()) == [0, 1, 2, 3]
    page.keyboard.press("y")
    assert last() == ([first], data.cluster[first])
    second, choices = row(), offered()
    assert second != first
    page.keyboard.press("ArrowRight")
    assert last() == ([second], choices[1])
    third, choices = row(), offered()
    page.keyboard.press("3")
    assert last() == ([third], choices[3])
    page.keyboard.press("u")
    assert row() == third
    assert len(visit.store()) == 2
    page.keyboard.press("s")
    assert len(visit.store()) == 2
    fourth = row()
    assert fourth not in (first, second, third)
    alike = page.locator(".near-one.marked button").evaluate_all("all => all.map((one) => one.dataset.row)")
    page.keyboard.press("Shift+Y")
    assert last() == ([fourth, *(int(one) for one in alike)], data.cluster[fourth])
    fifth = row()
    assert fifth not in last()[0]
    page.keyboard.press("j")
    assert visit.store()[-2:] == [
        {"op": "move", "rows": [fifth], "cluster": 4}, {"op": "junk", "cluster": 4, "junk": True},
    ]  # fmt: skip
    page.keyboard.press("u")  # both edits of one key
    assert last() == ([fourth, *(int(one) for one in alike)], data.cluster[fourth])
    assert row() == fifth
    page.keyboard.press("j")
    sixth = row()
    page.keyboard.press("j")
    assert last() == ([sixth], 4)  # there is a place for junk by now
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    # A dialog says that it was closed a moment after it's gone, and only then is the page written anew.
    page.locator(".headline", has_text="2 thrown away as junk").wait_for()
    decided = visit.kept("ruc-seen")
    assert decided
    reload_until(page, lambda: visit.kept("ruc-seen") == decided)
    page.keyboard.press("o")
    dialog.wait_for()
    assert row() not in (first, second, third, fourth, fifth, sixth)  # who was seen stays seen
    page.keyboard.press("Escape")
    visit.requests[:] = visit.requests[-1:]


def test_review_of_twelve_at_a_time(browser: Any, tmp_path: Path) -> None:
    """The likeliest to be wrong first, each with where it seems to belong; letters send some on, Enter takes all."""
    data = make_data()
    truth = data.cluster.copy()
    wrong = np.arange(4, 64, 6)
    data = replace(data, cluster=np.where(np.isin(np.arange(240), wrong), (truth + 2) % 4, truth))
    visit = Visit(browser, written(tmp_path, data))
    page = visit.page
    page.keyboard.press("r")
    tiles = page.locator(".sheet-open")
    tiles.first.wait_for()

    def shown(name: str) -> list[int]:
        return [int(one) for one in tiles.evaluate_all(f"all => all.map((one) => one.dataset.{name})")]

    rows, targets = shown("row"), shown("target")
    assert len(rows) == 12
    assert set(wrong) <= set(rows)
    assert targets == truth[rows].tolist()  # moved where it is wrong, and else kept
    page.keyboard.press("b")
    assert shown("target")[1] != targets[1]
    for _ in range(4):  # through the other two clusters, and left open
        page.keyboard.press("b")
    assert shown("target") == targets
    tiles.nth(2).click()
    page.keyboard.press("Enter")
    after = data.cluster.copy()
    for edit in visit.store():
        assert edit["op"] == "move"
        after[edit["rows"]] = edit["cluster"]
    expected = truth[rows]
    assert (after[rows] != expected).tolist() == [False, False, True, *[False] * 9]
    assert not set(shown("row")) & set(rows)
    assert f"12 decided, {len(wrong) + (-1 if rows[2] in wrong else 1)} of them moved" in visit.text(
        ".review-head"
    )
    page.keyboard.press("u")
    assert visit.store() == []
    assert shown("row") == rows
    page.keyboard.press("o")
    page.locator(".review-near").wait_for()
    page.keyboard.press("o")
    assert tiles.count() == 12
    page.keyboard.press("Escape")
    visit.context.close()
    assert visit.complaints == []


def test_the_nearest_of_an_image_and_a_place_for_all_of_them(visit: Visit) -> None:
    page, data = visit.page, make_data()
    nearest = nearest_images(data.features)
    page.fill("#search", "image_00100")
    visit.listed(1)
    page.locator("#images .file-name").click()
    shown = page.locator("#detail .near-picture").evaluate_all("all => all.map((one) => one.dataset.row)")
    assert [int(one) for one in shown] == nearest[100].tolist()
    page.locator("#detail .near-picture").nth(3).click()
    assert visit.text("#detail h3") == data.file_names[nearest[100][3]]
    choose(page.get_by_label("Move it and these to…"), "4")
    assert visit.store()[-1]["rows"] == [nearest[100][3], *nearest[nearest[100][3]]]


def test_detail_by_keyboard(visit: Visit) -> None:
    page = visit.page
    page.locator("#doubtful").scroll_into_view_if_needed()
    page.locator("#doubtful .tile-open").first.focus()
    page.keyboard.press("Enter")
    name = visit.text("dialog.detail h3")
    page.keyboard.press("ArrowRight")
    assert visit.text("dialog.detail h3") != name
    assert "2 of " in visit.text("dialog.detail .eyebrow")
    page.keyboard.press("ArrowLeft")
    assert visit.text("dialog.detail h3") == name
    page.keyboard.press("Escape")
    assert not page.locator("dialog.detail").is_visible()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"


def test_steps_in_the_detail_keep_the_focus(visit: Visit) -> None:
    """Enter on Next goes on, and at the end the focus is on the way back."""
    page = visit.page
    page.fill("#search", "IMAGE_0010")
    visit.listed(10)
    page.locator("#images .file-name").first.focus()
    page.keyboard.press("Enter")
    for step in range(2, 10):
        page.keyboard.press("Enter")
        assert visit.text("dialog.detail .eyebrow") == f"{step} of 10"
        assert focused(page) == "next"
    page.keyboard.press("Enter")
    assert visit.text("dialog.detail .eyebrow") == "10 of 10"
    assert focused(page) == "previous"
    page.keyboard.press("Enter")
    assert visit.text("dialog.detail .eyebrow") == "9 of 10"
    assert focused(page) == "previous"


def test_the_detail_follows_edits(visit: Visit) -> None:
    """What is done while it is open shows in it, is announced in it, and leaves the keyboard where it was."""
    page = visit.page
    page.locator("#doubtful").scroll_into_view_if_needed()
    first = page.locator("#doubtful .tile-open").first
    first.focus()
    page.keyboard.press("Enter")
    cluster = page.locator("dialog.detail dd .chip-number").first
    announced = page.locator("dialog.detail [role=status]")
    own, name = cluster.inner_text(), visit.text("dialog.detail h3")
    page.locator("dialog.detail [data-action=second]").focus()
    page.keyboard.press("Enter")
    playwright.expect(cluster).not_to_have_text(own)
    second = cluster.inner_text()
    wait_for_focus(page, "next")
    playwright.expect(announced).to_have_text(f"1 image to cluster {second}")
    page.keyboard.press("u")
    playwright.expect(cluster).to_have_text(own)
    playwright.expect(announced).to_have_text(f"Undone: 1 image to cluster {second}")
    page.keyboard.press("/")
    wait_for_focus(page, "next")
    page.keyboard.press("U")
    playwright.expect(cluster).to_have_text(second)
    page.keyboard.press("Escape")
    wait_for_focus(page, "open")  # the tile is gone, so the one that moved up
    playwright.expect(first).to_be_focused()
    assert name not in str(first.get_attribute("title"))


def test_edits_leave_the_focus_where_it_was(visit: Visit) -> None:
    page = visit.page
    page.locator("#doubtful").scroll_into_view_if_needed()
    confirms = page.locator("#doubtful [data-action=confirm]")
    following = confirms.nth(3).get_attribute("aria-label")
    confirms.nth(2).focus()
    page.keyboard.press("Enter")
    assert confirms.nth(2).get_attribute("aria-label") == following
    assert confirms.nth(2).evaluate("one => one === document.activeElement")
    page.locator("#cluster-2").scroll_into_view_if_needed()
    junk = page.locator("#cluster-2 [data-action=junk]")
    junk.focus()
    page.keyboard.press("Enter")
    assert junk.inner_text() == "Not junk"
    assert junk.evaluate("one => one === document.activeElement")
    undo = page.locator(".editbar").get_by_role("button", name="Undo")
    undo.focus()
    page.keyboard.press("Enter")
    assert undo.evaluate("one => one === document.activeElement")
    page.keyboard.press("Enter")
    assert undo.is_disabled()
    assert focused(page) == "Redo"
    page.get_by_label("Name of cluster 2").focus()
    page.keyboard.type("dusk")
    page.keyboard.press("Tab")
    playwright.expect(page.locator(".editbar")).to_contain_text("1 edit")
    assert visit.store() == [{"op": "rename", "cluster": 2, "name": "dusk"}]
    assert focused(page) == "Merge into…"  # next in the panel
    assert page.locator("#cluster-2").evaluate("one => one.contains(document.activeElement)")
    choose(page.locator("#cluster-2").get_by_label("Merge into…"), "0")
    page.locator("#cluster-2").wait_for(state="detached")
    assert page.evaluate("document.activeElement.id") == "cluster-3"  # it stands where the other was
    page.keyboard.press("u")
    assert page.evaluate("[...document.querySelectorAll('.panel')].map((one) => one.id)") == [
        f"cluster-{cluster}" for cluster in range(4)
    ]
    assert page.evaluate("document.activeElement.id") == "cluster-3"


def test_arrow_keys_do_not_merge_at_once(visit: Visit) -> None:
    page = visit.page
    page.locator("#cluster-1").scroll_into_view_if_needed()
    select = page.locator("#cluster-1").get_by_label("Merge into…")
    select.wait_for()  # panels are made as they come into view
    assert select.locator("option").count() == 1  # no list of clusters in each panel …
    select.focus()
    assert select.locator("option").count() == 4  # … until it is used
    page.keyboard.press("ArrowDown")
    assert visit.store() == []


def test_edits_that_cannot_be_kept(visit: Visit) -> None:
    """The bar says so, it is announced, and leaving the page asks."""
    page = visit.page
    page.locator("#doubtful").scroll_into_view_if_needed()
    page.locator("#doubtful [data-action=confirm]").first.click()
    assert "kept in this browser" in visit.text(".editbar")
    page.evaluate("void (Storage.prototype.setItem = () => { throw new DOMException('full'); })")
    page.locator("#doubtful [data-action=confirm]").first.click()
    assert "kept in this browser" not in visit.text(".editbar")
    assert "Not kept: download before closing." in visit.text(".editbar")
    assert page.locator("#announcer").text_content().endswith("Not kept: download before closing.")
    with page.expect_event("dialog") as asked:
        page.close(run_before_unload=True)
    assert asked.value.type == "beforeunload"
    asked.value.accept()


def accuracy_of(n_answers: int) -> dict[str, Any]:
    return {"value": 0.82, "low": 0.69, "high": 0.9, "n_answers": n_answers, "n_images": 60}


@pytest.mark.parametrize("known", ["nothing", "labels", "answers", "more than the answers"])
def test_confidence_is_called_what_it_is(browser: Any, tmp_path: Path, known: str) -> None:
    stability = np.full(len(make_data().file_names), 0.6)
    mean = float(make_data().confidence.mean())
    far = {"value": mean - 0.2, "low": mean - 0.3, "high": mean - 0.1, "n_answers": 50, "n_images": 60}
    about = {
        "nothing": {"is_calibrated": False, "stability": stability},
        "labels": {"is_calibrated": True},
        "answers": {"checked": {"accuracy": accuracy_of(50), "n_yes": 41}, "stability": stability},
        "more than the answers": {
            "checked": {"accuracy": accuracy_of(50), "learned": far, "n_yes": 41},
            "stability": stability,
        },
    }[known]
    visit = Visit(browser, written(tmp_path, replace(make_data(), **about)))
    meaning, lead, badge = visit.text(".meaning"), visit.text(".headline"), visit.text(".verdict")
    if known == "answers":
        assert "is set to a person’s answers" in meaning and "right, by 50 answers" in visit.text(".tiles")
        assert "Of 50 that a person looked at 41 were right, so 82 % of all were (69 % to 90 %)" in lead
        assert badge in ("Good", "Mixed", "Look closely")
        return
    if known == "more than the answers":
        assert f"it is {mean:.0%}".replace("%", " % on average, where by the answers") in meaning
        assert badge == "Partly stable" and "expected" not in visit.text("#clusters")
        return
    assert "isn’t known; fifty answers tell: ruc check" in lead
    assert ("not the probability of being right" in meaning) == (known == "nothing")
    share = "The 12 it is least sure of, a share that was set (5 %) and no finding, are called doubtful."
    assert (share in lead, "in doubt about" in lead) == (known == "nothing", known == "labels")
    assert badge == ("Partly stable" if known == "nothing" else "Unchecked")
    assert ("60 %" in visit.text(".tiles")) == (known == "nothing")
    assert "expected" not in visit.text("#outcome") and "expected" not in visit.text("#clusters")
    visit.context.close()
    assert visit.complaints == []


@pytest.mark.parametrize("width", [1280, 1010, 420])
def test_no_picture_of_what_changed_is_cut(browser: Any, address: str, width: int) -> None:
    visit = Visit(browser, address)
    visit.page.set_viewport_size({"width": width, "height": 900})
    strips = visit.page.locator(".flow-strip").evaluate_all(
        """(all) => all.map((strip) => {
          const { right, bottom } = strip.getBoundingClientRect();
          return [...strip.children].map((one) => one.getBoundingClientRect()).filter((box) => box.top < bottom)
            .map((box) => right - box.right);
        })"""
    )
    visit.context.close()
    assert len(strips) == 2
    assert all(strips) and min(room for strip in strips for room in strip) >= -0.5


def test_merged_clusters_are_followed(visit: Visit) -> None:
    """The second-best cluster is where it is now, and what was lit up in the map is not missed when it is gone."""
    page, data = visit.page, make_data()
    page.locator("#map").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    before = page.evaluate(INK)
    page.locator("[data-action=legend-3]").click()
    assert focused(page) == "legend-3"
    assert page.evaluate(INK) < 0.7 * before
    page.locator("#cluster-3").scroll_into_view_if_needed()
    choose(page.locator("#cluster-3").get_by_label("Merge into…"), "0")
    assert page.evaluate(INK) > 0.9 * before
    row = int(np.flatnonzero(data.cluster == 2)[1])  # whose second-best is 3
    page.fill("#search", data.file_names[row])
    visit.listed(1)
    page.locator("#images .file-name").click()
    facts = page.locator("dialog.detail .facts").inner_text().split("\n")
    assert facts[facts.index("Second best") + 1].startswith("0")
    page.locator("dialog.detail [data-action=second]").click()
    assert "Second best" not in page.locator("dialog.detail .facts").inner_text()
    assert visit.store()[-1] == {"op": "move", "rows": [row], "cluster": 0}


# How many pixels of the map are more than faint.
INK = """() => {
    const map = document.querySelector('.map-frame canvas');
    const copy = new OffscreenCanvas(map.width, map.height).getContext('2d', { willReadFrequently: true });
    copy.drawImage(map, 0, 0);
    const { data } = copy.getImageData(0, 0, map.width, map.height);
    return data.filter((value, at) => at % 4 === 3 && value > 128).length;
}"""


def test_an_empty_gallery_says_what_it_lacks(browser: Any, tmp_path: Path) -> None:
    data = make_data(40)
    data = replace(data, initial_cluster=data.cluster, cluster_names=["0", "1", "2", "3", "4"])
    visit = Visit(browser, written(tmp_path, data))
    visit.page.locator("#cluster-4").scroll_into_view_if_needed()
    visit.page.locator("#cluster-4 .empty").wait_for()
    assert "No image is in this cluster." in visit.text("#cluster-4 .empty")
    visit.page.locator("#cluster-0").scroll_into_view_if_needed()
    visit.page.locator("#cluster-0").get_by_role("button", name="Newly joined").click()
    assert "No image came here from another cluster." in visit.text("#cluster-0 .empty")
    visit.context.close()
    assert visit.complaints == []


def test_ticks_can_be_seen_and_hit_by_a_finger(browser: Any, address: str) -> None:
    visit = Visit(browser, address, has_touch=True, is_mobile=True)
    check = visit.page.locator("#doubtful .tile-check").first
    check.scroll_into_view_if_needed()
    assert check.evaluate("one => getComputedStyle(one).opacity") == "1"
    box = visit.page.locator("#doubtful .tile-frame").first.bounding_box()
    visit.page.touchscreen.tap(box["x"] + 30, box["y"] + 30)  # a finger's width off its middle
    assert check.is_checked()
    assert not visit.page.locator("dialog.detail").is_visible()
    visit.context.close()
    assert visit.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_wide(browser: Any, address: str, scheme: str) -> None:
    """Nothing sticks out at 400 pixels, and text stands out from its background at any width."""
    visit = Visit(browser, address, color_scheme=scheme)
    for width in (400, 1600):
        visit.page.set_viewport_size({"width": width, "height": 900})
        for selector in ("#clusters", "#doubtful", "#images", "#map", "#next"):
            visit.page.locator(selector).scroll_into_view_if_needed()
        assert visit.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width
    blend = visit.page.evaluate("getComputedStyle(document.querySelector('.mark'), '::after').mixBlendMode")
    assert blend == {"light": "multiply", "dark": "screen"}[scheme]
    assert visit.page.locator("#contents a[aria-current]").first.get_attribute("aria-current") == "true"
    contrasts = visit.page.evaluate(CONTRASTS)
    assert {name: round(value, 2) for name, value in contrasts.items() if value < 4.5} == {}
    assert visit.page.evaluate("[...document.images].filter(image => !image.hasAttribute('alt')).length") == 0
    visit.context.close()
    assert visit.complaints == []


CONTRASTS = """() => {
    const style = getComputedStyle(document.documentElement);
    const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const luminance = (name) => {
        context.fillStyle = style.getPropertyValue(name);
        context.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((value) => value / 255)
            .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const contrast = (a, b) => {
        const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
        return (light + 0.05) / (dark + 0.05);
    };
    const pairs = [
        ['--ink', '--paper'], ['--ink-2', '--paper'], ['--ink-3', '--paper'], ['--ink-3', '--panel'],
        ['--trust', '--panel'], ['--trust', '--trust-soft'], ['--change', '--panel'], ['--change', '--change-soft'],
        ['--ink', '--sunken'], ['--ink-2', '--sunken'], ['--ink-3', '--sunken'], ['--ink-3', '--raised'],
    ];
    return Object.fromEntries(pairs.map(([a, b]) => [`${a} on ${b}`, contrast(a, b)]));
}"""


def test_curves_and_the_truth(browser: Any, tmp_path: Path) -> None:
    """What is only there for some runs: the curve over K, the measures, and the command that repeats the run."""
    data = make_data(120)
    truth = np.where(np.arange(120) % 7 == 0, (data.cluster + 1) % 4, data.cluster)
    found = evaluate(
        data.cluster,
        truth,
        probabilities=data.probabilities,
        initial_clusters=data.initial_cluster,
        n_resamples=20,
    )
    curve = {
        "candidates": [2, 3, 4, 5], "scores": {"total": [0.1, 0.3, 0.9, 0.2], "eigengap": [0.2, 0.2, 0.8, 0.1]},
        "n_clusters": 4, "confidence": "4 clusters, sure",
    }  # fmt: skip
    run = "it's/run"
    visit = Visit(
        browser,
        written(
            tmp_path,
            replace(
                data, metrics=found.to_dict(), k_curve=curve, command="ruc again", settings={"output": run}
            ),
        ),
    )
    page = visit.page
    accuracy = (truth == data.cluster).mean()
    assert visit.text("#evaluation .stat-value") == f"{accuracy:.1%}".replace("%", " %")
    assert page.locator("#evaluation .confusion").first.locator("tbody tr").count() == 4
    assert int(visit.text("#evaluation .confusion tbody td")) == ((truth == 0) & (data.cluster == 0)).sum()
    assert page.locator("#evaluation svg .bin").count() > 0
    assert page.locator("#number svg").count() == 2
    unfold(page, "#number")
    readout = page.locator("#number .readout").first
    playwright.expect(readout).to_have_text("K 4: 0.90", timeout=60_000)
    page.locator("#number svg").first.hover(position={"x": 60, "y": 60})
    playwright.expect(readout).to_have_text("K 2: 0.10", timeout=60_000)
    unfold(page, "#training")
    assert page.locator("#training svg").count() == 1
    assert visit.text("#settings code") == "ruc again"
    assert """ruc apply 'it'"'"'s/run' edits.json""" in page.locator("#next code").all_inner_texts()
    visit.context.close()
    assert visit.complaints == []


def test_many_classes_and_clusters(browser: Any, tmp_path: Path) -> None:
    """The largest confusions as a list, made when it is looked at, and no list of all clusters in each panel."""
    n_clusters, n_images = 100, 1000
    cluster = np.arange(n_images) % n_clusters
    truth = np.array([f"class {number:03d}" for number in cluster])
    truth[[5, 105, 205]] = "class 006"  # three of cluster 5 are of the class that cluster 6 stands for
    truth[7] = "class 008"
    found = evaluate(cluster, truth, initial_clusters=cluster, n_resamples=2)
    data = make_data(
        n_images, cluster=cluster, initial_cluster=cluster, probabilities=None, metrics=found.to_dict(),
        cluster_names=[str(number) for number in range(n_clusters)],
        warnings=[f"cluster {number} is small" for number in range(20)],
    )  # fmt: skip
    visit = Visit(browser, written(tmp_path, data))
    page = visit.page
    assert page.locator(".warnings li").count() == 6  # five, and how many there are
    page.get_by_role("button", name="Show all 20 warnings").click()
    assert page.locator(".warnings li").count() == 20
    n_options = page.locator("#clusters option").count()
    assert n_options == page.locator("#clusters select").count() < n_clusters
    assert (
        page.locator("#evaluation .confusion").count() == page.locator("#evaluation .confusions").count() == 0
    )
    page.locator("#evaluation figure").last.scroll_into_view_if_needed()
    rows = page.locator("#evaluation .confusions").last.locator("tbody tr")
    rows.last.wait_for()
    assert [text.split() for text in rows.all_inner_texts()] == [
        ["class", "006", "5", "class", "005", "3", "23", "%"],
        ["class", "008", "7", "class", "007", "1", "9", "%"],
    ]
    visit.context.close()
    assert visit.complaints == []


def test_every_figure_of_an_evaluation(browser: Any, tmp_path: Path) -> None:
    """Before and after: reliability, confidence, confusion; coverage; the clean set; attacks and corruptions."""
    data = make_data(240)
    truth = np.where(np.arange(240) % 7 == 0, (data.cluster + 1) % 4, data.cluster)
    assert data.probabilities is not None
    metrics = evaluate(
        data.cluster, truth, probabilities=data.probabilities, initial_clusters=data.initial_cluster,
        initial_probabilities=np.eye(4)[data.initial_cluster] * 0.6 + 0.1, clean_since=np.arange(240) % 4 - 1,
        n_resamples=5,
    ).to_dict()  # fmt: skip
    clean = {"base": 0.8, "refined": 0.9}
    metrics["attacks"] = {
        "n_images": 100, "scale": "ε in [0, 1]", "clean_accuracy": clean,
        "results": [
            {"attack": attack, "epsilon": epsilon, "accuracy": clean, "drop": {"base": 3 * epsilon, "refined": epsilon}}
            for attack in ("fgsm", "bim")
            for epsilon in (0.1, 0.2)
        ],
    }  # fmt: skip
    metrics["corruptions"] = {
        "n_images": 50, "scale": "strengths 1 to 5", "clean_accuracy": clean,
        "results": [
            {"corruption": name, "strength": strength, "accuracy": {"base": 0.5, "refined": 0.7}}
            for name in ("noise", "blur", "contrast", "jpeg")
            for strength in range(1, 6)
        ],
    }  # fmt: skip
    visit = Visit(browser, written(tmp_path, replace(data, metrics=metrics)))
    titles = visit.page.locator("#evaluation figcaption strong").all_inner_texts()
    assert titles == [
        "Reliability, after", "Reliability, before", "Accuracy against the share kept",
        "Confidence, after", "Confidence, before", "Trusted labels",
        "Accuracy lost under FGSM", "Accuracy lost under BIM",
        *(f"Accuracy under {name}" for name in ("noise", "blur", "contrast", "JPEG")),
        "Classes and clusters, after", "Classes and clusters, before",
    ]  # fmt: skip
    described = visit.page.locator("#evaluation figure > svg").evaluate_all(
        "all => all.map((one) => one.getAttribute('aria-label'))"
    )
    assert (
        described[6] == "Accuracy lost under FGSM. after: from 0.0 % to 20.0 %; before: from 0.0 % to 60.0 %"
    )
    assert described[8] == "Accuracy under noise. after: from 90.0 % to 70.0 %; before: from 80.0 % to 50.0 %"
    right = int((truth == data.initial_cluster).sum())
    assert described[4] == f"Number by confidence: 67 % to 73 %: {right} right, {240 - right} wrong"
    diagonal = (
        visit.page.locator("#evaluation .confusion").nth(1).locator("tbody tr").first.locator("td").first
    )
    assert int(diagonal.inner_text()) == ((truth == 0) & (data.initial_cluster == 0)).sum()
    assert "Attacks: 100 images; ε in [0, 1]." in visit.text("#evaluation > .note, #evaluation > p.note")
    visit.context.close()
    assert visit.complaints == []


def test_ten_thousand_images(browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays below 20 MB, and what is not looked at costs nothing: few pictures are made at first."""
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(64)]
    encode = thumbnails.encode
    monkeypatch.setattr(thumbnails, "encode", cache(lambda number, side: encode(pictures[number], side)))
    data = make_data(10_000, open_thumbnail=lambda row, size: row % 64)
    address = written(tmp_path, data)
    assert 10_000_000 < (tmp_path / "report.html").stat().st_size <= 20_000_000
    visit = Visit(browser, address)
    assert "10,000 images" in visit.text(".headline")
    assert visit.page.locator("img").count() < 200
    assert visit.page.locator("#clusters .tile").count() < 200
    visit.page.fill("#search", "image_09999")
    visit.listed(1)
    assert visit.page.locator("#images tbody img").count() == 1
    picture = visit.page.locator("#images tbody img").first
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32
    page = visit.page
    page.locator(".map-frame").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    coloured = page.locator(".map-frame canvas").first.evaluate(
        "one => new Set(new Uint32Array(one.getContext('2d')"
        ".getImageData(0, 0, one.width, one.height).data.buffer)).size"
    )
    assert coloured > 4  # written as pixels: nothing, and each cluster's colour
    visit.context.close()
    assert visit.complaints == []


def test_a_sample_says_so(browser: Any, tmp_path: Path) -> None:
    visit = Visit(browser, written(tmp_path, make_data(600), n_thumbnails=80))
    panel = visit.page.locator("#cluster-1")
    panel.scroll_into_view_if_needed()
    panel.locator(".tile").first.wait_for()
    n_shown = int(panel.locator(".page-text").inner_text().split()[0])
    assert panel.locator(".page-text").inner_text() == f"{n_shown} images, a sample of 150"
    assert 15 <= n_shown <= 25  # a quarter of the 80, more or less
    assert panel.locator(".tile img").count() == panel.locator(".tile").count()
    assert visit.text("#clusters .sample").startswith("This file holds pictures of 80 of the 600 images")
    visit.context.close()
    assert visit.complaints == []


def test_unknown_labels_are_placed_and_not_changed(browser: Any, tmp_path: Path) -> None:
    data = make_data(240)
    initial = data.initial_cluster.copy()
    initial[[0, 1, 10]] = -1  # of these, 0 and 10 had come from the cluster below
    visit = Visit(browser, written(tmp_path, replace(data, initial_cluster=initial)))
    assert "RUC moved 22 of them (9.2 %) to another cluster, placed 3 that had no label," in visit.text(
        ".headline"
    )
    assert visit.text("a[href='#changes'] .stat-value") == "22"
    assert any(text.startswith("?") for text in visit.page.locator(".flow").all_inner_texts())
    status = visit.page.locator("#images").get_by_label("Status")
    count = visit.page.locator("#images .filters .page-text")
    status.select_option(label="Changed by RUC")  # as many as the headline says
    playwright.expect(count).to_have_text("22 of 240 images")
    assert set(visit.page.locator("#images .badge.changed").all_inner_texts()) == {"changed"}
    status.select_option(label="Placed by RUC")
    playwright.expect(count).to_have_text("3 of 240 images")
    assert visit.names() == [data.file_names[row] for row in (0, 1, 10)]
    visit.page.locator(
        "#images .file-name"
    ).first.click()  # what a person has placed isn't RUC's work any more
    choose(visit.page.get_by_label("Move to…").last, "3")
    visit.page.get_by_role("button", name="Close").click()
    playwright.expect(count).to_have_text("2 of 240 images")
    status.select_option(label="Placed by you")
    playwright.expect(count).to_have_text("1 of 240 images")
    assert "placed 2 that had no label," in visit.text(".headline")
    visit.context.close()
    assert visit.complaints == []


def test_without_images_features_or_history(browser: Any, tmp_path: Path) -> None:
    data = make_data(
        30, open_thumbnail=None, features=None, positions=None, probabilities=None, history=(), skipped=(),
        warnings=(), settings={}, file_names=[str(row) for row in range(30)], is_clean=np.ones(30, bool),
        initial_cluster=np.arange(30) % 4, confidence=np.linspace(0.85, 1, 30),
    )  # fmt: skip
    visit = Visit(browser, written(tmp_path, data))
    assert "30 samples in 4 clusters" in visit.text(".headline")
    assert "Nothing moved" in visit.text("#changes")
    assert "these are the 2 samples RUC is least sure of" in visit.text("#doubtful")
    assert visit.page.locator("#doubtful .tile").count() == 2
    assert visit.page.locator("#map, #training, #skipped").count() == 0
    visit.context.close()
    assert visit.complaints == []


def test_a_run_on_features_speaks_of_samples(browser: Any, tmp_path: Path) -> None:
    """And the commands it shows are those that work without images."""
    data = make_data(
        open_thumbnail=None, settings={"features": "f.npy"}, file_names=[str(row) for row in range(240)],
        skipped=(),
    )  # fmt: skip
    visit = Visit(browser, written(tmp_path, data))
    for selector in ("#cluster-0", "#cluster-3", "#doubtful", "#images", "#map", "#training"):
        visit.page.locator(selector).scroll_into_view_if_needed()
    visit.page.locator("#cluster-3 .tile").first.wait_for()
    assert "240 samples" in visit.text("main")
    assert "image" not in visit.text("body").lower()
    assert visit.page.locator("#images .col-picture").count() == 0
    commands = visit.page.locator("#next code").all_inner_texts()
    assert "ruc export run/ --to parquet -o clusters.parquet" in commands
    assert "ruc predict run/ --features new.npy -o new.csv" in commands
    visit.context.close()
    assert visit.complaints == []


def as_run(data: ReportData) -> Run:
    return Run(
        settings={},
        file_names=tuple(data.file_names),
        cluster=data.cluster,
        confidence=data.confidence.astype(np.float32),
        initial_cluster=data.initial_cluster,
        was_clean=data.was_clean,
        is_clean=data.is_clean,
        probabilities=data.probabilities.astype(np.float32),
        features=data.features.astype(np.float32),
        cluster_names=tuple(data.cluster_names),
    )


def test_levels_are_walked_up_and_down(visit: Visit) -> None:
    section = visit.page.locator("#levels")
    section.scroll_into_view_if_needed()
    cards = section.locator(".group")
    playwright.expect(cards).to_have_count(4)
    section.get_by_role("button", name="Fewer groups").click()
    playwright.expect(cards).to_have_count(3)
    assert "-k 3 -o new/" in visit.text("#levels .command code")
    section.locator("[data-action^=down]").first.click()
    marked = section.locator(".group.marked")
    playwright.expect(marked).to_have_count(2)
    n_down = cards.count()
    marked.first.locator("[data-action^=up]").click()
    playwright.expect(cards).to_have_count(n_down - 1)
    assert section.locator(".branch").count() == 3 and section.locator(".branch-picture img").count() == 12
    slider = section.get_by_role("slider")
    slider.focus()
    visit.page.keyboard.press("End")
    playwright.expect(cards).to_have_count(16)
    assert section.locator(".group .strip-picture img").count() > 16
