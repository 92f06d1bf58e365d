"""A training on one page: curves, confusion matrix, first-layer filters, hardest test images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline.analysis.figures.confusion import confusion_matrix
from pipeline.analysis.figures.gallery import Example, gallery
from pipeline.analysis.figures.style import INK, TRAIN, VALIDATION, page, save
from pipeline.analysis.filters import COLOURS, READING

History = Sequence[dict[str, float]]  # one row per epoch


def overview(
    path: Path,
    title: str,
    history: History,
    best_epoch: int,
    table: NDArray[np.int64],
    classes: list[str],
    filters: NDArray[np.float32] | None,
    examples: list[Example],
) -> None:
    """Draw the page. table: (classes, classes), row = actual. filters: a mosaic in [0, 1]."""
    figure = page(12, 7.6, title)
    (top,), (bottom,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.15, 1])
    left, middle, right = top.subplots(1, 3, width_ratios=[1, 1, 1.15])
    curves(left, "loss", history, best_epoch)
    curves(middle, "accuracy", history, best_epoch)
    confusion_matrix(right, table, classes, size=7.5 if len(classes) <= 20 else None)
    right.set_title("test images: actual (rows), predicted (columns)", loc="right")  # right-aligned, as names take the room at the left
    ((low_left, low_right),) = bottom.subfigures(1, 2, squeeze=False, width_ratios=[1, 2.2])
    if filters is not None:
        axes = low_left.subplots()
        axes.imshow(filters, cmap=LinearSegmentedColormap.from_list("weights", COLOURS), vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(f"first-layer filters ({READING})")
        axes.axis("off")
    low_right.suptitle("hardest test images (red: misclassified)", x=0.02, ha="left", fontsize=10, fontweight="bold")
    gallery(low_right, examples, columns=-(-len(examples) // 2))
    save(figure, path)


def curves(axes: Axes, metric: str, history: History, best_epoch: int) -> None:
    """Draw a metric of train and validation over the epochs; a vertical line marks the epoch whose weights were kept."""
    epochs = [row["epoch"] for row in history]
    for split, colour in (("train", TRAIN), ("validation", VALIDATION)):
        axes.plot(epochs, [row[f"{split}/{metric}"] for row in history], color=colour, label=split, marker="o", markersize=2.5)
    axes.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":", label=f"kept: epoch {best_epoch}")
    axes.set_title(metric)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
