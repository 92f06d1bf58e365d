from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from pipeline.analysis.figures.gallery import Example, gallery, mistakes, shortened
from pipeline.analysis.figures.style import WRONG, page
from tests.drawn import Saved

NOISE = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)
MISTAKE = Example(NOISE, "cats/1.jpg", "cat", "dog", 0.9)


def test_the_gallery_says_what_an_image_is_and_mistakes_in_red() -> None:
    figure = plt.figure()
    others = [Example(NOISE[..., :1], "2.jpg", "dog", "dog", 0.625), Example(NOISE, "3.jpg", "cat", "cat", 0.7)]
    gallery(figure, [MISTAKE, *others], columns=2)
    titles = [axes.title for axes in figure.axes]
    assert [title.get_text() for title in titles] == ["cat\nsaid dog, 0.90", "dog\n0.62", "cat\n0.70", ""]
    assert [title.get_color() == WRONG for title in titles[:3]] == [True, False, False]
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), NOISE)
    plt.close(figure)


@pytest.mark.parametrize(("count", "cells"), [(1, 4), (4, 4), (5, 8), (12, 12)])
def test_mistakes_are_shown_in_their_order_with_their_files(count: int, cells: int, saved: Saved, tmp_path: Path) -> None:
    examples = [Example(NOISE, f"cats/{i}.jpg", "cat", "dog", 0.9) for i in range(count)]
    mistakes(tmp_path / "mistakes.png", "a title", examples)
    [figure] = saved.values()
    assert len(figure.axes) == cells
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == [f"cats/{i}.jpg" for i in range(count)]
    with Image.open(tmp_path / "mistakes.png") as picture:
        assert min(picture.size) >= 256


def test_a_picture_of_no_mistakes_says_so(saved: Saved, tmp_path: Path) -> None:
    mistakes(tmp_path / "mistakes.png", "a title", [])
    [figure] = saved.values()
    assert [text.get_text() for text in figure.texts] == ["a title", "no mistakes"]
    with Image.open(tmp_path / "mistakes.png") as picture:
        assert min(picture.size) >= 256


def test_a_long_path_keeps_its_end() -> None:
    assert shortened("cats/1.jpg") == "cats/1.jpg"
    short = shortened("a/very/long/path/of/folders/and/folders/within/cats/1.jpg")
    assert short.startswith("…")
    assert short.endswith("/within/cats/1.jpg")
    assert len(short) == 44


@pytest.mark.parametrize(
    "names", [["cat", "dog"], ["an extraordinarily long name", "W" * 60], ["日本語", "$x^2$ cats"], ["\U0010fffd" * 3, "猫"]]
)
def test_what_stands_above_an_image_stays_above_it(names: list[str]) -> None:
    figure = page(8.2, 3.5, "")
    gallery(figure, [Example(NOISE, "1.jpg", names[i % 2], names[(i + 1) % 2], 0.9) for i in range(6)], columns=6)
    figure.draw_without_rendering()
    places = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(places))
    assert all("said" in axes.title.get_text() and "0.90" in axes.title.get_text() for axes in figure.axes)
    plt.close(figure)
