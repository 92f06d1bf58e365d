"""Images with what they are and what the network said."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from pipeline.analysis.figures.style import INK, WRONG, label_within, page, save, width_of
from pipeline.dataset.names import on_one_line

LETTERS = 8  # points, of what stands above an image
ROOM = 0.96  # of an image's share of the width, which its title may take
LONGEST = 44  # characters of a file's path beside its image


@dataclass(frozen=True)
class Example:
    image: NDArray[np.uint8]  # (H, W, C)
    source: str  # its file, as in images.csv
    actual: str  # class
    predicted: str
    probability: float  # of the predicted class


def gallery(figure: Figure | SubFigure, examples: list[Example], columns: int, has_sources: bool = False) -> None:
    """Draw images in rows of `columns`; mistakes in red."""
    columns = max(1, columns)
    grid = figure.subplots(max(1, -(-len(examples) // columns)), columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    room = ROOM * figure.bbox.width / figure.dpi * 72 / columns
    for axes, example in zip(grid.flat, examples, strict=False):
        is_wrong = example.actual != example.predicted
        axes.imshow(example.image.squeeze(), cmap="gray", vmin=0, vmax=255)
        title = f"{label_within(room, example.actual, LETTERS)}\n{_said(example, room) if is_wrong else f'{example.probability:.2f}'}"
        axes.set_title(title, fontsize=LETTERS, fontweight="normal", loc="center", color=WRONG if is_wrong else INK)
        if has_sources:
            axes.text(0.5, -0.03, shortened(example.source), transform=axes.transAxes, ha="center", va="top", fontsize=6.5)


def _said(example: Example, room: float) -> str:
    """Return what a mistaken image was taken for, in `room` points."""
    before, after = "said ", f", {example.probability:.2f}"
    return before + label_within(room - width_of(before + after, LETTERS), example.predicted, LETTERS) + after


def mistakes(path: Path, title: str, examples: list[Example], columns: int = 4) -> None:
    """Draw mistaken images, the most confident first, each with its file; without any, the title alone says so."""
    rows = -(-len(examples) // columns)
    figure = page(2.4 * columns, 0.6 + 2.7 * max(1, rows), title)
    figure.set_layout_engine("constrained", h_pad=0.12)  # inches, so that a file is not read as the next image's
    if examples:
        gallery(figure, examples, columns, has_sources=True)
    else:
        figure.text(0.5, 0.5, "no mistakes", ha="center", va="center", fontsize=20, color=INK)
    save(figure, path)


def shortened(source: str) -> str:
    """Return a path with its beginning cut where it is too long to stand under an image."""
    plain = on_one_line(source)
    return plain if len(plain) <= LONGEST else f"…{plain[1 - LONGEST :]}"
