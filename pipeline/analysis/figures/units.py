"""What a layer's units look for: the images that excite each most, cropped to what it sees, beside their deconvnet projections."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.analysis.figures.style import INK, PALE, page, save

GRID = 3  # crops in a row and in a column
GAP = 0.06  # between two crops, in crops
COLUMNS = 4  # units side by side
WIDTH, HEIGHT = 3.6, 2.1  # inches of a unit


@dataclass(frozen=True)
class UnitCrops:
    """What excites a unit most, the strongest first."""

    name: str
    values: list[float]  # of the unit
    images: list[NDArray[np.uint8]]  # (h, w, C) each: the receptive field's part of the image
    projections: list[NDArray[np.float32]]  # (h, w, C) each: the same part of the projection


def unit_page(path: Path, title: str, units: list[UnitCrops], way: str) -> None:
    """Draw for each unit its images at the left and their projections at the right, place by place; a dead unit is named so.

    way: how they were projected, as `way_of` says it."""
    rows = max(1, -(-len(units) // COLUMNS))
    figure = page(COLUMNS * WIDTH, 0.9 + rows * HEIGHT, title)
    note = (
        f"left: what the unit sees of these images; right: the pixels that excite it, {way}, gray is 0; above: its largest and ninth value"
    )
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8)
    for axes, unit in zip(
        figure.subplots(rows, COLUMNS, squeeze=False).flat, [*units, *[None] * (rows * COLUMNS - len(units))], strict=True
    ):
        axes.axis("off")
        if unit is not None:
            _draw(axes, unit)
    save(figure, path)


def _draw(axes: Axes, unit: UnitCrops) -> None:
    is_dead = not unit.values
    said = "dead: 0 for every image" if is_dead else f"{unit.values[0]:.3g} to {unit.values[-1]:.3g}"
    axes.set_title(f"{unit.name}: {said}", fontsize=8, fontweight="normal", color=INK)
    axes.set(xlim=(0, 2 * GRID + 3 * GAP), ylim=(GRID + GAP, 0), aspect="equal")
    if is_dead:
        axes.add_patch(Rectangle((0, 0), 2 * GRID + 3 * GAP, GRID + GAP, color=PALE, linewidth=0))
        return
    for x in (0, GRID + 2 * GAP):
        axes.add_patch(Rectangle((x, 0), GRID + GAP, GRID + GAP, color=PALE, linewidth=0, zorder=-1))
    for i, (image, projection) in enumerate(zip(unit.images, unit.projections, strict=True)):
        y, x = divmod(i, GRID)
        _draw_crop(axes, image / 255, x, y)
        limit = float(np.abs(projection).max()) or 1.0
        _draw_crop(axes, 0.5 + projection / (2 * limit), x + GRID + 2 * GAP, y)


def _draw_crop(axes: Axes, crop: NDArray[np.floating], x: float, y: float) -> None:
    """Draw a crop in [0, 1] into a square at (x, y), smaller where the image's edge has cut it."""
    height, width, _ = crop.shape
    high, wide = (1 - GAP) * np.array([height, width]) / max(height, width)
    extent = (x + GAP, x + GAP + wide, y + GAP + high, y + GAP)
    axes.imshow(crop[..., 0] if crop.shape[2] == 1 else crop, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
