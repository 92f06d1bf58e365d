"""Galleries: images with their actual and predicted class, and augmented images epoch by epoch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from pipeline.analysis.figures.style import INK, WRONG, label, label_within, page, save, width_of
from pipeline.dataset.names import on_one_line

LETTERS = 8  # points, of the titles of images
ROOM = 0.96  # share of an image's width that its title may take
LONGEST = 44  # characters of a file's path below its image


@dataclass(frozen=True)
class Example:
    """A predicted image."""

    image: NDArray[np.uint8]  # (H, W, C)
    source: str  # its file, as in images.csv
    actual: str  # class
    predicted: str
    probability: float  # of the predicted class


def gallery(figure: Figure | SubFigure, examples: list[Example], columns: int, has_sources: bool = False) -> None:
    """Draw images in rows of `columns`, mistakes with red titles."""
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
    """Return the title of a misclassified image, `room` points wide."""
    before, after = "said ", f", {example.probability:.2f}"
    return before + label_within(room - width_of(before + after, LETTERS), example.predicted, LETTERS) + after


def mistakes(path: Path, title: str, examples: list[Example], columns: int = 4) -> None:
    """Draw misclassified images in the given order, each with its file; a page that says so if there are none."""
    rows = -(-len(examples) // columns)
    figure = page(2.4 * columns, 0.6 + 2.7 * max(1, rows), title)
    figure.set_layout_engine("constrained", h_pad=0.12)  # inches, to separate a file's name from the image below
    if examples:
        gallery(figure, examples, columns, has_sources=True)
    else:
        figure.text(0.5, 0.5, "no mistakes", ha="center", va="center", fontsize=20, color=INK)
    save(figure, path)


def shortened(source: str) -> str:
    """Return a path without its beginning if it is too long to stand below an image."""
    plain = on_one_line(source)
    return plain if len(plain) <= LONGEST else f"…{plain[1 - LONGEST :]}"


def augmented(path: Path, title: str, images: NDArray[np.uint8], names: list[str]) -> None:
    """Draw one row per image.

    images: (rows, 1 + epochs, H, W, C), the stored one first. names: of the rows."""
    rows, columns = images.shape[:2]
    figure = page(1.15 * columns + 1, 0.7 + 1.25 * rows, title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for row, (several, name) in enumerate(zip(images, names, strict=True)):
        grid[row, 0].set_ylabel(label(name), rotation=0, ha="right", va="center")
        for column, (axes, image) in enumerate(zip(grid[row], several, strict=True)):
            axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if row == 0:
                axes.set_title("stored" if column == 0 else f"epoch {column}", loc="center", fontweight="normal", fontsize=8)
    save(figure, path)
