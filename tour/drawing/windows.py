"""Windows on rows of pixels."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from pipeline.analysis.figures.style import INK, PALE, RIGHT, WRONG, page, save
from pipeline.config.wording import counted
from pipeline.model.tracing import Window

COLUMNS = 2  # rows of pixels side by side


def window_rows(path: Path, title: str, rows: Sequence[tuple[int, Window]]) -> None:
    """Draw rows of so many pixels, padding dashed, and below each its windows; red are the pixels that no window reaches."""
    most = max(width + 2 * window.padding for width, window in rows)
    down = -(-len(rows) // COLUMNS)
    figure = page(0.33 * most * COLUMNS + 0.4, 0.5 + 1.85 * down, title)
    grid = figure.subplots(down, COLUMNS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (width, window) in zip(grid.flat, rows, strict=False):
        _draw_windows(axes, width, window)
        axes.set(xlim=(-0.1, most + 0.1), ylim=(4.6, -0.2), aspect="equal")
    save(figure, path)


def _draw_windows(axes: Axes, width: int, window: Window) -> None:
    places, unseen, end = window.positions(width), window.unseen(width), window.padding + width
    for cell in range(end + window.padding):
        is_padding = not window.padding <= cell < end
        colour = "white" if is_padding else WRONG if cell >= end - unseen else PALE
        style = ":" if is_padding else "-"
        axes.add_patch(Rectangle((cell, 0), 1, 1, facecolor=colour, edgecolor=INK, linewidth=0.8, linestyle=style))
        if is_padding:
            axes.text(cell + 0.5, 0.5, "0", ha="center", va="center", fontsize=8)
    for place in range(places):
        level = 1.35 + 0.8 * (place % 4)
        box = (place * window.stride + 0.06, level)
        axes.add_patch(Rectangle(box, window.side - 0.12, 0.55, facecolor=RIGHT, alpha=0.85, linewidth=0))
    left = f", {counted(unseen, 'pixel')} unseen" if unseen else ""
    sizes = f"{counted(width, 'pixel')}, window {window.side}, padding {window.padding}, stride {window.stride}"
    axes.set_title(f"{sizes}:\n{counted(places, 'place')}{left}", fontsize=8.5, fontweight="normal")
