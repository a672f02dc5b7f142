"""Parts of the report that only some runs have, what is printed, and whether all can use it; in a real browser."""

import io
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import chromium, unfold
from colours import COLOURS, make_data

from ruc.report.data import ReportData
from ruc.report.report import write_report

N_IMAGES = 240


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def data() -> ReportData:
    """With many flows, marks, and a number of clusters that was searched."""
    given = make_data(N_IMAGES)
    rng = np.random.default_rng(0)
    initial = np.where(np.arange(N_IMAGES) % 5 == 0, rng.integers(0, 4, N_IMAGES), given.cluster)
    copy_of = np.full(N_IMAGES, "", object)
    copy_of[[8, 12]] = given.file_names[4]
    return replace(
        given,
        initial_cluster=initial,
        marks={"is_outlier": np.arange(N_IMAGES) % 60 == 7, "copy_of": copy_of.astype(str)},
        k_curve={
            "n_clusters": 4,
            "candidates": [2, 3, 4, 5, 6],
            "scores": {"total": [0.1, 0.05, 0.5, 0.02, 0.3]},
            "levels": [
                {"n_clusters": 4, "found_again": 0.9, "total": 0.5},
                {"n_clusters": 6, "found_again": 0.4, "total": 0.3},
                {"n_clusters": 2, "found_again": 0.5, "total": 0.1},
            ],
            "confidence": "4 clusters, fairly sure; 6 comes next",
        },
    )


@pytest.fixture(scope="module")
def address(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sections") / "report.html"
    path.write_text(write_report(data), encoding="utf-8")
    return path.as_uri()


def opened(browser: Any, address: str, **options: Any) -> Any:
    context = browser.new_context(offline=True, **{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(address)
    return page


def rows_of(tiles: Any) -> list[int]:
    return [int(row) for row in tiles.evaluate_all("all => all.map((one) => one.dataset.row)")]


def test_flows_as_a_table(browser: Any, address: str, data: ReportData) -> None:
    page = opened(browser, address)
    unfold(page, ".all-flows")
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (data.initial_cluster, data.cluster), 1)
    np.fill_diagonal(counts, 0)
    cells = page.locator(".flow-table .cell")
    assert [int(text) for text in cells.all_inner_texts()] == [
        int(count) for count in counts.ravel() if count
    ]
    rarest = min(zip(*np.nonzero(counts), strict=True), key=lambda pair: counts[pair])
    page.get_by_label(f"Cluster {rarest[0]} to Cluster {rarest[1]}:").first.click()
    shown = rows_of(page.locator(".flow-open .tile-open"))
    assert shown
    assert {(data.initial_cluster[row], data.cluster[row]) for row in shown} == {rarest}
    assert page.complaints == []
    page.context.close()


def test_marked_images(browser: Any, address: str, data: ReportData) -> None:
    """Outliers, and copies beside what they are copies of; both colour the map too."""
    page = opened(browser, address)
    page.locator("#marked").scroll_into_view_if_needed()
    tiles = page.locator("#marked .tile-open")
    tiles.first.wait_for()
    assert rows_of(tiles) == np.flatnonzero(data.marks["is_outlier"]).tolist()
    page.locator("#marked [data-action='mark-copy_of']").click()
    assert rows_of(tiles) == [4, 8, 12]
    caption = page.locator("#marked .tile-caption").nth(1)
    assert caption.inner_text().split("\n") == ["0", f"of {Path(data.file_names[4]).name}"]
    assert caption.locator("span").last.get_attribute("title") == data.file_names[4]
    page.locator(".map-frame").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    pictures = {}
    for colouring in ("cluster", "is_outlier", "copy_of", "density", "doubt"):
        page.get_by_label("Colour by").select_option(colouring)
        page.wait_for_timeout(120)
        pictures[colouring] = page.locator(".map-frame canvas").first.evaluate("one => one.toDataURL()")
    assert len(set(pictures.values())) == 5
    assert page.complaints == []
    page.context.close()


def test_numbers_of_clusters_with_pictures(browser: Any, address: str) -> None:
    """The best three of their neighbourhoods, each with a typical image of each cluster, and what makes a run of it."""
    page = opened(browser, address)
    page.locator("#number").scroll_into_view_if_needed()
    rows = page.locator(".number-row")
    rows.first.wait_for()
    assert [text.split()[0] for text in rows.locator("h3").all_inner_texts()] == ["4", "6", "2"]
    faces = [rows.nth(place).locator(".face-button").count() for place in range(3)]
    assert faces == [4, 6, 2]
    assert rows.nth(0).locator("code").count() == 0
    assert rows.nth(1).locator("code").inner_text() == "ruc cut run/ -k 6 -o new/"
    assert page.complaints == []
    page.context.close()


def test_printed_pages_hold_every_cluster(browser: Any, address: str) -> None:
    """Rendered from the PDF: no page is blank, and each cluster's images are there in their colour."""
    pdfium = pytest.importorskip("pypdfium2", reason="pypdfium2 is not installed: pip install 'ruc[dev]'")
    page = opened(browser, address)
    printed = pdfium.PdfDocument(io.BytesIO(page.pdf(format="A4")))
    sheets = [np.asarray(sheet.render(scale=0.7).to_pil().convert("RGB"), int) for sheet in printed]
    assert len(sheets) < 30
    for number, sheet in enumerate(sheets):
        assert (sheet < 200).any(axis=2).mean() > 0.0005, f"page {number} is blank"
    found = np.zeros(len(COLOURS))
    for sheet in sheets:
        found += [(np.abs(sheet - colour).max(axis=2) < 12).sum() for colour in COLOURS]
    a_tile = 40**2
    assert (found > 12 * a_tile).all(), found
    page.context.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 400)])
def test_axe_finds_nothing(browser: Any, address: str, scheme: str, width: int) -> None:
    """axe-core's rules for the page, the sheet of twelve, one image, and a dialog."""
    pytest.importorskip(
        "axe_playwright_python", reason="axe-core is not installed: pip install axe-playwright-python"
    )
    source = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page = opened(
        browser, address, color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    for part in (
        "#suggestions",
        "#map",
        "#clusters",
        "#number",
        "#levels",
        "#doubtful",
        "#marked",
        "#images",
    ):
        page.locator(part).scroll_into_view_if_needed()
    page.evaluate(source)

    def violations() -> list[str]:
        return page.evaluate(
            "axe.run(document, { resultTypes: ['violations'] })"
            ".then((found) => found.violations.map((one) => `${one.id}: ${one.nodes[0].html}`))"
        )

    assert violations() == []
    page.keyboard.press("r")
    page.locator(".sheet-open").first.wait_for()
    assert violations() == []
    page.keyboard.press("o")
    page.locator(".review-near").wait_for()
    assert violations() == []
    page.context.close()


def test_verdicts_on_a_narrow_screen(browser: Any, address: str, data: ReportData) -> None:
    page = opened(browser, address, viewport={"width": 400, "height": 800})
    verdicts = page.locator(".size .verdict")
    assert verdicts.count() == data.n_clusters
    assert all(verdicts.nth(place).is_visible() for place in range(verdicts.count()))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.context.close()


def test_what_is_said_of_an_unstable_cluster_and_of_the_list_is_so(browser: Any, tmp_path: Path) -> None:
    """No more is claimed than was measured: less than half stays together, which isn't "not found again"."""
    given = make_data(N_IMAGES)
    stability = np.where(given.cluster == 1, 0.4, 0.9)
    path = tmp_path / "report.html"
    path.write_text(write_report(replace(given, is_calibrated=False, stability=stability)), encoding="utf-8")
    page = opened(browser, path.as_uri())
    said = page.locator("#next").inner_text()
    assert "Fewer than half of their images stay together when the clustering is made again." in said
    assert "Many of their images are wrong" not in said
    page.context.close()
