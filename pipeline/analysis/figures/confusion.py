"""Which classes are taken for which."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from pipeline.analysis.figures.style import INK, label, page, save

MOST = 100  # classes whose names and counts are legible on a page


def confusion_page(path: Path, title: str, table: NDArray[np.int64], classes: list[str]) -> None:
    """Draw the matrix alone, as large as its classes need. table: (classes, classes), row = actual."""
    side = float(np.clip(0.55 * len(classes), 5, 15))  # inches
    figure = page(side + 2, side + 1, title)
    figure.set_layout_engine("compressed")
    axes = figure.subplots()
    size = float(np.clip(0.5 * 72 * side / len(classes), 3.5, 10))  # points: three digits fit into a cell
    shares = confusion_matrix(axes, table, classes, size if len(classes) <= MOST else None)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    bar = figure.colorbar(shares, ax=axes, shrink=0.5, aspect=25, format="{x:.0%}")
    bar.set_label("share of the actual class")
    bar.outline.set_visible(False)
    save(figure, path)


def confusion_matrix(axes: Axes, table: NDArray[np.int64], classes: list[str], size: float | None) -> AxesImage:
    """Draw the share of each actual class as a colour, and counts but zeros and names in `size` points; None: without them."""
    names = [label(name) for name in classes]
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    if size:
        for row, column in zip(*np.nonzero(table), strict=True):
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, str(table[row, column]), ha="center", va="center", color=colour, fontsize=size)
        angle = 0 if max(map(len, names)) <= 3 else 45 if len(names) <= 20 else 90
        axes.set_xticks(range(len(names)), names, fontsize=size, rotation=angle, ha="right" if angle == 45 else "center")
        axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return image
