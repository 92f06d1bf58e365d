"""Where windows stand on a row of pixels: stride, padding, and what is left over."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from pipeline.analysis.figures.style import INK, PALE, RIGHT, WRONG, page, save


@dataclass(frozen=True)
class Row:
    width: int  # pixels
    window: int
    padding: int
    stride: int

    @property
    def places(self) -> int:
        """Windows that fit."""
        return (self.width - self.window + 2 * self.padding) // self.stride + 1

    @property
    def unseen(self) -> int:
        """Pixels and padding at the right that no window reaches."""
        return self.width + 2 * self.padding - ((self.places - 1) * self.stride + self.window)


def window_rows(path: Path, title: str, rows: Sequence[Row], columns: int = 2) -> None:
    """Draw a row of pixels each, padding dashed, and below it the windows; red is what no window reaches."""
    most = max(row.width + 2 * row.padding for row in rows)
    down = -(-len(rows) // columns)
    figure = page(0.33 * most * columns + 0.4, 0.5 + 1.85 * down, title)
    grid = figure.subplots(down, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, row in zip(grid.flat, rows, strict=False):
        _draw(axes, row)
        axes.set(xlim=(-0.1, most + 0.1), ylim=(4.6, -0.2), aspect="equal")
    save(figure, path)


def _draw(axes: Axes, row: Row) -> None:
    total = row.width + 2 * row.padding
    for cell in range(total):
        is_padding = not row.padding <= cell < total - row.padding
        colour = WRONG if cell >= total - row.unseen else "white" if is_padding else PALE
        style = ":" if is_padding else "-"
        axes.add_patch(Rectangle((cell, 0), 1, 1, facecolor=colour, edgecolor=INK, linewidth=0.8, linestyle=style))
        if is_padding:
            axes.text(cell + 0.5, 0.5, "0", ha="center", va="center", fontsize=8)
    for place in range(row.places):
        level = 1.35 + 0.8 * (place % 4)
        box = (place * row.stride + 0.06, level)
        axes.add_patch(Rectangle(box, row.window - 0.12, 0.55, facecolor=RIGHT, alpha=0.85, linewidth=0))
    left = f", {row.unseen} pixel unseen" if row.unseen else ""
    sizes = f"{row.width} pixels, window {row.window}, padding {row.padding}, stride {row.stride}"
    axes.set_title(f"{sizes}:\n{row.places} places{left}", fontsize=8.5, fontweight="normal")
