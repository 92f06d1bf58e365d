"""The picture of the first layer's filters says of which moment it is and what its grays mean."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops

from pipeline.analysis import filters
from pipeline.analysis.figures import feature_maps, overview
from pipeline.analysis.filters import BOTTOM, MARGIN, TOP, enlarged, filter_mosaic, first_layer, step_label
from tests.analysis.figures.test_overview import drawn
from tests.drawn import Saved

Colour = tuple[float, float, float]
Colours = tuple[Colour, ...]

WEIGHT = np.random.default_rng(0).normal(0, 0.2, (8, 1, 3, 3)).astype(np.float32)
COLOURED = np.random.default_rng(0).normal(0, 0.2, (8, 3, 5, 5)).astype(np.float32)


def changed(one: Image.Image, other: Image.Image) -> tuple[int, int]:
    """Return the first row in which two pictures differ, and the first below these in which nothing does."""
    _, top, _, below = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox() or (0, 0, 0, 0)
    return top, below


@pytest.mark.parametrize("weight", [WEIGHT, COLOURED, WEIGHT[:1], WEIGHT[:2]])
def test_the_filters_stand_between_title_and_scale_as_they_are(weight: NDArray[np.float32]) -> None:
    picture = np.asarray(first_layer(weight, 0.5, "before training"))
    mosaic = filter_mosaic(weight, 0.5)
    shown = mosaic if mosaic.ndim == 3 else np.stack([mosaic] * 3, axis=-1)
    np.testing.assert_array_equal(picture[TOP:-BOTTOM, MARGIN:-MARGIN], enlarged(shown, 512))
    assert min(picture.shape[:2]) >= 512  # MLflow's thumbnail blurs what is below 256


def test_the_title_says_when() -> None:
    one, other = first_layer(WEIGHT, 0.5, step_label(0)), first_layer(WEIGHT, 0.5, step_label(5))
    assert (step_label(0), step_label(5)) == ("before training", "after epoch 5")
    top, below = changed(one, other)
    assert 0 < top < below <= TOP


def test_the_scale_goes_from_black_to_white_and_says_which_weights_these_are() -> None:
    picture = np.asarray(first_layer(WEIGHT, 0.5, "x"))
    bar = picture[-BOTTOM + MARGIN + 10, MARGIN + 1 : MARGIN + 199, 0].astype(int)
    assert bar[0] < 5
    assert bar[-1] > 250
    assert abs(bar[len(bar) // 2] - 128) < 3
    assert (np.diff(bar) >= 0).all()
    zeros = np.zeros_like(WEIGHT)
    top, _ = changed(first_layer(zeros, 0.5, "x"), first_layer(zeros, 0.7, "x"))
    assert top > picture.shape[0] - BOTTOM  # nothing but the numbers


GRAY, RED_AND_BLUE = ((0, 0, 0), (1, 1, 1)), ((0, 0, 1), (1, 1, 1), (1, 0, 0))


@pytest.mark.parametrize(("colours", "zero"), [(GRAY, (0.5, 0.5, 0.5)), (RED_AND_BLUE, (1, 1, 1))])
def test_a_weight_has_its_colour_of_the_colour_map(colours: Colours, zero: Colour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "COLOURS", colours)
    weight = np.array([-0.5, 0, 0.5], np.float32).reshape(3, 1, 1, 1)
    tiles = np.asarray(first_layer(weight, 0.5, "x"))[TOP:-BOTTOM, MARGIN:-MARGIN] / 255
    side = len(tiles) // 5  # pixels of a weight: two rows of two, with a line around each
    found = [tiles[int((row + 0.5) * side), int((column + 0.5) * side)] for row, column in ((1, 1), (1, 3), (3, 1))]
    np.testing.assert_allclose(found, [colours[0], zero, colours[-1]], atol=0.01)


@pytest.mark.parametrize("module", [feature_maps, overview])
def test_the_pages_have_the_same_colour_map(module: ModuleType, saved: Saved, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "COLOURS", RED_AND_BLUE)
    mosaic = filter_mosaic(WEIGHT, 0.5)
    if module is feature_maps:
        feature_maps.film_strip(tmp_path / "page.png", "conv1", "a note", [("before training", mosaic)], 0.5)
    else:
        drawn(tmp_path / "page.png", filters=mosaic)
    [image] = [image for axes in saved["page.png"].axes for image in axes.images if np.shape(image.get_array()) == mosaic.shape]
    np.testing.assert_allclose(image.cmap([0.0, 0.5, 1.0])[:, :3], RED_AND_BLUE, atol=0.01)
