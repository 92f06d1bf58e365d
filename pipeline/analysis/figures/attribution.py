"""Why a network answers as it does for an image: attributions side by side, each with what it shows and what it can't."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from pipeline.analysis.figures.feature_maps import DIVERGING, ClassBars, draw_bars, draw_input
from pipeline.analysis.figures.style import INK, label, page, save
from pipeline.analysis.occlusion import Map, Occlusion

COLUMNS = 5
WIDTH, HEIGHT, TOP = 2.9, 3.4, 0.75  # inches of a panel with its words; above the first title
SIDE, LEFT, LABELS = 2.15, 0.15, 0.75  # inches of the image in it; before it; before the bars, for names
LINE = 44  # characters of a panel's words
OVER = 0.6  # opacity of classes over the image
HEAT = LinearSegmentedColormap.from_list("heat", [(1, 0, 0, 0), (1, 0.3, 0, 0.6), (1, 0.9, 0, 0.9)])  # the image shows where it is 0
NAMED = 8  # classes in a legend


@dataclass(frozen=True)
class Attributions:
    """What speaks for a class in an image; None where the network has no such layers."""

    target: str  # the class
    image: NDArray[np.uint8]  # (H, W, C), as the network sees it
    saliency: Map  # (H, W)
    integrated: Map  # (H, W), summed over channels
    guided: Map | None  # (H, W, C)
    grad_cam: Map | None  # (H, W)
    layer: str | None  # of Grad-CAM, and of the occlusion's activation
    occlusion: Occlusion
    square: int  # pixels, side of what was covered


@dataclass(frozen=True)
class _Panel:
    """Values of the image, (rows, columns) or (H, W, 3), with words for them."""

    name: str
    shows: str
    hides: str  # what it can't show
    values: NDArray[np.generic]
    colours: str | Colormap = "gray"
    limits: tuple[float, float] | None = None  # of the colours, with a scale; None: 0 to 1, without
    opacity: float = 1.0  # over the image
    legend: tuple[str, ...] = ()  # of values 0, 1, …


def attribution_page(path: Path, title: str, found: Attributions, outcome: ClassBars, classes: list[str]) -> None:
    """Draw the image, the probabilities and every attribution that there is. classes: by their numbers in the occlusion's answers."""
    panels = [*_attributions(found), *_occlusion(found, classes)]
    rows = -(-(2 + len(panels)) // COLUMNS)
    figure = page(COLUMNS * WIDTH, TOP + rows * HEIGHT, title)
    figure.set_layout_engine("none")  # which would shrink the images for the words below them
    draw_input(_axes(figure, 0), found.image)
    draw_bars(_axes(figure, 1, LABELS), outcome)
    for number, panel in enumerate(panels, start=2):
        _draw(_axes(figure, number), found.image, panel)
    save(figure, path)


def grad_cam_page(path: Path, title: str, image: NDArray[np.uint8], layer: str, heat: Map, outcome: ClassBars) -> None:
    """Draw an image, (H, W, C), the probabilities, and Grad-CAM of the most probable class, (H, W), in the maps of a layer."""
    figure = page(3 * WIDTH, TOP + HEIGHT, title)
    figure.set_layout_engine("none")
    draw_input(_axes(figure, 0), image)
    draw_bars(_axes(figure, 1, LABELS), outcome)
    _draw(_axes(figure, 2), image, _grad_cam(outcome.predicted, layer, heat))
    save(figure, path)


def _axes(figure: Figure, number: int, before: float = LEFT) -> Axes:
    """Return the axes of a panel, of SIDE x SIDE inches. number: by rows; before: inches."""
    wide, high = figure.get_size_inches()
    row, column = divmod(number, COLUMNS)
    left, bottom = column * WIDTH + before, high - TOP - row * HEIGHT - SIDE
    return figure.add_axes((left / wide, bottom / high, (SIDE + LEFT - before) / wide, SIDE / high))


def _attributions(found: Attributions) -> Iterator[_Panel]:
    score = f"the score of {label(found.target)}"
    if found.grad_cam is not None and found.layer is not None:
        yield _grad_cam(found.target, found.layer, found.grad_cam)
    if found.guided is not None:
        shows = f"the edges and colours that excite the units that excite {label(found.target)}; gray is 0"
        hides = "what sets the class apart: for other classes it looks much the same"
        yield _Panel("guided backprop", shows, hides, 0.5 + found.guided / (2 * _largest(found.guided)))
    shows = f"how strongly {score} reacts to a small change of each pixel, up or down"
    hides = "whether the pixel's present value matters"
    yield _Panel("saliency", shows, hides, found.saliency, "gray", (0, _largest(found.saliency)))
    limit = _largest(found.integrated)
    shows = f"what each pixel adds to {score} (red) or takes (blue), against the mean image; in sum {found.integrated.sum():+.3g}"
    hides = "that a pixel of the mean colour counts: it always gets 0"
    yield _Panel("integrated gradients", shows, hides, found.integrated, DIVERGING, (-limit, limit))


def _grad_cam(target: str, layer: str, heat: Map) -> _Panel:
    shows = f"where the maps of {layer} speak for {label(target)}"
    hides = "anything finer than these maps, nor what speaks against the class"
    return _Panel("Grad-CAM", shows, hides, heat, HEAT, (0, _largest(heat)))


def _occlusion(found: Attributions, classes: list[str]) -> Iterator[_Panel]:
    covered, maps = f"covered by {found.square}×{found.square}", found.occlusion
    if maps.activation is not None:
        shows = f"the sum of one map of {found.layer}, the strongest of all without the square: dark where it looks"
        hides = "what two places do together, nor what the square's own edges do"
        yield _Panel(f"{covered}: a map", shows, hides, maps.activation, "viridis", _range(maps.activation))
    shows = f"the probability of {label(found.target)} with the square at each place: dark where it depends on it"
    hides = "a part without which another gives the same evidence"
    yield _Panel(f"{covered}: the class", shows, hides, maps.probability, "viridis", (0, 1))
    numbers, answers = np.unique(maps.predicted, return_inverse=True)
    colours = ListedColormap([colormaps["tab10"](i % 10) for i in range(len(numbers))])
    limits, names = (-0.5, len(numbers) - 0.5), tuple(label(classes[number]) for number in numbers)
    shows, hides = "the most probable class with the square at each place", "how close the second one was"
    yield _Panel(f"{covered}: the answer", shows, hides, answers.reshape(maps.predicted.shape), colours, limits, OVER, names)


def _draw(axes: Axes, image: NDArray[np.uint8], panel: _Panel) -> None:
    height, width, _ = image.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    axes.imshow(image.mean(axis=2), cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")
    least, most = panel.limits or (0, 1)
    values = axes.imshow(
        panel.values.squeeze(), cmap=panel.colours, vmin=least, vmax=most, alpha=panel.opacity, extent=extent, interpolation="nearest"
    )
    if panel.legend:
        several = [Patch(color=values.cmap(i), label=name) for i, name in enumerate(panel.legend[:NAMED])]
        axes.legend(handles=several, fontsize=7, loc="lower right", framealpha=0.8, handlelength=1)
    elif panel.limits:
        bar = axes.figure.colorbar(values, cax=axes.inset_axes((1.02, 0, 0.04, 1)), ticks=[least, most], format="{x:.2g}")
        low, high = bar.ax.get_yticklabels()
        low.set_verticalalignment("bottom")  # within the bar's height
        high.set_verticalalignment("top")
        bar.ax.tick_params(labelsize=7, length=0)
        bar.outline.set_visible(False)
    axes.set_axis_off()
    axes.set_title(panel.name, fontsize=8.5)
    words = [f"Shows {panel.shows}.", f"Can't show {panel.hides}."]
    under = "\n".join(textwrap.fill(sentence, LINE) for sentence in words)
    axes.text(0, -0.03, under, transform=axes.transAxes, fontsize=7, color=INK, va="top")


def _largest(values: Map) -> float:
    """Return the largest absolute value, or 1 if all are 0."""
    return float(np.abs(values).max()) or 1.0


def _range(values: Map) -> tuple[float, float]:
    """Return the least and the largest value, the latter larger."""
    least, most = float(values.min()), float(values.max())
    return least, most if most > least else least + 1
