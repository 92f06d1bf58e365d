"""Page: the size of a feature map."""

from fractions import Fraction
from pathlib import Path

from torch import nn

from pipeline.model.tracing import Call, Window, trace
from tour.arithmetic import output_size
from tour.drawing.windows import window_rows
from tour.material import Material
from tour.page import Block, Page, Picture, Table

# Width, kernel, padding, stride; what the texts use it for.
CASES = [
    ((32, 3, 0, 1), "10 filters give 30x30x10"),
    ((32, 5, 0, 1), "10 filters give 28x28x10"),
    ((32, 7, 0, 1), "Deshpande's 26x26; a copy of the text says 28x28"),
    ((300, 5, 0, 1), "Gupta's network: 296x296x10"),
    ((7, 3, 1, 2), "CS231n"),
    ((5, 3, 1, 1), "CS231n: the size stays"),
    ((5, 3, 1, 2), "CS231n"),
    ((11, 5, 0, 2), "CS231n"),
    ((10, 3, 0, 2), "CS231n: does not fit"),
    ((6, 3, 0, 2), "Gupta's 6x6 with stride 2: does not fit"),
    ((227, 11, 0, 4), "AlexNet's first layer"),
    ((224, 11, 0, 4), "with the 224 of AlexNet's paper: does not fit"),
    ((224, 11, 2, 4), "the same with padding 2, as torchvision has it: 55 come out"),
]
DRAWN = [(4, 2, 0, 1), (4, 2, 1, 1), (7, 3, 1, 2), (10, 3, 0, 2), (5, 3, 1, 1), (5, 3, 2, 1)]


def alexnets_first(image_size: int, padding: int) -> Call:
    """Return how AlexNet's first convolution takes images of this size."""
    return trace(nn.Sequential(nn.Conv2d(3, 96, 11, stride=4, padding=padding)), 3, image_size)[0]


def same_padding(kernel: int) -> Fraction:
    """Return the zeros on each side that keep the size at stride 1: (F - 1) / 2, no whole number for an even kernel."""
    return Fraction(kernel - 1, 2)


def window(case: tuple[int, int, int, int]) -> Window:
    _, kernel, padding, stride = case
    return Window(kernel, stride, padding)


def body(material: Material) -> list[Block]:
    paper, cropped, padded = alexnets_first(224, 0), alexnets_first(227, 0), alexnets_first(224, 2)
    return [
        "How many places are there for a window of F pixels on a row of W pixels, with P zeros at each end, when it moves by S? The "
        "first place needs F pixels, each further one S more:",
        "**(W - F + 2P) / S + 1**",
        Picture("places", "A row of pixels and the places of a window", _draw),
        "Rows and columns follow the same rule, so a square image gives a square map. The number of filters has no part in it.",
        Table(("W", "F", "P", "S", "(W - F + 2P) / S + 1", "comes out", ""), [(*case, *_result(case), note) for case, note in CASES]),
        "## When it does not fit",
        "Where the formula gives no whole number, the last pixels are seen by no window. Libraries round down and say nothing. "
        "`python -m pipeline.command.check` says at which layer this happens and which size fits. One uneven row in a large image is "
        "harmless; in a small one it is a good part of it.",
        f"The paper on AlexNet says 224x224 pixels. With its filters of 11 and its stride of 4 that gives {_decimal(CASES[11][0])}: "
        f"{paper.output[1]} places and not the 55 of the same paper, and {paper.unseen} column that no filter sees. With 227 it is "
        f"exactly {cropped.output[1]}; with 224 and padding 2 it is {padded.output[1]} too, and what no filter sees is padding.",
        "## Same, valid, full",
        "- *valid* (narrow): P = 0, the map shrinks by F - 1.",
        "- *same*: P = (F - 1) / 2 at stride 1, the map keeps its size. An even F needs half a zero more on one side than on the other "
        f"(F = 4: {float(same_padding(4))} each), so one side gets more.",
        "- *full*: P = F - 1, every window that touches the image: the map grows to W + F - 1 (Dumoulin and Visin, arXiv:1603.07285).",
        "- *wide* is any of them with zeros.",
    ]


def _result(case: tuple[int, int, int, int]) -> tuple[str, int]:
    return _decimal(case), window(case).positions(case[0])


def _decimal(case: tuple[int, int, int, int]) -> str:
    return f"{float(output_size(*case)):g}"


def _draw(path: Path) -> None:
    window_rows(path, "Places of a window; red: never seen", [(case[0], window(case)) for case in DRAWN])


PAGE = Page("sizes", "Stride, padding and sizes", "the formula, its exceptions, and AlexNet's 224", body)
