"""Inside a network: the feature maps of an image layer by layer, and how first-layer filters grew in training."""

import math
from collections.abc import Sequence
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
from pipeline.analysis.filters import COLOURS
from pipeline.analysis.unit_layers import Strip

DIVERGING = LinearSegmentedColormap.from_list("signs", ["#0f3550", "#2a6f97", "#8fb8d0", "#fbfbf9", "#e8a493", "#c8553d", "#6b1d0e"])
GAP = 0.06  # between two maps, in maps
ROW = 2.6  # inches of a row of layers
CELL = (0.27, 0.2)  # inches of a unit in a strip: a value of two digits


@dataclass(frozen=True)
class ClassBars:
    """The probabilities of an image's classes."""

    probabilities: dict[str, float]  # class → probability, in drawing order
    actual: str | None  # None: not known
    predicted: str


def feature_map_page(
    path: Path, title: str, image: NDArray[np.uint8], rows: list[list[Layer]], outcome: ClassBars, strips: Sequence[Strip] = ()
) -> None:
    """Draw the image (H, W, C) at the top left, one row per convolution with the layers after it, probabilities at the bottom right,
    and below all a strip of the values of each hidden fully connected layer."""
    high, wide = max(1, len(rows)), max(map(len, rows), default=0)
    width = 5.2 + 2.3 * wide
    columns = int((width - 0.6) / CELL[0])  # units in a line of a strip
    lines = [CELL[1] * math.ceil(len(strip.values) / columns) / ROW for strip in strips]
    figure = page(width, 1.2 + ROW * (high + sum(lines)) + 0.5 * len(strips), title)
    ratios = [1.0] * high + [0.04] + lines
    grid = figure.add_gridspec(high + 1 + len(strips), wide + 2, width_ratios=[1.0] * (wide + 2), height_ratios=ratios)
    draw_input(figure.add_subplot(grid[0, 0]), image)
    for i, row in enumerate(rows):
        for j, layer in enumerate(row):
            _draw_maps(figure.add_subplot(grid[i, 1 + j]), layer)
    draw_bars(figure.add_subplot(grid[high - 1, -1]), outcome)
    if rows:
        _draw_scale(figure.add_subplot(grid[high, 1]))
    for number, strip in enumerate(strips, start=high + 1):
        _draw_strip(figure.add_subplot(grid[number, :]), strip, columns)
    save(figure, path)


def draw_input(axes: Axes, image: NDArray[np.uint8]) -> None:
    """Draw the image, (H, W, C)."""
    height, width, channels = image.shape
    axes.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    _label(axes, "the image", f"{channels}×{height}×{width}, 0 to 255")
    axes.axis("off")


def _draw_maps(axes: Axes, layer: Layer) -> None:
    """Draw a layer's maps in order, row by row, white where they are 0."""
    limit = float(np.abs(layer.maps).max()) or 1.0
    columns = math.ceil(math.sqrt(len(layer.maps)))
    down = math.ceil(len(layer.maps) / columns)
    for i, values in enumerate(layer.maps):
        y, x = divmod(i, columns)
        axes.imshow(values, cmap=DIVERGING, vmin=-limit, vmax=limit, extent=(x + GAP, x + 1, y + 1, y + GAP), interpolation="nearest")
    axes.add_patch(Rectangle((0, 0), columns + GAP, down + GAP, color=PALE, linewidth=0, zorder=-1))
    axes.set(xlim=(0, columns + GAP), ylim=(columns + GAP, 0), aspect="equal")  # square, however many rows are filled
    axes.axis("off")
    shown = f"first {len(layer.maps)} of " if len(layer.maps) < layer.channels else ""
    height, width = layer.size
    _label(axes, f"{label(layer.name)}: {layer.kind}", f"{shown}{layer.channels}×{height}×{width}, ±{limit:.3g}")


def _draw_strip(axes: Axes, strip: Strip, columns: int) -> None:
    """Draw a cell with its value for each unit, line by line, white where it is 0."""
    limit = float(np.abs(strip.values).max()) or 1.0
    lines = math.ceil(len(strip.values) / columns)
    cells = np.full(lines * columns, np.nan)
    cells[: len(strip.values)] = strip.values
    axes.imshow(cells.reshape(lines, columns), cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    for number, value in enumerate(strip.values):
        y, x = divmod(number, columns)
        colour = "white" if abs(value) > 0.6 * limit else INK
        axes.text(x, y, "0" if value == 0 else f"{value:.2g}", ha="center", va="center", fontsize=5, color=colour)
    axes.axis("off")
    few = f"the first {len(strip.values)} of {strip.units:,} units" if len(strip.values) < strip.units else f"{strip.units} units"
    _label(axes, f"{label(strip.name)}: {strip.kind}", f"{few}, {columns} a line, from unit 0; ±{limit:.3g}")


def _draw_scale(axes: Axes) -> None:
    bar = axes.figure.colorbar(ScalarMappable(Normalize(-1, 1), DIVERGING), cax=axes, orientation="horizontal")
    bar.set_ticks([-1, 0, 1], labels=["negative", "0", "positive"], fontsize=8)
    least, _, most = axes.get_xticklabels()
    least.set_horizontalalignment("left")  # within the bar, to leave the next column its room
    most.set_horizontalalignment("right")
    bar.set_label("each layer has its own scale,\nthe ± beside its shape", fontsize=8)
    bar.outline.set_visible(False)


def draw_bars(axes: Axes, outcome: ClassBars) -> None:
    """Draw one bar per class: blue for the actual one, or if that is not known the predicted one; red for a wrong prediction."""
    classes, blue = list(outcome.probabilities), outcome.actual or outcome.predicted
    colours = [RIGHT if name == blue else WRONG if name == outcome.predicted else PALE for name in classes]
    bars = axes.barh(range(len(classes)), list(outcome.probabilities.values()), color=colours)
    axes.bar_label(bars, fmt=lambda share: f"{share:.2f}" if share >= 0.005 else "", fontsize=7, padding=2, color=INK)
    axes.set_yticks(range(len(classes)), [label(name) for name in classes], fontsize=8)
    axes.set(xlim=(0, 1), xticks=[0, 0.5, 1], ylim=(len(classes) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    _label(axes, "probabilities", "blue: actual class" if outcome.actual else "blue: the most probable class")


def _label(axes: Axes, name: str, note: str) -> None:
    axes.set_title(f"{name}\n", fontsize=8.5)
    axes.text(0, 1.02, note, transform=axes.transAxes, fontsize=8, color=INK, va="bottom")


COLUMNS = 4


def film_strip(path: Path, title: str, note: str, mosaics: list[tuple[str, NDArray[np.float32]]], limit: float) -> None:
    """Draw mosaics in [0, 1] as a film strip, each with its caption, on one scale: 0 is a weight of -limit, 1 of +limit."""
    columns, colours = min(COLUMNS, len(mosaics)), LinearSegmentedColormap.from_list("weights", COLOURS)
    rows = -(-len(mosaics) // columns)
    figure = page(1 + 2.4 * columns, 0.9 + 2.45 * rows, title)
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (caption, mosaic) in zip(grid.flat, mosaics, strict=False):
        weights = (2 * mosaic - 1) * limit if mosaic.ndim == 2 else mosaic  # colours are shown as they are
        image = axes.imshow(weights, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(caption, fontsize=9, fontweight="bold" if "kept" in caption else "normal")
    bar = figure.colorbar(image, ax=grid, shrink=0.5, aspect=25, ticks=[-limit, 0, limit], format="{x:.2g}")
    bar.set_label("weight" if mosaic.ndim == 2 else "weight of each colour")
    bar.outline.set_visible(False)
    save(figure, path)
