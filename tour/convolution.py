"""Page: convolution by hand, step by step."""

from pathlib import Path

import numpy as np

from tour.arithmetic import Matrix, correlate
from tour.drawing.panels import Box, Panel, panels
from tour.material import Material
from tour.page import Block, Page, Picture, Table

CROSS = [[1, 0, 1], [0, 1, 0], [1, 0, 1]]  # the filter of both examples
BINARY = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]  # Karn's figure, from Stanford's UFLDL
GRAY = [  # Gupta's figure
    [18, 54, 51, 239, 244, 188],
    [55, 121, 75, 78, 95, 88],
    [35, 24, 204, 113, 109, 221],
    [3, 154, 104, 235, 25, 130],
    [15, 253, 225, 159, 78, 233],
    [68, 85, 180, 214, 245, 0],
]


def body(material: Material) -> list[Block]:
    valid, same, full = (correlate(BINARY, CROSS, padding=padding) for padding in (0, 1, 2))
    gray, strided = correlate(GRAY, CROSS), correlate(GRAY, CROSS, stride=2)
    inside = bool((correlate(GRAY, CROSS, padding=1)[1:-1, 1:-1] == gray).all())
    return [
        "Karn's example is small enough to do by hand: an image of 5x5 zeros and ones, a filter of 3x3. The frame moves by one pixel "
        "at a time; under it, pixels are multiplied with weights and added. Nine places, nine sums.",
        Picture("steps", "The animation of the tutorial, as nine pictures", _draw_steps),
        "A reader asks whether the result should not be 5x5. It can be either. How far the filter may reach over the edge is a choice, "
        "and what lies outside counts as 0:",
        Picture("paddings", "One filter, three choices at the edge", lambda path: _draw_paddings(path, valid, same, full)),
        Table(
            ("choice", "zeros around the image", "size of the result", "also called"),
            [
                ("valid", 0, _size(valid), "narrow"),
                ("same", 1, _size(same), "wide"),
                ("full", 2, _size(full), "wide"),
            ],
        ),
        'Gupta describes *same* twice. The second time, with "only the valid pixels" and none from outside, it is *valid* padding that is '
        "described.",
        "## With gray values",
        f"Gupta's example has 6x6 gray values and the same filter. The first sum is 18 + 51 + 121 + 35 + 204 = **{gray[0, 0]:.0f}**.",
        Picture("gray", "Gupta's example; stride 2 keeps every second sum", lambda path: _draw_gray(path, gray, strided)),
        f"With **stride** 2 the frame moves by two pixels: of each direction every second sum is left. The formula gives "
        f"(6 - 3) / 2 + 1 = 2.5, and a half place does not exist, so {_size(strided)} sums come out and the last row and column of the "
        "image are never seen. [Page](sizes) says what to do about that.",
        f"With one zero around the image the result is 6x6 again, and its middle 4x4 is {'exactly' if inside else 'not'} the result "
        "without zeros, as Gupta says. One zero keeps the size of a 3x3 filter's map alone; 5x5 needs two, 7x7 three ([page](sizes)).",
    ]


def _size(values: Matrix) -> str:
    return "x".join(map(str, values.shape))


def _draw_steps(path: Path) -> None:
    sums = correlate(BINARY, CROSS)
    steps = [Panel(np.array(CROSS), "the filter", "3x3 weights", (-0.4, 1), numbers="d")]
    for place in range(sums.size):
        top, left = divmod(place, sums.shape[1])
        part = np.array(BINARY)[top : top + 3, left : left + 3] * CROSS
        so_far = " ".join(f"{value:.0f}" for value in sums.ravel()[: place + 1])
        title = f"{place + 1}: the sum is {part.sum()}"
        steps.append(Panel(np.array(BINARY), title, f"so far {so_far}", (-0.4, 1), numbers="d", boxes=[Box(top, left, 3, 3)]))
    panels(path, "A 3x3 filter visits a 5x5 image", steps, columns=5, size=1.75, digits=8.5)


def _draw_paddings(path: Path, valid: Matrix, same: Matrix, full: Matrix) -> None:
    shown = [Panel(np.array(CROSS), "filter", limits=(-1, 1), numbers="d")]
    for name, values in (("valid", valid), ("same", same), ("full", full)):
        edge = (len(values) - len(valid)) // 2
        shown.append(Panel(values, f"{name}: {_size(values)}", limits=(-1, 5), numbers=".0f", boxes=[Box(edge, edge, 3, 3)]))
    panels(path, "The red frame is the same in all of them", shown, columns=4, size=2.3)


def _draw_gray(path: Path, gray: Matrix, strided: Matrix) -> None:
    shown = [
        Panel(np.array(GRAY), "image, 6x6", numbers="d", boxes=[Box(0, 0, 3, 3)]),
        Panel(gray, "stride 1: 4x4", limits=(0, 913), numbers=".0f", boxes=[Box(0, 0, 1, 1)]),
        Panel(strided, "stride 2: 2x2", limits=(0, 913), numbers=".0f", boxes=[Box(0, 0, 1, 1)]),
    ]
    panels(path, "The same filter on gray values", shown, columns=3, size=2.6)


PAGE = Page("convolution", "Convolution by hand", "5x5 by 3x3, every step; valid, same, full; stride", body)
