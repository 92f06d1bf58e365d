from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pipeline.analysis.figures.style import WRONG
from pipeline.analysis.figures.unit_statistics import COLOURS, LayerUnits, unit_statistics_page
from tests.drawn import Saved

ON, SELECTIVITY = np.array([0.0, 0.25, 1.0, 0.5]), np.array([0.0, 0.5, 0.1, 1.0])
LAYER = LayerUnits("conv1: convolution 3×3", ON, SELECTIVITY, [0, 1, 0, 1], [(1, 2, 0.95)], [(0, 3, -0.91)])


def draw(saved: Saved, folder: Path, *layers: LayerUnits, classes: tuple[str, ...] = ("cat", "dog")) -> tuple[Figure, list[Axes]]:
    unit_statistics_page(folder / "statistics.png", "a title", list(layers), list(classes))
    [figure] = saved.values()
    return figure, figure.axes


def test_each_unit_has_its_bar_and_dead_ones_a_red_cross(saved: Saved, tmp_path: Path) -> None:
    _, (left, _) = draw(saved, tmp_path, LAYER)
    assert [bar.get_height() for bar in left.patches] == [0, 25, 100, 50]
    assert left.get_title(loc="left") == "conv1: convolution 3×3, 4 units: 1 dead (red cross), 1 always on"
    [crosses] = left.lines
    assert crosses.get_xdata().tolist() == [0]
    assert to_hex(crosses.get_color()) == WRONG


def test_selectivity_has_the_colour_of_the_favourite_class_which_the_legend_names(saved: Saved, tmp_path: Path) -> None:
    figure, (_, right) = draw(saved, tmp_path, LAYER)
    [dots] = right.collections
    np.testing.assert_allclose(dots.get_offsets()[:, 1], SELECTIVITY)
    np.testing.assert_allclose(dots.get_facecolors()[:, :3], [COLOURS[i] for i in (0, 1, 0, 1)])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "dog"]
    assert right.get_title(loc="left") == "1 pair alike: 1 and 2 (+0.95); 1 pair opposite: 0 and 3 (-0.91)"


def test_more_classes_than_colours_have_one_colour_and_no_legend(saved: Saved, tmp_path: Path) -> None:
    figure, (_, right) = draw(saved, tmp_path, LAYER, classes=tuple("abcdefghijk"))
    assert len(np.unique(right.collections[0].get_facecolors(), axis=0)) == 1
    assert not figure.legends


def test_units_without_a_relu_are_not_called_dead(saved: Saved, tmp_path: Path) -> None:
    figure, (left, right) = draw(saved, tmp_path, LayerUnits("c1", ON, None, [0] * 4, [(0, 1, 0.9)] * 5, []))
    assert left.get_title(loc="left") == "c1, 4 units: no ReLU behind them"
    assert not right.collections
    assert right.get_title(loc="left").startswith("5 pairs alike: 0 and 1 (+0.90), 0 and 1 (+0.90), 0 and 1 (+0.90), …; 0 pairs opposite")
    assert not figure.legends
