"""Page: one feature map per filter."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.analysis.activations import feature_maps, rows
from pipeline.analysis.figures.feature_maps import ClassBars, feature_map_page
from pipeline.model.tracing import output_shape
from tour.arithmetic import Matrix, correlate
from tour.drawing.panels import Panel, panels
from tour.kernels import KERNELS
from tour.material import Lesson, Material, Photo
from tour.page import Block, Page, Picture, Table
from tour.small_training import trained

# Filters, kernel, depth and side of the input; what the texts use it for.
LAYERS = [
    ((1, 5, 3, 32), "Deshpande's one filter"),
    ((2, 5, 3, 32), "two filters: depth 2"),
    ((3, 5, 3, 32), "three filters: depth 3"),
    ((10, 5, 3, 300), "Gupta's layer"),
    ((16, 5, 6, 14), "LeNet's second layer, with all links"),
]
RED = (1.0, -0.5, -0.5)  # weights of red, green and blue: what a filter that looks for red does
MAPS = 16  # shown of each layer


def convolution(filters: int, kernel: int, depth: int) -> nn.Conv2d:
    with torch.device("meta"):
        return nn.Conv2d(depth, filters, kernel)


def parameters(layer: nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def fully_connected_weights() -> int:
    """Return the weights that a fully connected layer from Gupta's 300x300x3 image to its 296x296x10 maps would need."""
    return 300 * 300 * 3 * int(np.prod(output_shape(convolution(10, 5, 3), (3, 300, 300))))


def partial_maps(photo: Photo) -> list[Matrix]:
    """Return what each channel adds to the one map of a filter that looks for red (in gray images: for light) spots."""
    weights = RED if photo.image.shape[2] == 3 else RED[:1]
    spot = KERNELS["Gaussian blur"]
    return [correlate(photo.image[..., channel], weight * spot) for channel, weight in enumerate(weights)]


def body(material: Material) -> list[Block]:
    one, second = convolution(1, 5, 3), convolution(1, 5, 10)
    parts = len(partial_maps(material.photo))
    return [
        "**A filter is as deep as its input, and gives one map.** On a colour image it has a slice of weights for red, one for green and "
        "one for blue. Each slice is slid over its channel, and the three results are added, with one bias, to a single map: not three "
        "maps. Readers ask for this again and again.",
        Picture("one-map", "The slices of one filter, and their sum: one map", lambda path: _draw_parts(path, material.photo)),
        f"Here {parts} {'slices are' if parts > 1 else 'slice is'} added. A layer of N filters gives N maps, whatever the depth of its "
        "input; these N maps are the channels of the next layer's input.",
        Table(
            ("layer", "input", "output", "weights of one filter", "parameters"),
            [_row(*sizes, note) for sizes, note in LAYERS],
        ),
        f"One 5x5 filter on a colour image takes {one.weight.numel()} multiplications at each of 28 · 28 = {28 * 28} places, and one "
        f"bias. On the ten maps of a first layer, a 5x5 filter of the second has 5 · 5 · 10 = {second.weight.numel()} weights. With 6 "
        "maps and 16 filters there are 16 new maps, not 96, because each filter adds over all six. LeNet-5 of 1998 links each of its "
        "16 maps with only some of the six, by a table: 60 links, 60 · 25 + 16 = 1,516 parameters.",
        "## Sharing weights",
        f"The same weights are used at every place. Gupta's layer has {parameters(convolution(10, 5, 3)):,} parameters. A fully "
        f"connected layer from the same image to maps of the same size would need {fully_connected_weights():,} weights.",
        "## In a trained network",
        f"Two convolutions, trained in a second on {material.lesson.about}. Below is one of the images on its way: 16 filters make 16 "
        "maps, 32 filters make 32 from these.",
        Picture("trained", "Feature maps of a trained network", lambda path: _draw_way(path, material.lesson, material.seed)),
    ]


def _row(filters: int, kernel: int, depth: int, side: int, note: str) -> tuple[str, ...]:
    layer = convolution(filters, kernel, depth)
    maps, height, width = output_shape(layer, (depth, side, side))
    return note, f"{side}x{side}x{depth}", f"{height}x{width}x{maps}", f"{kernel}x{kernel}x{depth}", f"{parameters(layer):,}"


def _draw_parts(path: Path, photo: Photo) -> None:
    parts = partial_maps(photo)
    total = np.sum(parts, axis=0)
    limit, own = (max(float(abs(values).max()) for values in shown) or 1.0 for shown in (parts, [total]))
    names = ("red", "green", "blue") if len(parts) == 3 else ("gray",)
    shown = [Panel(photo.image.squeeze(), "the image")]
    shown += [
        Panel(part, f"the {name} slice adds", f"weights sum to {weight:+g}", (-limit, limit), "signs")
        for part, name, weight in zip(parts, names, RED, strict=False)
    ]
    shown.append(Panel(total, "their sum: the map", f"±{own:.0f}; the others ±{limit:.0f}", (-own, own), "signs"))
    panels(path, "One filter, one map", shown, len(shown), 2.0)


def _draw_way(path: Path, lesson: Lesson, seed: int) -> None:
    layers, scores = feature_maps(trained(lesson, seed), lesson.images[:1], MAPS)
    probabilities = torch.from_numpy(scores).softmax(dim=0).tolist()
    actual, said = lesson.classes[int(lesson.labels[0])], lesson.classes[int(scores.argmax())]
    answer = ClassBars(dict(zip(lesson.classes, probabilities, strict=True)), actual, said)
    feature_map_page(path, f"{actual}: said {said}", lesson.pixels[0], rows(layers, 2), answer)


PAGE = Page("feature-maps", "Feature maps", "one map per filter, whatever the depth below", body)
