"""An image on its way through a network: its feature maps, layer by layer, and what comes of them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.analysis.activations import Layer
from pipeline.analysis.figures.style import INK, PALE, RIGHT, WRONG, label, page, save

SIGNS = LinearSegmentedColormap.from_list("signs", ["#0f3550", "#2a6f97", "#8fb8d0", "#fbfbf9", "#e8a493", "#c8553d", "#6b1d0e"])
GAP = 0.06  # between two maps, in maps


@dataclass(frozen=True)
class Answer:
    probabilities: dict[str, float]  # class -> its probability, in the order in which they are drawn
    actual: str
    predicted: str


def way_through(path: Path, title: str, image: NDArray[np.uint8], rows: list[list[Layer]], answer: Answer) -> None:
    """Draw the image (H, W, C) at the top left, a row for each convolution with what follows it, the answer at the bottom right."""
    high, wide = max(1, len(rows)), max(map(len, rows), default=0)
    figure = page(5.2 + 2.3 * wide, 1.2 + 2.6 * high, title)
    grid = figure.add_gridspec(high + 1, wide + 2, width_ratios=[1.0] * (wide + 2), height_ratios=[1.0] * high + [0.04])
    _draw_input(figure.add_subplot(grid[0, 0]), image)
    for i, row in enumerate(rows):
        for j, layer in enumerate(row):
            _draw_maps(figure.add_subplot(grid[i, 1 + j]), layer)
    _draw_answer(figure.add_subplot(grid[high - 1, -1]), answer)
    if rows:
        _draw_scale(figure.add_subplot(grid[-1, 1]))
    save(figure, path)


def _draw_input(axes: Axes, image: NDArray[np.uint8]) -> None:
    height, width, channels = image.shape
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _label(axes, "the image", f"{channels}×{height}×{width}, 0 to 255")
    axes.axis("off")


def _draw_maps(axes: Axes, layer: Layer) -> None:
    """Draw a layer's maps in their order, row by row, white where they are 0."""
    limit = float(np.abs(layer.maps).max()) or 1.0
    columns = math.ceil(math.sqrt(len(layer.maps)))
    down = math.ceil(len(layer.maps) / columns)
    for i, values in enumerate(layer.maps):
        y, x = divmod(i, columns)
        axes.imshow(values, cmap=SIGNS, vmin=-limit, vmax=limit, extent=(x + GAP, x + 1, y + 1, y + GAP), interpolation="nearest")
    axes.add_patch(Rectangle((0, 0), columns + GAP, down + GAP, color=PALE, linewidth=0, zorder=-1))
    axes.set(xlim=(0, columns + GAP), ylim=(columns + GAP, 0), aspect="equal")  # a square, however many rows are filled
    axes.axis("off")
    shown = f"first {len(layer.maps)} of " if len(layer.maps) < layer.channels else ""
    height, width = layer.size
    _label(axes, f"{label(layer.name)}: {layer.kind}", f"{shown}{layer.channels}×{height}×{width}, ±{limit:.3g}")


def _draw_scale(axes: Axes) -> None:
    bar = axes.figure.colorbar(ScalarMappable(Normalize(-1, 1), SIGNS), cax=axes, orientation="horizontal")
    bar.set_ticks([-1, 0, 1], labels=["negative", "0", "positive"], fontsize=8)
    least, _, most = axes.get_xticklabels()
    least.set_horizontalalignment("left")  # within the bar, so that they take no room from the next column
    most.set_horizontalalignment("right")
    bar.set_label("each layer has its own scale,\nthe ± beside its shape", fontsize=8)
    bar.outline.set_visible(False)


def _draw_answer(axes: Axes, answer: Answer) -> None:
    """Draw a bar a class: blue for what the image is, red for what the network took it for instead."""
    classes = list(answer.probabilities)
    colours = [RIGHT if name == answer.actual else WRONG if name == answer.predicted else PALE for name in classes]
    bars = axes.barh(range(len(classes)), list(answer.probabilities.values()), color=colours)
    axes.bar_label(bars, fmt=lambda share: f"{share:.2f}" if share >= 0.005 else "", fontsize=7, padding=2, color=INK)
    axes.set_yticks(range(len(classes)), [label(name) for name in classes], fontsize=8)
    axes.set(xlim=(0, 1), xticks=[0, 0.5, 1], ylim=(len(classes) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    _label(axes, "probabilities", "blue: what it is")


def _label(axes: Axes, name: str, note: str) -> None:
    axes.set_title(f"{name}\n", fontsize=8.5)
    axes.text(0, 1.02, note, transform=axes.transAxes, fontsize=8, color=INK, va="bottom")
