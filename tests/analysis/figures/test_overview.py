from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from pipeline.analysis.figures.gallery import Example
from pipeline.analysis.figures.overview import curves, overview
from tests.drawn import Saved

HISTORY = [
    {"epoch": epoch, **{f"{split}/{metric}": 1 / epoch for split in ("train", "validation") for metric in ("loss", "accuracy")}}
    for epoch in (1, 2, 3)
]
NOISE = np.random.default_rng(0).integers(0, 256, (6, 6, 3), dtype=np.uint8)


def drawn(path: Path, **changed: Any) -> Path:
    given = {
        "history": HISTORY,
        "best_epoch": 2,
        "table": np.array([[5, 1], [0, 4]]),
        "classes": ["cat", "dog"],
        "filters": np.full((9, 9), 0.5, np.float32),
        "examples": [Example(NOISE, "1.jpg", "cat", "dog", 0.9)],
    }
    overview(path, "a title", **{**given, **changed})
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"filters": None, "examples": [], "history": HISTORY[:1], "best_epoch": 1},
        {"filters": np.zeros((9, 9, 3), np.float32), "examples": [Example(NOISE[..., :1], "1.jpg", "cat", "cat", 0.5)] * 12},
        {"classes": ["a long name of a class", "another"], "table": np.zeros((2, 2), np.int64)},
        {"classes": [str(i) for i in range(100)], "table": np.eye(100, dtype=np.int64)},
    ],
)
def test_the_overview_is_a_picture_whatever_there_is_to_show(changed: dict, tmp_path: Path) -> None:
    with Image.open(drawn(tmp_path / "overview.png", **changed)) as picture:
        assert picture.size == (1320, 836)
    assert plt.get_fignums() == []


def test_the_overview_shows_curves_matrix_filters_and_images_each_under_its_title(saved: Saved, tmp_path: Path) -> None:
    drawn(tmp_path / "overview.png", filters=(mosaic := np.random.default_rng(1).random((9, 9), np.float32)))
    figure = saved["overview.png"]
    assert figure.get_suptitle() == "a title"
    loss, accuracy, matrix, filters, example, *_ = figure.axes
    assert [axes.get_title(loc="left") for axes in (loss, accuracy)] == ["loss", "accuracy"]
    assert [line.get_label() for line in loss.lines] == ["train", "validation", "kept: epoch 2"]
    assert {text.get_position(): text.get_text() for text in matrix.texts} == {(0, 0): "5", (1, 0): "1", (1, 1): "4"}  # column, row
    np.testing.assert_array_equal(filters.images[0].get_array(), mosaic)
    np.testing.assert_array_equal(example.images[0].get_array(), NOISE)
    assert example.get_title() == "cat\nsaid dog, 0.90"


def test_equal_numbers_give_equal_bytes_without_a_version_in_them(tmp_path: Path) -> None:
    first, second = drawn(tmp_path / "1.png").read_bytes(), drawn(tmp_path / "2.png").read_bytes()
    assert first == second
    assert b"atplotlib" not in first


def test_curves_show_both_splits_and_mark_the_kept_epoch() -> None:
    figure, axes = plt.subplots()
    curves(axes, "loss", HISTORY, 2)
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["train"].get_xdata()) == [1, 2, 3]
    assert list(lines["validation"].get_ydata()) == [1, 1 / 2, 1 / 3]
    assert list(lines["kept: epoch 2"].get_xdata()) == [2, 2]
    plt.close(figure)
