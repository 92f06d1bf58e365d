"""A surface over two weights, and the way that steps take on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.figures.style import TRAIN, page, save


@dataclass(frozen=True)
class Descent:
    title: str
    points: NDArray[np.float64]  # (steps + 1, 2), on the ground
    heights: NDArray[np.float64]  # (steps + 1,)


def surfaces(
    path: Path, title: str, labels: tuple[str, str, str], ground: NDArray[np.float64], heights: NDArray[np.float64],
    descents: Sequence[Descent],
) -> None:  # fmt: skip
    """Draw each descent on the same surface. labels: of the axes; ground: (rows, columns, 2); heights: (rows, columns)."""
    figure = page(3.6 * len(descents), 3.9, title)
    for place, descent in enumerate(descents, 1):
        axes = figure.add_subplot(1, len(descents), place, projection="3d", computed_zorder=False)
        axes.plot_surface(ground[..., 0], ground[..., 1], heights, cmap="Blues_r", alpha=0.75, linewidth=0, zorder=1)
        within = (np.abs(descent.points - ground.mean(axis=(0, 1))) <= np.ptp(ground, axis=(0, 1)) / 2).all(axis=1)
        x, y = descent.points[within].T
        axes.plot(x, y, descent.heights[within] + 0.02 * heights.max(), color=TRAIN, marker="o", markersize=3.5, linewidth=1.5, zorder=2)
        axes.set_title(descent.title, fontsize=9)
        for axis, label in zip((axes.xaxis, axes.yaxis, axes.zaxis), labels, strict=True):
            axis.set_label_text(label, fontsize=7)
            axis.labelpad = -4
        axes.set_box_aspect(None, zoom=0.88)
        axes.tick_params(labelsize=6, pad=-2)
        axes.view_init(elev=38, azim=-60)
    save(figure, path)
