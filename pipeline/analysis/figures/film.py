"""How filters grow: a film strip."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.figures.style import page, save

COLUMNS = 4


def film_strip(path: Path, title: str, note: str, mosaics: list[tuple[str, NDArray[np.float32]]], limit: float) -> None:
    """Draw mosaics in [0, 1], each under its caption, on one scale: 0 is a weight of -limit, 1 of +limit."""
    columns = min(COLUMNS, len(mosaics))
    rows = -(-len(mosaics) // columns)
    figure = page(1 + 2.4 * columns, 0.9 + 2.45 * rows, title)
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, (caption, mosaic) in zip(grid.flat, mosaics, strict=False):
        weights = (2 * mosaic - 1) * limit if mosaic.ndim == 2 else mosaic  # colours are shown as they are
        image = axes.imshow(weights, cmap="gray", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set_title(caption, fontsize=9, fontweight="bold" if "kept" in caption else "normal")
    bar = figure.colorbar(image, ax=grid, shrink=0.5, aspect=25, ticks=[-limit, 0, limit], format="{x:.2g}")
    bar.set_label("weight" if mosaic.ndim == 2 else "weight of each colour")
    bar.outline.set_visible(False)
    save(figure, path)
