"""What a network's units do over many images: how often each is on, how much it keeps to one class, and which filters are alike."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipeline.analysis.figures.style import INK, RIGHT, WRONG, label, page, save
from pipeline.analysis.units import Pair
from pipeline.config.wording import counted

COLOURS = [colormaps["tab10"](i)[:3] for i in range(10)]
NAMED = 3  # pairs of filters


@dataclass(frozen=True)
class LayerUnits:
    """The units of a layer."""

    name: str
    on: NDArray[np.float64]  # (units,), share of values above 0
    selectivity: NDArray[np.float64] | None  # (units,), 0 to 1; None: without a ReLU
    favourites: list[int]  # class with the largest mean value of each unit
    redundant: list[Pair]
    opposite: list[Pair]


def unit_statistics_page(path: Path, title: str, layers: list[LayerUnits], classes: list[str]) -> None:
    """Draw a row per layer: at the left how often each unit is on, at the right how much it answers to one class alone."""
    figure = page(12, 1.2 + 2.2 * len(layers), title)
    note = (
        "dead: always 0, so of no use; always on: its ReLU does nothing; alike: two filters with a cosine above 0.9; opposite: below -0.9"
    )
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8)
    grid = figure.subplots(len(layers), 2, squeeze=False)
    for (left, right), layer in zip(grid, layers, strict=True):
        _draw_on(left, layer)
        _draw_selectivity(right, layer, len(classes))
    for axes in grid[-1]:
        axes.set_xlabel("unit", fontsize=8)
    if any(layer.selectivity is not None for layer in layers) and len(classes) <= len(COLOURS):
        dots = [Line2D([], [], marker="o", linestyle="", color=colour) for colour in COLOURS[: len(classes)]]
        names = [label(name) for name in classes]
        figure.legend(dots, names, loc="outside right upper", fontsize=8, title="the class it\nanswers to most", title_fontsize=8)
    save(figure, path)


def _draw_on(axes: Axes, layer: LayerUnits) -> None:
    numbers, dead = np.arange(len(layer.on)), layer.on == 0
    axes.bar(numbers, 100 * layer.on, width=0.9, color=RIGHT)
    axes.plot(numbers[dead], np.full(dead.sum(), 3), "x", color=WRONG, markersize=5)
    said = f"{dead.sum()} dead (red cross), {(layer.on == 1).sum()} always on" if layer.selectivity is not None else "no ReLU behind them"
    axes.set_title(f"{layer.name}, {counted(len(layer.on), 'unit')}: {said}", fontsize=8.5)
    axes.set(ylim=(0, 102), yticks=[0, 50, 100])
    axes.set_ylabel("values above 0, %", fontsize=8)
    _tidy(axes, len(layer.on))


def _draw_selectivity(axes: Axes, layer: LayerUnits, classes: int) -> None:
    axes.set_title(f"{_pairs(layer.redundant, 'alike')}; {_pairs(layer.opposite, 'opposite')}", fontsize=8.5, fontweight="normal")
    if layer.selectivity is None:
        axes.text(0.5, 0.5, "selectivity is for units with a ReLU", transform=axes.transAxes, ha="center", fontsize=8, color=INK)
        axes.set(xticks=[], yticks=[])
        return
    colours = [COLOURS[i] if classes <= len(COLOURS) else RIGHT for i in layer.favourites]
    axes.scatter(np.arange(len(layer.on)), layer.selectivity, c=colours, s=14)
    axes.set(ylim=(-0.03, 1.03), yticks=[0, 0.5, 1])
    axes.set_ylabel("selectivity:\n0 all classes alike, 1 one only", fontsize=8)
    _tidy(axes, len(layer.on))


def _pairs(pairs: list[Pair], what: str) -> str:
    named = ", ".join(f"{one} and {other} ({cosine:+.2f})" for one, other, cosine in pairs[:NAMED]) + ", …" * (len(pairs) > NAMED)
    return f"{counted(len(pairs), 'pair')} {what}{': ' * bool(pairs)}{named}"


def _tidy(axes: Axes, units: int) -> None:
    axes.set_xlim(-0.6, units - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=7)
