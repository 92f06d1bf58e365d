"""Images made from noise that classes' scores like, side by side."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.figures.style import INK, WRONG, label_within, page, save

COLUMNS = 5
SIDE = 2.2  # inches of an image
LETTERS = 9  # points


@dataclass(frozen=True)
class MadeImage:
    """An image made for a class."""

    wanted: str  # class
    image: NDArray[np.uint8]  # (H, W, C)
    said: str  # class
    probability: float  # of that


def made_page(path: Path, title: str, images: list[MadeImage], how: str) -> None:
    """Draw images with their classes and the network's answers, wrong ones in red. how: they were made."""
    rows = -(-len(images) // COLUMNS)
    figure = page(COLUMNS * SIDE, 0.9 + rows * (SIDE + 0.35), title)
    note = f"{how}; no real image looks like this: many others would score as high, and the network has learned no more than it needed"
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, made in zip(grid.flat, images, strict=False):
        axes.imshow(made.image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        room = 0.9 * SIDE * 72
        said = f"said {label_within(room - 80, made.said, LETTERS)}, {made.probability:.2f}"
        title = f"for {label_within(room - 20, made.wanted, LETTERS)}\n{said}"
        axes.set_title(title, fontsize=LETTERS, fontweight="normal", color=INK if made.said == made.wanted else WRONG)
    save(figure, path)
