"""Page: what a value of a deep map sees of the image."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.dataset.geometry import fit
from pipeline.model.summary import WORDS
from pipeline.model.tracing import Call, trace
from tour.drawing.panels import Box, Panel, panels
from tour.material import Material
from tour.networks import network
from tour.page import Block, Page, Picture, Table

SIDE = 32  # pixels of LeNet's image
NOISE = 512  # images over which gradients are added: a max pooling sends each to one pixel only
SEED = 0  # of the noise


@dataclass(frozen=True)
class Field:
    call: Call  # convolution, pooling or the first linear layer
    gradient: NDArray[np.float64]  # (H, W): mean size of the gradient of its middle value, at each pixel

    @property
    def box(self) -> Box:
        """Return the smallest rectangle around the pixels that have a gradient."""
        rows, columns = (np.flatnonzero(self.gradient.any(axis=axis)) for axis in (1, 0))
        return Box(int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)


def fields(lenet: nn.Module) -> list[Field]:
    """Return what the middle value sees of each convolution and pooling, and of the first linear layer; (1, 32, 32) images."""
    calls = trace(lenet, 1, SIDE)
    linear = next(call for call in calls if call.function == "linear")
    return [Field(call, _gradient(lenet, call.layer)) for call in (*(call for call in calls if call.window), linear)]


def _gradient(lenet: nn.Module, layer: str) -> NDArray[np.float64]:
    images = torch.randn(NOISE, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(SEED)).requires_grad_()
    made: list[Tensor] = []
    hook = lenet.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: made.append(output))
    try:
        lenet(images)
    finally:
        hook.remove()
    values = made[0].reshape(*made[0].shape[:2], -1)  # of a linear layer: one value a unit
    size = values.shape[2]
    middle = size // 2 + (math.isqrt(size) // 2 if size % 2 == 0 else 0)  # row by row, of a square map
    (gradient,) = torch.autograd.grad(values[:, :, middle].sum(), images)
    return gradient.abs().mean(dim=(0, 1)).double().numpy()


def body(material: Material) -> list[Block]:
    torch.manual_seed(material.seed)
    found = fields(network(material.conf, "lenet", 1, SIDE, 10))
    return [
        "A value of the first map sees as many pixels as its filter is wide. A value of the second map sees a few values of the first, "
        "each with pixels of its own: its *receptive field* is larger. A layer with windows of k makes it larger by (k - 1) steps; a "
        "step is the product of the strides before, 1 at first. So pooling makes all that follows see more.",
        Picture("growth", "The receptive field of LeNet's middle values, drawn on the photo", lambda path: _draw(path, material, found)),
        Table(
            ("layer", "window", "stride", "step before", "sees", "gradient reaches"),
            [_row(field, before) for field, before in zip(found, [1, *(field.call.field.step for field in found)], strict=False)],
        ),
        f"The frames are not drawn by that formula. They are measured: the gradient of one value with respect to the image says which "
        f"pixels it depends on. The lower pictures show its mean size over {NOISE} images of noise. It is the same frame, and it shows "
        "what the formula does not: the pixels in the middle count more, because more ways lead from them to the value.",
        "The first fully connected layer sees all of the last maps, and so all of the image. In the deep networks of "
        "[page](networks) the receptive field is larger than the image long before.",
    ]


def _row(field: Field, step: int) -> tuple[object, ...]:
    call, size = field.call, field.call.field.size
    window = f"{call.window.kernel}x{call.window.kernel}" if call.window else "all"
    stride = call.window.stride if call.window else ""
    return call.layer, window, stride, step, f"{size}x{size}", f"{field.box.height}x{field.box.width}"


def _draw(path: Path, material: Material, found: list[Field]) -> None:
    image = fit(np.rint(material.photo.gray).astype(np.uint8)[..., None], SIDE, "crop")[..., 0]
    upper = [
        Panel(image, f"{WORDS[field.call.function]}: {field.box.height}x{field.box.width}", field.call.layer, boxes=[field.box])
        for field in found
    ]
    lower = [Panel(np.sqrt(field.gradient), "", limits=(0, float(np.sqrt(field.gradient.max()))), boxes=[field.box]) for field in found]
    panels(path, "What one value sees grows with depth; below, how much each pixel counts", [*upper, *lower], len(found), size=1.75)


PAGE = Page("receptive-field", "Receptive fields", "5, 6, 14, 16, 32: deeper values see more", body)
