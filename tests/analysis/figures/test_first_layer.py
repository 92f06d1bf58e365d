"""The picture of the first layer's filters says of which moment it is and what its grays mean."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageChops

from pipeline.analysis.figures.first_layer import BOTTOM, MARGIN, TOP, first_layer, moment
from pipeline.analysis.filters import enlarged, filter_mosaic

WEIGHT = np.random.default_rng(0).normal(0, 0.2, (8, 1, 3, 3)).astype(np.float32)
COLOURED = np.random.default_rng(0).normal(0, 0.2, (8, 3, 5, 5)).astype(np.float32)


def changed(one: Image.Image, other: Image.Image) -> tuple[int, int]:
    """Return the first row in which two pictures differ, and the first below these in which nothing does."""
    _, top, _, below = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).getbbox() or (0, 0, 0, 0)
    return top, below


@pytest.mark.parametrize("weight", [WEIGHT, COLOURED, WEIGHT[:1], WEIGHT[:2]])
def test_the_filters_stand_between_title_and_scale_as_they_are(weight: NDArray[np.float32]) -> None:
    picture = np.asarray(first_layer(weight, 0.5, "before training"))
    np.testing.assert_array_equal(picture[TOP:-BOTTOM, MARGIN:-MARGIN], enlarged(filter_mosaic(weight, 0.5), 512))
    assert min(picture.shape[:2]) >= 512  # MLflow's thumbnail blurs what is below 256


def test_the_title_says_when() -> None:
    one, other = first_layer(WEIGHT, 0.5, moment(0)), first_layer(WEIGHT, 0.5, moment(5))
    assert (moment(0), moment(5)) == ("before training", "after epoch 5")
    top, below = changed(one, other)
    assert 0 < top < below <= TOP


def test_the_scale_goes_from_black_to_white_and_says_which_weights_these_are() -> None:
    picture = np.asarray(first_layer(WEIGHT, 0.5, "x"))
    bar = picture[-BOTTOM + MARGIN + 10, MARGIN + 1 : MARGIN + 199].astype(int)
    assert bar[0] < 5
    assert bar[-1] > 250
    assert abs(bar[len(bar) // 2] - 128) < 3
    assert (np.diff(bar) >= 0).all()
    zeros = np.zeros_like(WEIGHT)
    top, _ = changed(first_layer(zeros, 0.5, "x"), first_layer(zeros, 0.7, "x"))
    assert top > picture.shape[0] - BOTTOM  # nothing but the numbers


def test_colours_are_told_from_grays() -> None:
    assert first_layer(COLOURED, 0.5, "x").mode == "RGB"
    assert first_layer(WEIGHT, 0.5, "x").mode == "L"
