"""Numbers as pictures; the only importer of matplotlib."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no window, also where a display is there

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

INK, TRAIN, VALIDATION = "#22303c", "#c8553d", "#2a6f97"

History = Sequence[dict[str, float]]  # a row an epoch


@dataclass(frozen=True)
class Example:
    image: NDArray[np.uint8]  # (H, W, C)
    actual: str  # class
    predicted: str
    probability: float  # of the predicted class


plt.rcParams |= {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


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
    """Draw one page on a training: curves, confusion matrix, first-layer filters, the hardest test images.

    table: (classes, classes), row = actual. filters: a mosaic in [0, 1]."""
    figure = plt.figure(figsize=(12, 7.6), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold")
    (top,), (bottom,) = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.15, 1])
    left, middle, right = top.subplots(1, 3, width_ratios=[1, 1, 1.15])
    curves(left, "loss", history, best_epoch)
    curves(middle, "accuracy", history, best_epoch)
    confusion_matrix(right, table, classes)
    ((low_left, low_right),) = bottom.subfigures(1, 2, squeeze=False, width_ratios=[1, 2.2])
    if filters is not None:
        axes = low_left.subplots()
        axes.imshow(filters, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title("first-layer filters (light adds, dark subtracts)")
        axes.axis("off")
    gallery(low_right, examples)
    figure.savefig(path, dpi=110, metadata={"Software": None})  # no version in it: equal work, equal bytes
    plt.close(figure)


def curves(axes: Axes, metric: str, history: History, best_epoch: int) -> None:
    """Draw a metric of training and validation over the epochs; a line marks the epoch whose weights were kept."""
    epochs = [row["epoch"] for row in history]
    for split, colour in (("train", TRAIN), ("validation", VALIDATION)):
        axes.plot(epochs, [row[f"{split}/{metric}"] for row in history], color=colour, label=split, marker="o", markersize=2.5)
    axes.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":", label=f"kept: epoch {best_epoch}")
    axes.set_title(metric)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)


def confusion_matrix(axes: Axes, table: NDArray[np.int64], classes: list[str]) -> None:
    """Draw counts, coloured by the share of each actual class; zeros stay empty."""
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= 20:
        for row, column in zip(*np.nonzero(table), strict=True):
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, str(table[row, column]), ha="center", va="center", color=colour, fontsize=7.5)
        axes.set_xticks(
            range(len(classes)),
            classes,
            rotation=45 if max(map(len, classes)) > 3 else 0,
            ha="right" if max(map(len, classes)) > 3 else "center",
        )
        axes.set_yticks(range(len(classes)), classes)
    axes.set_title("test images: actual (rows), predicted (columns)")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def gallery(figure: FigureBase, examples: list[Example]) -> None:
    """Draw images in two rows with what they are and what the network said; mistakes in red."""
    figure.suptitle("hardest test images (red: mistaken)", x=0.02, ha="left", fontsize=10, fontweight="bold")
    columns = max(1, math.ceil(len(examples) / 2))
    grid = figure.subplots(2, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, example in zip(grid.flat, examples, strict=False):
        is_wrong = example.actual != example.predicted
        said = f"{example.actual}, said {example.predicted}" if is_wrong else example.actual
        axes.imshow(example.image.squeeze(), cmap="gray", vmin=0, vmax=255)
        title = f"{said}\n{example.probability:.2f}"
        axes.set_title(title, fontsize=8, fontweight="normal", loc="center", color=TRAIN if is_wrong else INK)
