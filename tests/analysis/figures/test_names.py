"""Names are drawn as they are written, in every figure: what some of them would break is not broken."""

import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from pipeline.analysis.activations import Layer
from pipeline.analysis.figures.confusion import confusion_page
from pipeline.analysis.figures.feature_maps import ClassBars, feature_map_page, film_strip
from pipeline.analysis.figures.gallery import Example, augmented, mistakes
from pipeline.analysis.figures.overview import overview
from pipeline.analysis.figures.rates import rate_figure
from pipeline.analysis.figures.style import drawable, page, save, spell_out
from pipeline.analysis.lr_curve import RateCurve
from tests.analysis.figures.test_overview import HISTORY
from tests.drawn import Saved
from tour.drawing.plots import Bars, Plot, bars, curves, scatter

IMAGE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)

# What a folder may be called → how it is drawn.
NAMES = {
    "$5 bill": "$5 bill",
    "$x^{2$": "$x^{2$",  # no formula, and a broken one
    r"cost_\$ %d {0} #": r"cost_\$ %d {0} #",
    "_hidden": "_hidden",
    "-1": "-1",
    "a\nb\tc": r"a\nb\tc",
    "été Ω жук": "été Ω жук",
    "\u202egpj.cat": r"\u202egpj.cat",
    "[red]cat[/red]": "[red]cat[/red]",
    "a \"b\", 'c'": "a \"b\", 'c'",
    "": "",
    "a" * 200: "a" * 12 + "…" + "a" * 11,
    "\udcff": r"\udcff",
}
SCRIPTS = ["猫", "犬と猫", "고양이", "แมว", "🦔", "بطة"]


def texts(saved: Saved) -> set[str]:
    """Return every text of the figures, as it was drawn."""
    return {text.get_text() for figure in saved.values() for text in figure.findobj(Text)}


def draw_classes(folder: Path, names: list[str]) -> None:
    """Draw every figure that holds classes, files or data sets, however they are called."""
    examples = [Example(IMAGE, f"{name}/{name}.jpg", name, "dog", 0.9) for name in names]
    table, weights = np.eye(len(names), dtype=np.int64), np.full((9, 9), 0.5, np.float32)
    confusion_page(folder / "confusion.png", names[0], table, names)
    overview(folder / "overview.png", names[0], HISTORY, 2, table, names, weights, examples)
    mistakes(folder / "mistakes.png", names[0], examples)
    answer = ClassBars(dict.fromkeys(names, 0.1), names[0], names[1])
    feature_map_page(folder / "way.png", names[0], IMAGE, [], answer)
    augmented(folder / "augmented.png", names[0], np.stack([np.stack([IMAGE, IMAGE])] * len(names)), names)


def draw_layers(folder: Path, name: str, other: str) -> None:
    """Draw every figure that holds layers and what a config calls things."""
    weights = np.full((9, 9), 0.5, np.float32)
    layer = Layer(name, "activation", other, np.ones((2, 3, 3), np.float32), 2)
    feature_map_page(folder / "way.png", name, IMAGE, [[layer]], ClassBars({name: 0.9}, name, other))
    film_strip(folder / "film.png", name, other, [(name, weights), (other, weights)], 1.0)
    curves(folder / "curves.png", name, [Plot(name, other, {name: ([1, 2], [0.1, 10]), other: ([1, 2], [1, 100])}, is_log=True)])
    bars(folder / "bars.png", name, [Bars(name, {name: (0.5, 0.1), other: (0.2, 0)})])
    scatter(folder / "scatter.png", name, other, name, {name: (1, 1000), other: (10, 10)})


def test_names_of_classes_and_files_are_drawn_as_they_are_written(saved: Saved, tmp_path: Path) -> None:
    draw_classes(tmp_path, list(NAMES))
    found = texts(saved)
    for drawn in NAMES.values():
        assert drawn in found  # at a tick
        assert f"{drawn}\nsaid dog, 0.90" in found  # above an example
    assert "$5 bill/$5 bill.jpg" in found


@pytest.mark.parametrize(("name", "other"), [("$5", "$x^{2$"), ("猫", "\t\udcff")])
def test_names_of_layers_and_titles_are_drawn_as_they_are_written(name: str, other: str, saved: Saved, tmp_path: Path) -> None:
    draw_layers(tmp_path, name, other)
    assert {drawable(name), drawable(other)} <= texts(saved)


def test_what_no_font_has_is_spelled_out_and_no_empty_box(saved: Saved, tmp_path: Path) -> None:
    draw_classes(tmp_path, SCRIPTS)  # a missing character is a warning, and in tests an error
    assert {drawable(name) for name in SCRIPTS} <= texts(saved)
    assert drawable("\U0010fffd!") == r"\U0010fffd!"  # in no font, as it is for private use
    assert drawable("été → 10⁻³ Ω") == "été → 10⁻³ Ω"


def test_powers_of_ten_are_written_so(saved: Saved, tmp_path: Path) -> None:
    rates = np.geomspace(1e-5, 1, 40)
    rate_figure(tmp_path / "rates.png", "$", RateCurve(rates, np.linspace(2, 1, 40)))
    scatter(tmp_path / "points.png", "t", "x", "y", {"one": (1, 1000), "other": (10, 1e6)})
    assert {"10⁻⁵", "10⁻¹", "10³", "10⁶"} <= texts(saved)
    assert not any("math" in text for text in texts(saved))


def test_a_thousand_classes_are_drawn_within_seconds(tmp_path: Path) -> None:
    classes = [f"class {i}" for i in range(1000)]
    table = np.random.default_rng(0).integers(0, 3, (1000, 1000))
    start = time.monotonic()
    confusion_page(tmp_path / "confusion.png", "t", table, classes)
    overview(tmp_path / "overview.png", "t", HISTORY, 2, table, classes, None, [Example(IMAGE, "a.jpg", classes[0], classes[1], 0.5)])
    assert time.monotonic() - start < 20  # some two seconds on a quiet machine


def test_a_page_with_a_title_of_dollars_is_saved(saved: Saved, tmp_path: Path) -> None:
    save(page(3, 2, "$5 on $x^{2"), tmp_path / "page.png")
    assert saved["page.png"].get_suptitle() == "$5 on $x^{2"


@pytest.mark.parametrize("words", ["cat", "an extraordinarily long name of a class", "$5 日本語 W_W_W_W_W_W_W_W_W_W_W_W"])
def test_a_title_is_broken_where_it_is_wider_than_its_figure(words: str) -> None:
    title = " and ".join([words] * 4)
    figure = page(5, 3, title)
    figure.subplots()
    assert " ".join(figure.get_suptitle().split("\n")) == title
    spell_out(figure)
    figure.draw_without_rendering()
    place = figure._suptitle.get_window_extent()
    assert place.x1 <= 5 * figure.dpi
    assert figure.axes[0].get_window_extent().y1 < place.y0  # which leaves the picture below it
    plt.close(figure)


@pytest.mark.parametrize(
    "word", ["x" * 300, "猫" * 100, "a " + "W" * 200, "\U000e0041" * 40 + " b"], ids=["narrow", "spelled out", "wide", "unseen"]
)
def test_a_word_that_is_wider_than_the_figure_is_broken_within(word: str) -> None:
    figure = page(5, 3, word)
    assert figure.get_suptitle().replace("\n", "").replace(" ", "") == word.replace(" ", "")
    spell_out(figure)
    figure.draw_without_rendering()
    assert figure._suptitle.get_window_extent().x1 <= 5 * figure.dpi
    plt.close(figure)
