"""A map of images by what the network makes of them: as dots in the colours of their classes, and as thumbnails."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.analysis.figures.gallery import Example
from pipeline.analysis.figures.style import INK, label, page, save

SIDE = 0.044  # of a thumbnail, as a share of the map's
FRAME = 0.12  # of a thumbnail's side, on each side
NAMED = 30  # classes whose names are legible on the map

Places = NDArray[np.float32]  # (N, 2) in [0, 1]


def embedding_page(path: Path, title: str, places: Places, examples: list[Example], classes: list[str]) -> None:
    """Draw a map twice: a dot for each image, mistakes ringed, and thumbnails where there is room, mistakes first."""
    figure = page(15, 8, title)
    note = "colours: the actual class; a black ring or frame: misclassified. Distances between far groups, and directions, mean nothing."
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8)
    left, right = figure.subplots(1, 2)
    colours = _colours(classes)
    _draw_dots(left, places, examples, colours)
    _draw_thumbnails(right, places, examples, colours)
    left.set_title("every image")
    right.set_title("all misclassified ones, and others where there is room")
    for axes in (left, right):
        axes.set(xlim=(-SIDE, 1 + SIDE), ylim=(1 + SIDE, -SIDE), aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    save(figure, path)


def _colours(classes: list[str]) -> dict[str, tuple[float, ...]]:
    few = len(classes) <= colormaps["tab10"].N
    several = colormaps["tab10"](range(len(classes))) if few else colormaps["turbo"](np.linspace(0, 1, len(classes)))
    return {name: tuple(colour) for name, colour in zip(classes, several.tolist(), strict=True)}


def _draw_dots(axes: Axes, places: Places, examples: list[Example], colours: dict[str, tuple[float, ...]]) -> None:
    actual = np.array([example.actual for example in examples])
    axes.scatter(places[:, 0], places[:, 1], s=14, c=[colours[name] for name in actual], linewidths=0)
    if len(wrong := places[[example.actual != example.predicted for example in examples]]):
        axes.scatter(wrong[:, 0], wrong[:, 1], s=70, facecolors="none", edgecolors=INK, linewidths=1.2)
    if len(colours) <= NAMED:
        for name in dict.fromkeys(actual):
            box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.5}
            x, y = np.median(places[actual == name], axis=0)
            axes.text(x, y, label(name), ha="center", va="center", fontweight="bold", bbox=box)


def _draw_thumbnails(axes: Axes, places: Places, examples: list[Example], colours: dict[str, tuple[float, ...]]) -> None:
    """Draw all misclassified images, and of the others those that overlap with none drawn before."""
    drawn = np.empty((0, 2), np.float32)
    for i in sorted(range(len(examples)), key=lambda i: examples[i].actual == examples[i].predicted):
        is_wrong = examples[i].actual != examples[i].predicted
        if not is_wrong and (np.abs(drawn - places[i]).max(axis=1) < SIDE).any():
            continue
        drawn = np.concatenate([drawn, places[i : i + 1]])
        (x, y), half = places[i] - SIDE / 2, SIDE * (1 - 2 * FRAME) / 2
        example, (centre_x, centre_y) = examples[i], places[i]
        axes.add_patch(Rectangle((x, y), SIDE, SIDE, color=INK if is_wrong else colours[example.actual], linewidth=0))
        if is_wrong:  # a black frame around that of its class
            edge = SIDE * FRAME / 2
            axes.add_patch(Rectangle((x + edge, y + edge), SIDE - 2 * edge, SIDE - 2 * edge, color=colours[example.actual], linewidth=0))
        extent = (centre_x - half, centre_x + half, centre_y + half, centre_y - half)
        axes.imshow(example.image.squeeze(), cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest", zorder=2)
