"""Page: the way back through a convolution, by hand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tour.arithmetic import Matrix, correlate
from tour.drawing.panels import Box, Panel, panels
from tour.material import Material
from tour.page import Block, Page, Picture, Table

IMAGE = np.array([[1.0, 2, 0], [0, 1, 3], [2, 1, 0]])
FILTER = np.array([[1.0, 0], [-1, 2]])
TARGET = np.array([[2.0, 5], [1, 0]])
RATE = 0.05  # learning rate of the step


@dataclass(frozen=True)
class Backward:
    """The gradients of the half squared error."""

    error: Matrix  # with respect to the map: output - target
    weights: Matrix  # with respect to the filter
    image: Matrix  # with respect to the pixels: what goes on to the layer below
    bias: float


def forward(weights: Matrix, bias: float = 0.0) -> Matrix:
    """Return the map."""
    return correlate(IMAGE, weights) + bias


def cost(output: Matrix) -> float:
    """Return the half squared error of a map."""
    return float(((output - TARGET) ** 2).sum() / 2)


def backward(output: Matrix) -> Backward:
    """Go back by hand: each weight collects from every place where it was used, each pixel from every sum that it was in."""
    error = output - TARGET
    turned = np.rot90(FILTER, 2).copy()
    return Backward(error, correlate(IMAGE, error), correlate(error, turned, padding=len(FILTER) - 1), float(error.sum()))


def terms(error: Matrix, row: int, column: int) -> str:
    """Write the sum that is a weight's gradient: at each place, the error times the pixel under the weight."""
    parts = [f"{e:g} · {IMAGE[i + row, j + column]:g}" for (i, j), e in np.ndenumerate(error)]
    return " + ".join(parts).replace("+ -", "- ")


def body(material: Material) -> list[Block]:
    output = forward(FILTER)
    found = backward(output)
    after = forward(FILTER - RATE * found.weights, -RATE * found.bias)
    return [
        "How does a filter learn? In a convolution, one weight is used at many places, so it has a part in many errors. This page does the "
        "way back by hand, on an image of 3x3 and a filter of 2x2.",
        Picture("pass", "Forward above, backward below", lambda path: _draw(path, output, found)),
        f"**Forward.** The filter visits four places: the map is {_written(output)}. It should be {_written(TARGET)}; the half squared "
        f"error "
        f"is {cost(output):g}.",
        f"**Backward.** The gradient at the map is output - target: {_written(found.error)}. Each weight's gradient is a sum over all four "
        "places, of the error there times the pixel that lay under the weight. This is where *sharing* shows: there is one sum, not "
        "four weights.",
        Table(
            ("weight", "error times pixel, at the four places", "gradient"),
            [
                (f"row {i + 1}, column {j + 1}: {weight:g}", terms(found.error, i, j), f"{found.weights[i, j]:g}")
                for (i, j), weight in np.ndenumerate(FILTER)
            ]
            + [("bias: 0", " + ".join(f"{e:g}" for e in found.error.ravel()).replace("+ -", "- "), f"{found.bias:g}")],
        ),
        "These four sums are the error slid over the image as if it were a filter: the gradient of a convolution's weights is itself a "
        "convolution. So is the gradient at the pixels, which goes on to the layer below: the errors, with zeros around them, under the "
        f"filter turned by 180 degrees. It is {_written(found.image)}.",
        f"**Update.** With η = {RATE}, w - η · gradient is {_written(FILTER - RATE * found.weights)}, the bias {-RATE * found.bias:g}. "
        f"The map is "
        f"then {_written(after)} and the error {cost(after):.3g}, from {cost(output):g}.",
        "torch's autograd gives the same numbers; a test compares them. A pooling has no weights: a maximum hands the error to the "
        "pixel that "
        "won, an average a part to each. ReLU lets it pass where its input was above 0.",
    ]


def _written(values: Matrix) -> str:
    return "[" + ", ".join("[" + ", ".join(f"{round(value, 3) + 0.0:g}" for value in row) + "]" for row in values) + "]"


def _draw(path: Path, output: Matrix, found: Backward) -> None:
    def panel(values: Matrix, title: str, note: str, *boxes: Box) -> Panel:
        most = float(abs(values).max())
        return Panel(values, title, note, (-most, most), "signs", "g", boxes)

    place, each = Box(0, 0, 2, 2), Box(0, 0, 1, 1)
    shown = [
        panel(IMAGE, "image", "the filter at its first place", place),
        panel(FILTER, "filter", "times the pixels below it"),
        panel(output, "map", "their sum", each),
        panel(TARGET, "target", "what it should be"),
        panel(found.image, "gradient at the image", "goes on to the layer below", place),
        panel(found.weights, "gradient of the filter", "errors times pixels"),
        panel(found.error, "gradient at the map", "output - target: here the way back begins", each),
    ]
    panels(path, "Forward and backward through a convolution", shown, columns=4, size=2.0)


PAGE = Page("backward", "Backward through a convolution", "each weight's gradient as a sum over all places, by hand", body)
