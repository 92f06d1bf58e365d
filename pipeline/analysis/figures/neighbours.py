"""Images with the training images that the network finds most similar."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pipeline.analysis.figures.gallery import LETTERS
from pipeline.analysis.figures.style import INK, WRONG, label_within, page, save

SIDE, WORDS = 1.5, 0.6  # inches of an image, and of what stands around it: two lines above, its file below
LEFT, BETWEEN, GAP = 0.1, 0.1, 0.2  # inches at the page's sides, between images, and more of them between an image and its neighbours
TOP, LEAST = 0.8, 9  # inches above the first image; of a page's width, for its title and note
NOTE = "left: the image; right: the training images with the most similar last features, each with its class and the cosine"
POINTS = 72 * SIDE * 0.96  # of a line above an image
NAMES = 26  # characters of a file's path


@dataclass(frozen=True)
class Query:
    """An image whose neighbours are wanted."""

    image: NDArray[np.uint8]  # (H, W, C)
    source: str  # its file
    actual: str | None  # its class, if known
    predicted: str
    probability: float  # of the predicted class


@dataclass(frozen=True)
class Neighbour:
    """A training image that is similar."""

    image: NDArray[np.uint8]  # (H, W, C)
    source: str  # its file, as in images.csv
    actual: str  # class
    cosine: float  # of the angle between its features and the query's


def neighbours_page(path: Path, title: str, rows: list[tuple[Query, list[Neighbour]]]) -> None:
    """Draw a row for each image: the image at the left, then its neighbours; those of a class other than its own (if known, else the
    predicted one) have a red title. A page that says so if there are no rows."""
    columns = 1 + max((len(found) for _, found in rows), default=1)
    width = max(LEAST, 2 * LEFT + GAP + columns * (SIDE + BETWEEN))
    figure = page(width, TOP + max(1, len(rows)) * (SIDE + WORDS), title)
    figure.set_layout_engine("none")  # which would take seconds for so many images
    figure.text(0.01, 0.01, NOTE, fontsize=8, va="bottom")
    if not rows:
        figure.text(0.5, 0.5, "no mistakes", ha="center", va="center", fontsize=20, color=INK)
    for row, (query, found) in enumerate(rows):
        _draw_query(_axes(figure, row, 0), query)
        for column, neighbour in enumerate(found, start=1):
            is_other = neighbour.actual != (query.actual or query.predicted)
            lines = [neighbour.actual, f"{neighbour.cosine:.3f}"]
            _draw(_axes(figure, row, column), neighbour.image, lines, WRONG if is_other else INK, neighbour.source)
    save(figure, path)


def _axes(figure: Figure, row: int, column: int) -> Axes:
    """Return the axes of an image, SIDE x SIDE inches; those of neighbours stand apart from the first."""
    wide, high = figure.get_size_inches()
    left = LEFT + column * (SIDE + BETWEEN) + (GAP if column else 0)
    bottom = high - TOP - row * (SIDE + WORDS) - SIDE
    axes = figure.add_axes((left / wide, bottom / high, SIDE / wide, SIDE / high))
    axes.axis("off")
    return axes


def _draw_query(axes: Axes, query: Query) -> None:
    said = f"said {query.predicted}, {query.probability:.2f}"
    is_wrong = query.actual not in (None, query.predicted)
    _draw(axes, query.image, [*([query.actual] if query.actual else []), said], WRONG if is_wrong else INK, query.source)


def _draw(axes: Axes, image: NDArray[np.uint8], lines: list[str], colour: str, source: str) -> None:
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    words = "\n".join(label_within(POINTS, line, LETTERS) for line in lines)
    axes.set_title(words, fontsize=LETTERS, fontweight="normal", loc="center", color=colour)
    short = source if len(source) <= NAMES else f"…{source[1 - NAMES :]}"
    axes.text(0.5, -0.03, short, transform=axes.transAxes, ha="center", va="top", fontsize=6)
