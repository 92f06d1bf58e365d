from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from PIL import Image

from pipeline.analysis.figures.confusion import confusion_matrix, confusion_page
from tests.drawn import Saved


def test_the_confusion_matrix_is_coloured_by_share_and_numbered_by_count() -> None:
    figure, axes = plt.subplots()
    confusion_matrix(axes, np.array([[3, 1], [0, 8]]), ["cat", "dog"], size=7)
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {((0, 0), "3"), ((1, 0), "1"), ((1, 1), "8")}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    plt.close(figure)


@pytest.mark.parametrize(("classes", "numbers"), [(2, 2), (10, 10), (100, 100), (101, 0)])
def test_a_page_grows_with_its_classes_and_leaves_out_what_would_be_illegible(
    classes: int, numbers: int, saved: Saved, tmp_path: Path
) -> None:
    confusion_page(tmp_path / "page.png", "a title", np.eye(classes, dtype=np.int64), [f"class {i}" for i in range(classes)])
    [figure] = saved.values()
    matrix = figure.axes[0]
    assert (len(matrix.texts), len(matrix.get_xticks()), len(matrix.get_yticks())) == (numbers, numbers, numbers)
    cell = matrix.get_window_extent().height / figure.dpi * 72 / classes  # points
    assert all(text.get_fontsize() < cell for text in matrix.texts)
    with Image.open(tmp_path / "page.png") as picture:
        assert min(picture.size) >= 256
