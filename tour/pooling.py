"""Page: kinds of pooling, and what small shifts do to them."""

from pathlib import Path

import numpy as np

from tour.activations import activated, edges
from tour.arithmetic import POOLS, Matrix, correlate, pooled
from tour.convolution import CROSS, GRAY
from tour.drawing.panels import Box, Panel, panels
from tour.drawing.plots import Plot, curves
from tour.material import Material
from tour.page import Block, Page, Picture, Table

BLOCK = [[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]  # Stanford's CS231n
WINDOWS = (1, 2, 4, 8)  # pixels; 1: no pooling


def difference(maps: Matrix, kind: str, window: int) -> float:
    """Return how far a shift of one pixel to the left moves the pooled map, as a share of its length."""
    here, there = (pooled(part, kind, window) for part in (maps[:, :-1], maps[:, 1:]))
    return float(np.linalg.norm(there - here) / (np.linalg.norm(here) or 1.0))


def body(material: Material) -> list[Block]:
    maps = activated(edges(material), "ReLU")
    windows = [window for window in WINDOWS if window < min(maps.shape)]
    before, after = difference(maps, "max", 1), difference(maps, "max", windows[-1])
    return [
        "Pooling takes each small window of a map, 2x2 mostly, side by side, and keeps one number of it. Height and width are halved; "
        "the number of maps stays. It has no weights.",
        Picture("kinds", "Four kinds of pooling on the same 4x4 numbers", _draw_kinds),
        Table(("kind", "result"), [(kind, _written(pooled(BLOCK, kind))) for kind in POOLS]),
        "*L2* is the root of the sum of squares. *Sum* is four times *average*: the same up to a scale, and yet "
        "not the same to learn with ([page](choices)).",
        f"Gupta's 4x4 sums of [page](convolution) become {_written(pooled(correlate(GRAY, CROSS), 'max'))} by max pooling.",
        Picture("maps", "A map of edges after pooling", lambda path: _draw_maps(path, maps)),
        "## Small shifts",
        "Move a bright spot by a pixel. Where it stays in its window, the pooled map is exactly the same; where it crosses into the "
        "next, it moves there. So pooling makes a network *approximately* invariant to *small* shifts, no more than that.",
        Picture("shift", "What a shift by one pixel changes in the map above", lambda path: _draw_shift(path, maps, windows)),
        f"Without pooling the shifted map differs by {before:.0%} of its length; after max pooling by {windows[-1]}x{windows[-1]}, by "
        f"{after:.0%}. Karn calls this almost scale invariant, and equivariant: these are other things. Equivariant is what convolution "
        "is: shift the image, and the map shifts with it. A change of size leaves the pooled map much the same only as far as it is a "
        "small shift, and a rotation does not (Zeiler and Fergus, arXiv:1311.2901, figure 5).",
    ]


def _written(values: Matrix) -> str:
    return "; ".join(" ".join(f"{value:.6g}" for value in row) for row in values)


def _draw_kinds(path: Path) -> None:
    boxes = [Box(top, left, 2, 2, colour) for colour, (top, left) in enumerate(((0, 0), (0, 2), (2, 0), (2, 2)))]
    shown = [Panel(np.array(BLOCK), "map", limits=(-12, 8), numbers="d", boxes=boxes)]
    for kind in POOLS:
        found = pooled(BLOCK, kind)
        ends = [Box(row, column, 1, 1, 2 * row + column) for row in range(2) for column in range(2)]
        shown.append(Panel(found, kind, limits=(-1.5 * found.max(), found.max()), numbers=".4g", boxes=ends))
    panels(path, "One number of each window", shown, columns=5, size=1.8, digits=10)


def _draw_maps(path: Path, maps: Matrix) -> None:
    shown = [Panel(maps, "edges after ReLU", "{}x{}".format(*maps.shape), (0, 3))]
    for kind, window in (("max", 2), ("max", 4), ("average", 4)):
        found = pooled(maps, kind, window)
        shown.append(Panel(found, f"{kind}, {window}x{window}", "{}x{}".format(*found.shape), (0, 3 if kind == "max" else 1.5)))
    panels(path, "Pooling keeps what is there and forgets exactly where", shown, columns=4, size=2.3)


def _draw_shift(path: Path, maps: Matrix, windows: list[int]) -> None:
    lines = {kind: (windows, [difference(maps, kind, window) for window in windows]) for kind in ("max", "average", "L2")}
    plot = Plot("difference, as a share of the map's length", "window, pixels", lines, is_share=True, has_log_x=True, has_points=True)
    curves(path, "A shift by one pixel, by the window of the pooling", [plot], size=(5.2, 3.0))


PAGE = Page("pooling", "Pooling", "max, average, sum, L2; what a shift by a pixel does", body)
