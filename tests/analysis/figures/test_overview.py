from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from pipeline.analysis.figures.gallery import Example
from pipeline.analysis.figures.overview import curves, overview

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
        assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20
    assert plt.get_fignums() == []


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
