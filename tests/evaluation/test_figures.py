import json
import subprocess
import sys
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from ruc.evaluation.calibration import reliability_curve
from ruc.evaluation.evaluate import evaluate
from ruc.evaluation.figures import (
    attack_figure,
    confusion_figure,
    coverage_figure,
    evaluation_figures,
    figure_to_png,
    figure_to_svg,
    reliability_figure,
    training_figure,
)

HISTORY = [
    {"epoch": i, "clean_loss": 1 / (i + 1), "clean_share": 0.5 + i / 20, "agreement": 0.8} for i in range(5)
]


@pytest.fixture
def metrics():
    random = np.random.default_rng(0)
    truth = random.integers(3, size=200)
    probabilities = random.dirichlet(np.ones(3) * 0.5, size=200)
    found = evaluate(
        probabilities.argmax(axis=1), np.array(["a", "b", "c"])[truth], probabilities=probabilities,
        initial_clusters=np.where(random.random(200) < 0.1, -1, truth), n_resamples=0,
        clean_since=random.integers(-1, 4, size=200),
    )  # fmt: skip
    attacks = {
        "results": [
            {"attack": "fgsm", "epsilon": e, "drop": {"base": e, "refined": e / 2}} for e in (0.1, 0.2)
        ]
    }
    return json.loads(json.dumps(found.to_dict() | {"attacks": attacks}))


def test_everything_in_metrics_and_history_is_drawn(metrics):
    figures = evaluation_figures(metrics, HISTORY)
    assert set(figures) == {
        "confusion_base",
        "confusion_refined",
        "reliability",
        "confidence",
        "coverage",
        "training",
        "clean_set",
        "attacks",
    }
    for figure in figures.values():
        image = Image.open(BytesIO(figure_to_png(figure, dpi=50)))
        assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_attacks_and_clean_sets_are_drawn_as_they_are(metrics):
    figures = evaluation_figures(metrics)
    base, refined = figures["attacks"].axes[0].lines
    assert base.get_ydata().tolist() == [10.0, 20.0] and refined.get_ydata().tolist() == [5.0, 10.0]
    precision = figures["clean_set"].axes[0].lines[0].get_ydata()
    assert precision.tolist() == [one["precision"] for one in metrics["clean_by_epoch"]]


def test_bins_of_few_images_are_pale_and_without_a_line():
    curve = reliability_curve(np.r_[np.full(20, 0.9), np.full(20, 0.7), 0.2], np.arange(41) % 2 == 0)
    many, few = reliability_figure({"refined": curve}).axes[0].lines[1:]
    assert sorted(many.get_xdata().tolist()) == pytest.approx([0.7, 0.9])
    assert few.get_xdata().tolist() == pytest.approx([0.2]) and few.get_alpha() < 1


def test_without_probabilities_only_the_confusion_is_drawn():
    content = evaluate([0, 1], ["a", "b"], n_resamples=0).to_dict()
    assert set(evaluation_figures(content)) == {"confusion_refined"}


def test_svg_is_one_element_and_reproducible(metrics):
    once, again = (figure_to_svg(evaluation_figures(metrics)["reliability"]) for _ in range(2))
    assert once == again
    assert once.startswith("<svg")
    assert once.rstrip().endswith("</svg>")
    assert "http" not in once.replace("http://www.w3.org", "")  # works offline


def test_the_lines_show_the_numbers(metrics):
    axes = evaluation_figures(metrics)["reliability"].axes[0]
    diagonal, refined, _ = axes.lines
    counts = np.array(metrics["refined"]["reliability"]["count"])
    assert refined.get_ydata() == pytest.approx(
        np.array(metrics["refined"]["reliability"]["accuracy"], float)[counts >= 10]
    )
    assert f"ECE {100 * metrics['refined']['numbers']['ece']['value']:.1f}%" in refined.get_label()
    assert list(diagonal.get_xdata()) == [0, 1]
    assert coverage_figure({"base": ([0.5, 1.0], [0.9, 0.8])}).axes[0].lines[0].get_ydata().tolist() == [
        0.9,
        0.8,
    ]
    drawn = attack_figure({"FGSM": {"base": ([0.1, 0.2], [0.5, 0.6])}}).axes[0].lines[0]
    assert drawn.get_ydata() == pytest.approx([50, 60])


@pytest.mark.parametrize("n_classes", [1, 2, 30, 100])
def test_confusion_of_any_size(n_classes):
    counts = np.eye(n_classes, n_classes + 1, dtype=int) * 7
    figure = confusion_figure(counts, [*range(n_classes), -1], [f"class {i}" * 9 for i in range(n_classes)])
    assert len(figure.axes[0].texts) == (n_classes if n_classes < 25 else 0)
    assert len(figure_to_png(figure, dpi=30)) > 500


@pytest.mark.parametrize(
    "name", ["10%$_$20", r"$\frac$", "US$_A$", "a\x08b\ud800", "猫", "a&<b", "a--b\nc", ""]
)
def test_classes_may_have_any_name(name):
    figure = confusion_figure(np.array([[3, 1], [0, 4]]), [0, 1], [name, "b"])
    svg = figure_to_svg(figure)
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert len(figure_to_png(figure, dpi=30)) > 500


def test_names_are_drawn_as_they_are(monkeypatch):
    monkeypatch.setattr("ruc.evaluation.figures.FALLBACK_FONTS", ("No Such Font", "STIXGeneral"))
    figure = confusion_figure(np.eye(2, dtype=int), [0, 1], ["$x$", "a\tb"])
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["$x$", "a b"]
    assert not labels[0].get_parse_math()
    assert labels[0].get_family() == ["sans-serif", "STIXGeneral"]


def test_training_without_a_history_is_no_error():
    assert len(training_figure([]).axes[0].lines) == 0
    assert training_figure([{"epoch": 0, "agreement": 1.0}]).axes[0].get_legend() is None


def test_pyplot_is_never_imported():
    code = (
        "import sys\nfrom ruc.evaluation.figures import *\nassert 'matplotlib' not in sys.modules\n"
        "figure_to_png(training_figure([]))\nprint('matplotlib.pyplot' in sys.modules)"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "False"
