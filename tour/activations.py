"""Page: ReLU, tanh, sigmoid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tour.arithmetic import Matrix, correlate, pooled
from tour.drawing.panels import Panel, panels
from tour.drawing.plots import Plot, curves
from tour.kernels import KERNELS
from tour.material import Material
from tour.page import Block, Page, Picture, Table

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"ReLU": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
SAMPLES = (-15.0, -1.0, 0.0, 1.0, 20.0)


def activated(values: Matrix, name: str) -> Matrix:
    return ACTIVATIONS[name](torch.from_numpy(values)).numpy()


def slope(values: Matrix, name: str) -> Matrix:
    """Return the derivative, by autograd."""
    inputs = torch.from_numpy(values).requires_grad_()
    (found,) = torch.autograd.grad(ACTIVATIONS[name](inputs).sum(), inputs)
    return found.numpy()


def changed_by_relu_after_pooling(maps: Matrix) -> float:
    """Return the largest difference that a ReLU after max pooling makes, where a ReLU came before it."""
    before = pooled(activated(maps, "ReLU"), "max")
    return float(abs(activated(before, "ReLU") - before).max())


def body(material: Material) -> list[Block]:
    maps = edges(material)
    negative = (maps < 0).mean()
    return [
        "Convolutions alone, however many, make nothing but one larger convolution. What makes depth worth it is a bend after each: a "
        "function of one number, used on every number of a map. **ReLU** is max(0, x): what is negative becomes 0.",
        Picture("curves", "Three activations, and their slopes, which learning goes by", _draw_curves),
        Table(
            ("x", *(f"{value:g}" for value in SAMPLES)),
            [(name, *(f"{value:.4g}" for value in activated(np.array(SAMPLES), name))) for name in ACTIVATIONS],
        ),
        "ReLU keeps what it lets through exactly, and doing it twice changes nothing. Its slope is 1 or 0. The slope of tanh is 1 at "
        f"most, of sigmoid {slope(np.zeros(1), 'sigmoid')[0]:.2f} at most; both go to 0 at both ends. A gradient is multiplied with "
        f"that slope at each layer: after four sigmoids at most {0.25**4:.4f} of it is left. That is why sigmoids are slow in deep "
        "networks ([page](choices) compares them).",
        f"On a real map: the edges of the photo. {negative:.0%} of its values are negative.",
        Picture("maps", "A feature map and what activations make of it", lambda path: _draw_maps(path, maps)),
        "The sigmoid makes ½ of 0, so its map is nowhere quiet.",
        "## Not every ReLU does something",
        "Deshpande's classic network is Input → Conv → ReLU → Conv → ReLU → Pool → **ReLU** → Conv → ReLU → Pool → FC. The third ReLU "
        "comes after a max pooling of numbers that are 0 or more already. On the map above the largest difference that it makes is "
        f"{changed_by_relu_after_pooling(maps):g}. `model=classic` has it all the same, as the tutorial draws it.",
    ]


def edges(material: Material) -> Matrix:
    """Return an edge map of the photo with a deviation of 1, as batch norm would leave it."""
    found = correlate(material.photo.gray, KERNELS["edges, diagonal"])
    return found / (found.std() or 1.0)


def _draw_curves(path: Path) -> None:
    x = np.linspace(-3, 3, 241)
    curves(
        path,
        "Activations and their slopes",
        [
            Plot("activation", "x", {name: (x.tolist(), activated(x, name).tolist()) for name in ACTIVATIONS}),
            Plot("slope", "x", {name: (x.tolist(), slope(x, name).tolist()) for name in ACTIVATIONS}),
        ],
    )


def _draw_maps(path: Path, maps: Matrix) -> None:
    shown = [Panel(maps, "the map", "±3", (-3, 3), "signs")]
    shown += [
        Panel(activated(maps, name), name, "±1" if name != "ReLU" else "±3", (-3, 3) if name == "ReLU" else (-1, 1), "signs")
        for name in ACTIVATIONS
    ]
    panels(path, "An edge map before and after", shown, columns=4, size=2.3)


PAGE = Page("activations", "ReLU, tanh, sigmoid", "what is negative becomes 0, and why that helps", body)
