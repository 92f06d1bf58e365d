"""A network as papers draw it: each layer's maps as a stack of squares, which shrink and multiply from layer to layer."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import prod
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Polygon, Rectangle

from pipeline.analysis.figures.style import INK, PALE, page, save
from pipeline.analysis.layer_table import shape
from pipeline.config.wording import counted
from pipeline.model.layer_rows import FLATTENING, Row, Summary, shared_prefix

MOST = 25  # parts in a figure
ROW = 9  # parts in a line of it, at most
INCH = 1.15  # of a unit: the image's side is a unit, and so is the longest column of values
LEAST = 0.06  # units, of the side of maps of a pixel, and of a window
SHEETS = 14  # in a stack, at most
SHIFT = 0.028  # units between two sheets, to the right and up
COLUMN = 0.1  # units, of the width of a column of values
LONGEST = 12  # doublings: a column of 4,096 values is the longest
CELLS = 20  # values that are drawn one by one, at most
LABEL = 1.32  # units that a label takes
GAP = 0.25  # units between two parts, at least
LINE = 2.4  # units between two lines of parts
LETTERS = 17  # in a line of a label

SKIPS = {"addition": "+", "concatenation": "c"}  # how two ways meet again, and its sign
LEAST_SKIP = 0.25  # units, of a square in which a way round its layers is drawn

PICTURE, CONVOLUTION, POOLING, BLOCK, VALUES = "#f6f1e7", "#a9cbdf", "#e3e8ec", "#bfd8c6", "#efc9ba"


@dataclass(frozen=True)
class Part:
    """Consecutive layers drawn as one."""

    name: str
    kind: str  # in words
    output: tuple[int, ...]  # of the maps, before any flattening
    parameters: int
    side: int | None = None  # of the window, in pixels of the input maps; None for several layers
    skip: str = ""  # what is done with a way round some of its layers: a word of SKIPS, or nothing if there is none


def parts(summary: Summary, most: int) -> list[Part]:
    """Return the layers in at most `most` parts if possible: the deepest level at which each part reads only the one before it.

    A layer without a window that keeps the size (activation, normalisation, dropout) joins the part before it."""
    deepest = max(row.name.count(".") for row in summary.rows) + 1
    found = [_parts(summary, depth) for depth in range(deepest, 0, -1)]
    chains = [cut for cut in found if _is_chain(summary.rows, cut)] or found[-1:]
    return [_part(summary, cut) for cut in next((cut for cut in chains if len(cut) <= most), chains[-1])]


Cut = list[list[int]]  # indices of rows, part by part


def _parts(summary: Summary, depth: int) -> Cut:
    found: Cut = []
    for _, run in groupby(range(len(summary.rows)), key=lambda place: _begin(summary.rows[place].name, depth)):
        places = list(run)
        if found and all(_only_changes_values(summary, place) for place in places):
            found[-1] += places
        else:
            found.append(places)
    return found


def _begin(name: str, depth: int) -> list[str]:
    return name.split(".")[:depth]


def _only_changes_values(summary: Summary, place: int) -> bool:
    row = summary.rows[place]
    is_next = row.sources == (place - 1,) and place > 0
    return is_next and row.side is None and row.macs == 0 and prod(summary.rows[place - 1].output) == prod(row.output)


def _is_chain(rows: Sequence[Row], cut: Cut) -> bool:
    before = {-1}
    for places in cut:
        if not {source for place in places for source in rows[place].sources} <= before | set(places):
            return False
        before = set(places)
    return True


def _part(summary: Summary, places: list[int]) -> Part:
    rows = [summary.rows[place] for place in places]
    output = [row.output for row in rows if row.kind != FLATTENING or len(rows) == 1][-1]
    parameters = sum(row.parameters for row in rows)
    main = [row for row in rows if row.macs or row.side] or rows[:1]
    if len(main) > 1:
        name = shared_prefix(row.name for row in main).rstrip(".")
        return Part(name, summary.groups.get(name, counted(len(main), "layer")), output, parameters, skip=_skip(rows, places[0]))
    kind = f"{main[0].kind} {main[0].window.partition(' padding')[0]}".strip()
    others = [row.kind for row in rows if row is not main[0] and row.kind != FLATTENING]
    return Part(main[0].name, ", ".join([kind, *others]), output, parameters, main[0].side)


def _skip(rows: Sequence[Row], first: int) -> str:
    """Return how a way round some of these layers ends: a residual block adds it, a dense layer concatenates what came before it."""
    return next((row.kind for row in rows if row.kind == "addition" or (row.kind in SKIPS and min(row.sources) < first)), "")


@dataclass(frozen=True)
class Box:
    """A part and its position, in units."""

    part: Part
    left: float
    middle: float  # height of its centre
    side: float  # of a square, or height of a column

    @property
    def is_maps(self) -> bool:
        """Whether the output is (C, H, W), drawn as squares."""
        return len(self.part.output) == 3

    @property
    def depth(self) -> float:
        """Offset of the last square from the first, growing with the logarithm of the channels."""
        return SHIFT * min(SHEETS - 1, round(1.5 * math.log2(self.part.output[0]))) if self.is_maps else 0.0

    @property
    def width(self) -> float:
        """Of the drawing, without its label."""
        return self.side + self.depth if self.is_maps else COLUMN

    @property
    def bottom(self) -> float:
        """The lower edge of the front square."""
        return self.middle - (self.side + self.depth) / 2


def network_figure(path: Path, name: str, summary: Summary) -> None:
    """Draw the network's parts in order, repeated blocks as one; drawn sides grow with the square root of their pixels."""
    title = f"{name}, {counted(summary.parameters, 'parameter')}"
    picture = Part("image", "", summary.image, 0)
    every = [picture, *parts(summary, MOST)]
    each = math.ceil(len(every) / math.ceil(len(every) / ROW))
    lines = [list(_line(every[start : start + each], -LINE * start / each, summary.image[1])) for start in range(0, len(every), each)]
    right = max(line[-1].left + LABEL for line in lines)
    low, high = lines[-1][0].middle - 1.5, 0.95
    figure = page(INCH * (right + 0.3), INCH * (high - low) + 0.4, title)
    axes = figure.subplots()
    for line in lines:
        for before, box in pairwise(line):
            _draw_way(axes, before, box)
        for box in line:
            _draw(axes, box)
    axes.set(xlim=(-0.1, right + 0.2), ylim=(low, high), aspect="equal")
    axes.axis("off")
    save(figure, path)


def _line(line: list[Part], middle: float, image: int) -> Iterator[Box]:
    left = 0.0
    for part in line:
        box = Box(part, left, middle, _side(part.output, image))
        yield box
        left += max(box.width, LABEL - GAP) + GAP


def _side(output: tuple[int, ...], image: int) -> float:
    if len(output) == 3:
        return max(LEAST, math.sqrt(output[1] / image))
    return 0.25 + 0.75 * min(1.0, math.log2(max(output[0], 1)) / LONGEST)


def _draw(axes: Axes, box: Box) -> None:
    colour = _colour(box.part)
    if box.is_maps:
        sheets = round(box.depth / SHIFT)
        for i in range(sheets, -1, -1):
            corner = (box.left + i * SHIFT, box.bottom + i * SHIFT)
            axes.add_patch(Rectangle(corner, box.side, box.side, facecolor=colour, edgecolor=INK, linewidth=0.5))
        if box.part.skip and box.side >= LEAST_SKIP:
            _draw_skip(axes, box)
    else:
        count = box.part.output[0] if box.part.output[0] <= CELLS else 1
        for i in range(count):
            corner = (box.left, box.bottom + i * box.side / count)
            axes.add_patch(Rectangle(corner, COLUMN, box.side / count, facecolor=colour, edgecolor=INK, linewidth=0.5))
    _label(axes, box)


def _draw_skip(axes: Axes, box: Box) -> None:
    """Draw on the front square the way through the layers, and the one round them."""
    start, end, height = box.left + 0.12 * box.side, box.left + 0.84 * box.side, box.bottom + 0.38 * box.side
    axes.plot([start, end], [height, height], color=INK, linewidth=0.8)
    layers = (box.left + 0.28 * box.side, height - 0.1 * box.side)
    axes.add_patch(Rectangle(layers, 0.36 * box.side, 0.2 * box.side, facecolor="white", edgecolor=INK, linewidth=0.6, zorder=3))
    axes.add_patch(
        FancyArrowPatch(
            (start, height), (end, height), connectionstyle="arc3,rad=-0.55", arrowstyle="-", color=INK, linewidth=0.8, shrinkA=0, shrinkB=0
        )
    )
    circle = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": INK, "linewidth": 0.6}
    axes.text(end, height, SKIPS[box.part.skip], fontsize=5 + 3 * box.side, ha="center", va="center", bbox=circle, zorder=4)


def _colour(part: Part) -> str:
    if len(part.output) == 1:
        return VALUES
    kinds = {"image": PICTURE, "convolution": CONVOLUTION}
    if part.name in kinds or part.kind.split(" ")[0] in kinds:
        return kinds.get(part.name) or kinds[part.kind.split(" ")[0]]
    return POOLING if "pool" in part.kind or "subsampling" in part.kind else BLOCK


def _draw_way(axes: Axes, before: Box, box: Box) -> None:
    """Draw what a value of the next part depends on: its window, or all values."""
    if box.is_maps and box.part.side and before.is_maps:
        share = max(LEAST, min(1.0, box.part.side / before.part.output[1]) * before.side)
        left, low = before.left + 0.55 * (before.side - share), before.bottom + 0.35 * (before.side - share)
        axes.add_patch(Rectangle((left, low), share, share, facecolor="none", edgecolor=INK, linewidth=0.8, zorder=3))
        tip = (box.left + 0.55 * box.side, box.bottom + 0.35 * box.side)
        for corner in ((left + share, low), (left + share, low + share)):
            axes.plot(*zip(corner, tip, strict=True), color=INK, linewidth=0.6, zorder=3)
    else:
        right, up = before.left + (before.side if before.is_maps else COLUMN), before.bottom
        edges = [(right, up), (right, up + before.side), (box.left, box.bottom + box.side), (box.left, box.bottom)]
        shifted = [(x + before.depth, y + before.depth) if i == 1 else (x, y) for i, (x, y) in enumerate(edges)]
        axes.add_patch(Polygon(shifted, facecolor=PALE, alpha=0.35, linewidth=0, zorder=0))


def _label(axes: Axes, box: Box) -> None:
    part, left = box.part, box.left
    axes.text(left, box.middle + 0.76, shape(part.output), fontsize=8, color=INK)
    low = box.middle - 0.76
    axes.text(left, low, _short(part.name), fontsize=8.5, fontweight="bold", va="top")
    kind = f"{part.kind}, skip by {part.skip}" if part.skip else part.kind
    words = textwrap.wrap(kind, LETTERS) + ([counted(part.parameters, "parameter")] if part.parameters else [])
    axes.text(left, low - 0.15, "\n".join(words), fontsize=7.5, va="top", linespacing=1.25)


def _short(name: str) -> str:
    """Return a dotted name without its beginning if it is too long for a label."""
    while len(name) > LETTERS and "." in name:
        name = name.partition(".")[2]
    return name[:LETTERS]
