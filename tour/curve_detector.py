"""Page: the curve detector, a filter of 7x7 numbers."""

from pathlib import Path

import numpy as np

from tour.arithmetic import Matrix, convolve, correlate
from tour.drawing.panels import Box, Panel, panels
from tour.material import Material
from tour.page import Block, Page, Picture, Table

CURVE = ((0, 5), (1, 4), (2, 3), (3, 3), (4, 3), (5, 3))  # row and column of the filter's weights
WEIGHT = 30  # of each
RECEPTIVE_FIELD = [  # the part of the tutorial's mouse that has such a curve
    [0, 0, 0, 0, 0, 0, 30],
    [0, 0, 0, 0, 50, 50, 50],
    [0, 0, 0, 20, 50, 0, 0],
    [0, 0, 0, 50, 50, 0, 0],
    [0, 0, 0, 50, 50, 0, 0],
    [0, 0, 0, 50, 50, 0, 0],
    [0, 0, 0, 50, 50, 0, 0],
]
SIDE = 32  # pixels of the image that the filter slides over


def curve_filter() -> Matrix:
    """Return the tutorial's (7, 7) weights."""
    weights = np.zeros((7, 7))
    weights[tuple(zip(*CURVE, strict=True))] = WEIGHT
    return weights


def scene() -> Matrix:
    """Return a (32, 32) image with the curve at the top left and nothing at the top right."""
    image = np.zeros((SIDE, SIDE))
    image[:7, :7] = RECEPTIVE_FIELD
    image[20:27, 16:23] = np.rot90(RECEPTIVE_FIELD)  # the same curve, lying
    return image


def body(material: Material) -> list[Block]:
    answers = correlate(scene(), curve_filter())
    match, nothing = answers[0, 0], answers[0, -1]
    below, lying = answers[1, 0], answers[13:].max()
    turned = convolve(RECEPTIVE_FIELD, curve_filter())[0, 0]
    on_photo = correlate(material.photo.gray, curve_filter() - curve_filter().mean())
    return [
        "A filter is a small array of weights. Deshpande's example has 7x7 of them and looks for a curve: 30 along it, 0 elsewhere. Laid "
        "over a part of the image (its *receptive field*), each weight is multiplied with the pixel under it, and the products are "
        "added.",
        Picture("products", "The products that are not 0, and their sum", _draw_products),
        f"The curve is there, so the sum is large: 4 · 50 · 30 + 20 · 30 = **{match:,.0f}**. Over a part without it the sum is "
        f"**{nothing:,.0f}**. The filter visits all {answers.shape[0]}x{answers.shape[1]} places where it fits into {SIDE}x{SIDE} "
        f"pixels; the sums, in their order, are its *feature map*. The same curve lying on its side gets {lying:,.0f} at most: this "
        "filter looks for one direction.",
        Picture("map", "The feature map is bright where the curve is", lambda path: _draw_map(path, answers)),
        f"The brightest place is not the tutorial's, though: one pixel below it the sum is {below:,.0f}, because there all six weights "
        "lie on pixels of 50. Filters answer around what they look for, not at one point.",
        "## Convolution or cross-correlation?",
        "A convolution in mathematics turns the filter by 180° before it multiplies. Readers of the tutorials noticed that to convolve "
        "does not mean to slide. They are right, and what all libraries for deep learning call convolution is cross-correlation: the "
        "filter is not turned. Both can learn the same, since the weights are learned; a filter that is given makes a difference:",
        Table(("on the receptive field above", "sum"), [("cross-correlation", f"{match:,.0f}"), ("convolution", f"{turned:,.0f}")]),
        "## On the photo",
        "The same filter on the photo, less its mean, so that an even surface gives 0. Red is where the curve is, blue is where its "
        "negative is, a dark curve on a light ground.",
        Picture("photo", "The curve detector on the photo", lambda path: _draw_photo(path, material, on_photo)),
    ]


def _draw_products(path: Path) -> None:
    weights, pixels = curve_filter(), np.array(RECEPTIVE_FIELD, np.float64)
    panels(
        path,
        "A filter meets a curve",
        [
            Panel(pixels, "pixels", limits=(0, 60), numbers=".0f"),
            Panel(weights, "weights", limits=(-40, 40), colours="signs", numbers=".0f"),
            Panel(pixels * weights, "products", f"their sum: {(pixels * weights).sum():,.0f}", (-2000, 2000), "signs", ".0f"),
        ],
        columns=3,
        size=2.9,
        digits=8.5,
    )


def _draw_map(path: Path, answers: Matrix) -> None:
    boxes = [Box(0, 0, 7, 7), Box(0, SIDE - 7, 7, 7, colour=1)]
    ends = [Box(0, 0, 1, 1), Box(0, SIDE - 7, 1, 1, colour=1)]
    note = f"red: {answers[0, 0]:,.0f}; blue: {answers[0, -1]:,.0f}; the largest: {answers.max():,.0f}"
    panels(
        path,
        "Every place gets an answer",
        [
            Panel(scene(), f"image, {SIDE}x{SIDE}", limits=(0, 50), boxes=boxes),
            Panel(answers, "feature map, {}x{}".format(*answers.shape), note, limits=(0, answers.max()), boxes=ends),
        ],
        columns=2,
        size=3.4,
    )


def _draw_photo(path: Path, material: Material, answers: Matrix) -> None:
    limit = float(abs(answers).max()) or 1.0
    shown = [Panel(material.photo.gray, "gray values"), Panel(answers, "feature map", f"±{limit:,.0f}", (-limit, limit), "signs")]
    panels(path, "The curve detector on a photo", shown, columns=2, size=3.0)


PAGE = Page("curve-detector", "The curve detector", "one filter, one sum: 6,600 where the curve is, 0 elsewhere", body)
