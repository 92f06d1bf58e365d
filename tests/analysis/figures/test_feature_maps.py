from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image

from pipeline.analysis.activations import Layer
from pipeline.analysis.figures.feature_maps import ClassBars, feature_map_page
from pipeline.analysis.figures.style import PALE, RIGHT, WRONG
from pipeline.analysis.unit_layers import Strip
from tests.drawn import Saved

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)


def layer(name: str, family: str, shown: int, channels: int, side: int) -> Layer:
    maps = RNG.normal(0, 2, (shown, side, side)).astype(np.float32)
    return Layer(name, family, family, maps, channels)


CONV, RELU, POOL = layer("conv1", "convolution", 6, 6, 8), layer("relu1", "activation", 6, 6, 8), layer("pool1", "pooling", 6, 6, 4)
DEEP = layer("conv2", "convolution", 16, 64, 4)
ANSWER = ClassBars({"cat": 0.25, "dog": 0.75, "cow": 0.0}, actual="cat", predicted="dog")


def draw(saved: Saved, folder: Path, image: np.ndarray, rows: list[list[Layer]]) -> list[Axes]:
    """Return the panels: the image, the layers, the answer, the scale."""
    feature_map_page(folder / "way.png", "a title", image, rows, ANSWER)
    with Image.open(folder / "way.png") as picture:
        assert min(picture.size) >= 256
    [figure] = saved.values()
    return figure.axes


def test_the_way_goes_from_the_image_through_the_layers_in_order_to_the_answer(saved: Saved, tmp_path: Path) -> None:
    panels = draw(saved, tmp_path, IMAGE, [[CONV, RELU, POOL], [DEEP]])
    names = [axes.get_title(loc="left").strip() for axes in panels]
    assert names[:-1] == [
        *("the image", "conv1: convolution", "relu1: activation", "pool1: pooling", "conv2: convolution", "probabilities")
    ]
    tops = [round(axes.get_position().y1, 2) for axes in panels[1:5]]
    assert tops[0] == tops[1] == tops[2] > tops[3]  # a row a convolution
    assert panels[1].get_position().x0 < panels[2].get_position().x0 < panels[3].get_position().x0


def test_maps_are_the_values_of_the_layer_in_their_order_on_one_scale_around_0(saved: Saved, tmp_path: Path) -> None:
    panel = draw(saved, tmp_path, IMAGE, [[CONV]])[1]
    limit = float(np.abs(CONV.maps).max())
    assert len(panel.images) == 6
    for shown, values in zip(panel.images, CONV.maps, strict=True):
        np.testing.assert_array_equal(shown.get_array(), values)
        assert shown.get_clim() == (-limit, limit)
    corners = [(round(shown.get_extent()[3]), round(shown.get_extent()[0])) for shown in panel.images]
    assert corners == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]  # by rows


def test_a_label_says_how_many_maps_of_which_size_on_which_scale(saved: Saved, tmp_path: Path) -> None:
    panels = draw(saved, tmp_path, IMAGE, [[POOL], [DEEP]])
    notes = [axes.texts[0].get_text() for axes in panels[:3]]
    assert notes == [
        "3×8×8, 0 to 255",
        f"6×4×4, ±{np.abs(POOL.maps).max():.3g}",
        f"first 16 of 64×4×4, ±{np.abs(DEEP.maps).max():.3g}",
    ]


def test_the_answers_bar_is_blue_for_the_truth_and_red_for_a_mistake(saved: Saved, tmp_path: Path) -> None:
    bars = draw(saved, tmp_path, IMAGE, [[CONV]])[2]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["cat", "dog", "cow"]
    assert [bar.get_width() for bar in bars.patches] == [0.25, 0.75, 0.0]
    assert [to_hex(bar.get_facecolor()) for bar in bars.patches] == [RIGHT, WRONG, PALE]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_image_is_shown_as_it_is(channels: int, saved: Saved, tmp_path: Path) -> None:
    image = IMAGE[..., :channels]
    panel = draw(saved, tmp_path, image, [[CONV]])[0]
    np.testing.assert_array_equal(panel.images[0].get_array(), image.squeeze())
    assert panel.images[0].get_clim() == (0, 255) or channels == 3


def test_maps_of_zeros_are_drawn(saved: Saved, tmp_path: Path) -> None:
    silent = Layer("relu1", "activation", "ReLU", np.zeros((4, 3, 3), np.float32), 4)
    assert draw(saved, tmp_path, IMAGE, [[silent]])[1].images[0].get_clim() == (-1, 1)


def test_a_network_without_maps_has_the_image_and_the_answer(saved: Saved, tmp_path: Path) -> None:
    panels = draw(saved, tmp_path, IMAGE, [])
    assert [axes.get_title(loc="left").strip() for axes in panels] == ["the image", "probabilities"]


def test_fully_connected_units_are_cells_with_their_values_line_by_line(saved: Saved, tmp_path: Path) -> None:
    values = RNG.normal(0, 2, 60).astype(np.float32)
    values[7] = 0
    feature_map_page(tmp_path / "way.png", "a title", IMAGE, [[CONV, RELU]], ANSWER, [Strip("fc1", "fully connected, ReLU", values, 120)])
    axes = saved["way.png"].axes[-1]
    assert axes.get_title(loc="left").strip() == "fc1: fully connected, ReLU"
    cells = np.ma.filled(axes.images[0].get_array(), np.nan)
    columns = cells.shape[1]
    np.testing.assert_array_equal(cells.flatten()[:60], values)
    assert np.isnan(cells.flatten()[60:]).all()
    limit = float(np.abs(values).max())
    assert axes.images[0].get_clim() == (-limit, limit)
    note, *written = axes.texts if axes.texts[0].get_text().startswith("the first") else axes.texts[::-1]
    assert note.get_text() == f"the first 60 of 120 units, {columns} a line, from unit 0; ±{limit:.3g}"
    by_place = {text.get_position(): text.get_text() for text in written}
    assert by_place == {(i % columns, i // columns): "0" if i == 7 else f"{value:.2g}" for i, value in enumerate(values)}
