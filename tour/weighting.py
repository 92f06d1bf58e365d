"""Page: from a weight for each pixel to a filter, in Gupta's five steps."""

from pathlib import Path

import numpy as np

from tour.arithmetic import Matrix, correlate
from tour.convolution import GRAY
from tour.drawing.panels import Box, Panel, panels
from tour.material import Material
from tour.page import Block, Page, Picture, Table

IMAGE = np.array(GRAY, float)[:4, :4]  # the corner of Gupta's figure
ONE, OTHER = (1.0, 0.3), (0.1, 5.0)  # the text's pairs of weights
SQUARE = np.array([ONE, OTHER])  # both pairs, one above the other


def weighted(image: Matrix, weight: float) -> Matrix:
    """Return the image with each pixel times the same weight: a filter of 1x1."""
    return correlate(image, [[weight]])


def paired(image: Matrix, weights: tuple[float, float], sides: int = 0) -> Matrix:
    """Return the sums of two neighbours in a row, each times its weight. sides: columns of zeros at the left and at the right."""
    return correlate(np.pad(image, ((0, 0), (sides, sides))), [weights])


def body(material: Material) -> list[Block]:
    single, pairs, wide, others, square = steps()
    first = f"{IMAGE[0, 0]:.0f} · {ONE[0]:g} + {IMAGE[0, 1]:.0f} · {ONE[1]:g} = {pairs[0, 0]:.1f}"
    return [
        "Why filters? Gupta gets to them from something simpler: multiply pixels with weights and see what is lost on the way. Here are "
        "the "
        "steps on the first four rows and columns of that text's gray image.",
        Picture("steps", "The same sixteen pixels in five steps", lambda path: _draw(path, single, pairs, wide, others, square)),
        Table(
            ("step", "weights", "result", "what it brings"),
            [
                ("1. a weight for a pixel", "0.3", _size(single), "each pixel for itself: what stands beside it plays no part"),
                ("2. two neighbours", _pair(ONE), _size(pairs), f"the first number is {first}; four columns hold three pairs"),
                ("3. zeros at the sides", _pair(ONE), _size(wide), "the pixels at the border are in two pairs, like all others"),
                ("4. other weights", _pair(OTHER), _size(others), "another map of the same image: here the right neighbour counts most"),
                ("5. in both directions", f"{_pair(ONE)} over {_pair(OTHER)}", _size(square), "a 2x2 filter: one row and one column fewer"),
            ],
        ),
        "**Step 1** is what a fully connected layer does before it adds up: every pixel has a weight of its own, and if all pixels were "
        "shuffled in the same way it would not notice ([page](flattening)). **Step 2** looks at neighbours together, with the *same* "
        f"two weights wherever it looks: {pairs.size} numbers from 2 weights. That is *weight sharing*. **Step 3** is padding "
        "([page](sizes)). **Step 4** shows why one filter is not enough: the pair (1, 0.3) follows the left pixel, (0.1, 5) the right "
        f"one, and both maps together are a result of depth 2, {_size(pairs)}x2. **Step 5** is a convolution ([page](convolution)); the "
        f"sum "
        "of the maps of step 2 and, one row lower, step 4 is exactly what it gives.",
    ]


def steps() -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix]:
    """Return the results of the five steps."""
    return weighted(IMAGE, ONE[1]), paired(IMAGE, ONE), paired(IMAGE, ONE, 1), paired(IMAGE, OTHER), correlate(IMAGE, SQUARE)


def _pair(weights: tuple[float, float]) -> str:
    return f"({weights[0]:g}, {weights[1]:g})"


def _size(values: Matrix) -> str:
    return "x".join(map(str, values.shape))


def _draw(path: Path, *results: Matrix) -> None:
    names = ("1: each times 0.3", f"2: pairs {_pair(ONE)}", "3: zeros at the sides", f"4: pairs {_pair(OTHER)}", "5: 2x2")
    boxes = (Box(0, 0, 1, 1),)
    shown = [
        Panel(_padded(IMAGE), "the image", "a pair in red, a square in blue", numbers=".0f", boxes=(Box(0, 0, 1, 2), Box(0, 0, 2, 2, 1)))
    ]
    for name, values in zip(names, results, strict=True):
        most = 1.25 * float(max(values.max(), 255))  # so that none is as white as the paper
        shown.append(Panel(_padded(values), name, _size(values), limits=(0, most), numbers=".1f", boxes=boxes))
    panels(path, "From a weight to a filter", shown, columns=3, size=2.3, digits=8)


def _padded(values: Matrix) -> Matrix:
    """Return the values on a sheet of empty cells that is as large as the largest result, so that all cells are drawn alike."""
    sheet = np.full((4, 5), np.nan)
    sheet[: values.shape[0], : values.shape[1]] = values
    return sheet


PAGE = Page("weighting", "From weights to filters", "Gupta's five steps: one weight, pairs, zeros, other weights, 2x2", body)
