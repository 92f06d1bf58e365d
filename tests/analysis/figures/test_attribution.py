import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image

from pipeline.analysis.figures.attribution import Attributions, attribution_page
from pipeline.analysis.figures.feature_maps import ClassBars
from pipeline.analysis.figures.style import RIGHT
from pipeline.analysis.occlusion import Occlusion
from tests.drawn import Saved

RNG = np.random.default_rng(0)
CLASSES = ["cat", "dog", "cow"]
PREDICTED = np.array([[0, 0, 2, 0], [0, 2, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def positive(*shape: int) -> np.ndarray:
    return RNG.random(shape, np.float32)


FOUND = Attributions(
    target="cat",
    image=RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8),
    saliency=positive(8, 8),
    integrated=positive(8, 8) - 0.5,
    guided=positive(8, 8, 3) - 0.5,
    grad_cam=positive(8, 8),
    layer="relu3",
    occlusion=Occlusion(3 + positive(4, 4), positive(4, 4), PREDICTED),
    square=2,
)
ANSWER = ClassBars({"cat": 0.75, "dog": 0.25, "cow": 0.0}, None, "cat")
NAMES = [
    *("the image", "probabilities", "Grad-CAM", "guided backprop", "saliency", "integrated gradients"),
    *("covered by 2×2: a map", "covered by 2×2: the class", "covered by 2×2: the answer"),
]


def draw(saved: Saved, folder: Path, found: Attributions) -> dict[str, Axes]:
    """Return the panels by their names."""
    attribution_page(folder / "why.png", "a title", found, ANSWER, CLASSES)
    with Image.open(folder / "why.png") as picture:
        assert min(picture.size) >= 256
    [figure] = saved.values()
    return {name: axes for axes in figure.axes if (name := axes.get_title(loc="left").strip())}


def test_there_is_a_panel_for_each_attribution_with_what_it_shows_and_what_it_can_not(saved: Saved, tmp_path: Path) -> None:
    panels = draw(saved, tmp_path, FOUND)
    assert list(panels) == NAMES
    for name in NAMES[2:]:
        [words] = [text.get_text() for text in panels[name].texts]
        assert words.startswith("Shows ")
        assert "\nCan't show " in words
        assert words.endswith(".")


def test_words_and_images_leave_each_other_room(saved: Saved, tmp_path: Path) -> None:
    panels = draw(saved, tmp_path, FOUND)
    [figure] = saved.values()
    boxes = {name: axes.get_tightbbox() for name, axes in panels.items()}
    for name, box in boxes.items():
        assert min(box.x0, box.y0, figure.bbox.x1 - box.x1) >= 0, name
        assert not [other for other in boxes if other > name and box.overlaps(boxes[other])], name


def test_values_are_shown_as_they_are(saved: Saved, tmp_path: Path) -> None:
    panels = draw(saved, tmp_path, FOUND)
    for name, values in (
        ("the image", FOUND.image),
        ("Grad-CAM", FOUND.grad_cam),
        ("saliency", FOUND.saliency),
        ("integrated gradients", FOUND.integrated),
        ("covered by 2×2: a map", FOUND.occlusion.activation),
        ("covered by 2×2: the class", FOUND.occlusion.probability),
    ):
        np.testing.assert_array_equal(panels[name].images[-1].get_array(), values)
    least, most = panels["integrated gradients"].images[-1].get_clim()
    assert least == -most == pytest.approx(-np.abs(FOUND.integrated).max())
    shown = panels["guided backprop"].images[-1].get_array()
    np.testing.assert_allclose(shown - 0.5, FOUND.guided / (2 * np.abs(FOUND.guided).max()), atol=1e-6)


def test_maps_of_fewer_places_lie_over_the_whole_image(saved: Saved, tmp_path: Path) -> None:
    panels = draw(saved, tmp_path, FOUND)
    extents = [tuple(image.get_extent()) for name in NAMES[2:] for image in panels[name].images]
    assert set(extents) == {(-0.5, 7.5, 7.5, -0.5)}


def test_the_answers_are_named_and_only_those_that_occur(saved: Saved, tmp_path: Path) -> None:
    panel = draw(saved, tmp_path, FOUND)["covered by 2×2: the answer"]
    legend = panel.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["cat", "cow"]
    shown = panel.images[-1]
    for number, patch in zip((0, 2), legend.get_patches(), strict=True):
        [index] = np.unique(shown.get_array()[number == PREDICTED])
        assert to_hex(patch.get_facecolor()) == to_hex(shown.cmap(shown.norm(index)))


def test_what_a_network_does_not_have_leaves_no_gap(saved: Saved, tmp_path: Path) -> None:
    found = replace(FOUND, guided=None, grad_cam=None, layer=None, occlusion=replace(FOUND.occlusion, activation=None))
    assert list(draw(saved, tmp_path, found)) == [name for name in NAMES if name not in {"Grad-CAM", "guided backprop", NAMES[6]}]


def test_the_most_probable_class_is_blue_where_the_actual_one_is_not_known(saved: Saved, tmp_path: Path) -> None:
    panel = draw(saved, tmp_path, FOUND)["probabilities"]
    assert to_hex(panel.patches[0].get_facecolor()) == RIGHT
    assert panel.texts[-1].get_text() == "blue: the most probable class"


def test_attributions_of_zeros_and_gray_images_are_drawn(saved: Saved, tmp_path: Path) -> None:
    zeros = np.zeros((8, 8), np.float32)
    nothing = Occlusion(np.zeros((4, 4), np.float32), np.zeros((4, 4), np.float32), 0 * PREDICTED)
    silent = replace(FOUND, image=FOUND.image[..., :1], saliency=zeros, integrated=zeros, guided=zeros[..., None], grad_cam=zeros)
    with warnings.catch_warnings(action="error"):
        assert list(draw(saved, tmp_path, replace(silent, occlusion=nothing))) == NAMES
