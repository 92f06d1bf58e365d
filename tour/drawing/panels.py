"""Panels: images, feature maps and filters, with the numbers in their cells and frames around some."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.analysis.figures.feature_maps import DIVERGING
from pipeline.analysis.figures.style import INK, TRAIN, VALIDATION, page, save

PANEL_COLOURS: dict[str, Colormap | str] = {"gray": "gray", "signs": DIVERGING, "none": ListedColormap(["white"])}
BOX_COLOURS = (TRAIN, VALIDATION, "#3a8f5d", "#b8862b", "#7b4f9d")
LIGHT = 0.62  # luma, of 1, from which on ink is read better than white


@dataclass(frozen=True)
class Box:
    """A frame around cells, in pixels of the panel."""

    top: int
    left: int
    height: int
    width: int
    colour: int = 0  # of BOX_COLOURS


@dataclass(frozen=True)
class Panel:
    values: NDArray[np.generic]  # (H, W), NaN: an empty cell; or (H, W, 3) uint8
    title: str
    note: str = ""  # below it
    limits: tuple[float, float] = (0, 255)  # what is drawn black and white; of signs: blue and red
    colours: Literal["gray", "signs", "none"] = "gray"  # signs: white is 0; none: white paper
    numbers: str | None = None  # how a cell's value is written in it, ".0f"
    boxes: Sequence[Box] = ()


def panels(path: Path, title: str, shown: Sequence[Panel], columns: int, size: float = 2.4, digits: float = 9) -> None:
    """Draw panels in rows of `columns`, each `size` inches wide; `digits`: points of the numbers in cells."""
    rows = -(-len(shown) // columns)
    tall = max(panel.values.shape[0] / panel.values.shape[1] for panel in shown)
    lines = max(panel.note.count("\n") + bool(panel.note) for panel in shown)
    figure = page(0.3 + (size + 0.2) * columns, 0.5 + rows * (size * tall + 0.4 + 0.17 * lines), title)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    for axes, panel in zip(grid.flat, shown, strict=False):
        _draw_panel(axes, panel, digits)
    save(figure, path)


def _draw_panel(axes: Axes, panel: Panel, digits: float) -> None:
    low, high = panel.limits
    image = axes.imshow(panel.values, cmap=PANEL_COLOURS[panel.colours], vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(panel.title, fontsize=9)
    axes.set_xlabel(panel.note, fontsize=8, loc="left", labelpad=3)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color("#9aa7b1")
    if panel.numbers is not None:
        _write_numbers(axes, panel, image.cmap, digits)
    for box in panel.boxes:
        axes.add_patch(
            Rectangle(
                (box.left - 0.5, box.top - 0.5), box.width, box.height, fill=False, linewidth=2, clip_on=False,
                edgecolor=BOX_COLOURS[box.colour], joinstyle="miter",
            )
        )  # fmt: skip


def _write_numbers(axes: Axes, panel: Panel, colours: Colormap, digits: float) -> None:
    low, high = panel.limits
    for (row, column), value in np.ndenumerate(panel.values):
        if not np.isnan(value):
            shade = np.dot(colours((value - low) / (high - low))[:3], [0.299, 0.587, 0.114])
            ink = INK if shade > LIGHT else "white"
            axes.text(column, row, format(value, panel.numbers or ""), ha="center", va="center", fontsize=digits, color=ink)
