"""Classes by classes as a figure: the confusion matrix, and the mean probabilities of each class's images."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from pipeline.analysis.figures.style import INK, label, page, save

MOST = 100  # classes whose names and counts are legible on a page
LEAST = 0.005  # a mean probability that is written

Texts = dict[tuple[int, int], str]  # (row, column) → what is written there


def confusion_page(path: Path, title: str, table: NDArray[np.int64], classes: list[str]) -> None:
    """Draw the matrix on a page sized for its classes. table: (classes, classes) counts, row = actual."""
    _matrix_page(path, title, _shares(table), _counts(table), classes, ("actual", "predicted", "share of the actual class"))


def mean_probabilities_page(path: Path, title: str, means: NDArray[np.float64], classes: list[str]) -> None:
    """Draw the mean probabilities, (classes, classes), row = actual, NaN for a class without images."""
    texts = {place: f"{means[place]:.2f}".lstrip("0") for place in zip(*np.nonzero(means >= LEAST), strict=True)}
    _matrix_page(path, title, np.nan_to_num(means), texts, classes, ("actual", "class", "mean probability"))


def _matrix_page(
    path: Path, title: str, shares: NDArray[np.float64], texts: Texts, classes: list[str], labels: tuple[str, str, str]
) -> None:
    """Draw shares in [0, 1] on a page sized for its classes. labels: of rows, columns, and colours."""
    side = float(np.clip(0.55 * len(classes), 5, 15))  # inches
    figure = page(side + 2, side + 1, title)
    figure.set_layout_engine("compressed")
    axes = figure.subplots()
    size = float(np.clip(0.5 * 72 * side / len(classes), 3.5, 10))  # points: three digits fit into a cell
    image = _matrix(axes, shares, texts, classes, size if len(classes) <= MOST else None)
    rows, columns, colours = labels
    axes.set_xlabel(columns)
    axes.set_ylabel(rows)
    bar = figure.colorbar(image, ax=axes, shrink=0.5, aspect=25, format="{x:.0%}")
    bar.set_label(colours)
    bar.outline.set_visible(False)
    save(figure, path)


def confusion_matrix(axes: Axes, table: NDArray[np.int64], classes: list[str], size: float | None) -> AxesImage:
    """Draw shares of the actual class as colours. size: points of names and non-zero counts; None: without them."""
    return _matrix(axes, _shares(table), _counts(table), classes, size)


def _shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1)


def _counts(table: NDArray[np.int64]) -> Texts:
    return {place: str(table[place]) for place in zip(*np.nonzero(table), strict=True)}


def _matrix(axes: Axes, shares: NDArray[np.float64], texts: Texts, classes: list[str], size: float | None) -> AxesImage:
    names = [label(name) for name in classes]
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xticks=[], yticks=[])
    if size:
        for (row, column), text in texts.items():
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
        angle = 0 if max(map(len, names)) <= 3 else 45 if len(names) <= 20 else 90
        axes.set_xticks(range(len(names)), names, fontsize=size, rotation=angle, ha="right" if angle == 45 else "center")
        axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return image
