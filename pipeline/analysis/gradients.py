"""What in an image moves a unit: gradients with respect to the image, by the chain rule or by another rule for the ReLU.

Images are normalised, (B, C, H, W): 0 is the mean of the training images. Networks are in evaluation mode, and stay as they are.

A network's ReLUs must be modules that leave their input as it is: a function such as torch.relu keeps the chain rule."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from pipeline.model.forward_pass import hooked


@dataclass(frozen=True)
class Unit:
    """A value that a network computes: of a layer's maps or fully connected units, or else a class's score.

    Each number is one for all images, or one per image, (B,)."""

    channel: int | Tensor  # a map, a fully connected unit, or a class
    layer: nn.Module | None = None  # None: the network's scores
    place: tuple[int | Tensor, int | Tensor] | None = None  # row and column in the map; None: the sum over the map
    call: int = -1  # of the layer in a forward pass, from 0; -1: the last

    def values(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the unit's value for each image, (B,)."""
        layer = network if self.layer is None else self.layer
        outputs = output_of(network, layer, images, self.call)  # (B, channels), of maps (B, channels, H, W)
        each = torch.arange(len(outputs))
        if self.place is not None:
            return outputs[each, self.channel, *self.place]
        return outputs[each, self.channel].reshape(len(outputs), -1).sum(dim=1)


def output_of(network: nn.Module, layer: nn.Module, images: Tensor, call: int) -> Tensor:
    """Return what a layer computes for images. call: which of its calls, from 0; -1: the last."""
    seen: list[Tensor] = []
    with hooked({"layer": layer}, after=lambda _, output: seen.append(output.clone())):  # which what follows may overwrite
        network(images)
    return seen[call]


class _Guided(Function):
    """A ReLU through which only positive gradients of positive values come back (Springenberg et al., arXiv:1412.6806, figure 1)."""

    @staticmethod
    def forward(ctx: Any, before: Tensor, after: Tensor) -> Tensor:
        ctx.save_for_backward(after)
        return after.clone()

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        [after] = ctx.saved_tensors
        return above[0].relu() * (after > 0), None


class _Rectified(Function):
    """A ReLU that is a ReLU on the way back as well (Zeiler and Fergus, arXiv:1311.2901, section 2.1)."""

    @staticmethod
    def forward(ctx: Any, before: Tensor, after: Tensor) -> Tensor:
        return after.clone()

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        return above[0].relu(), None


class _LeftOut(Function):
    """A layer that is left out on the way back, as the deconvnet does with contrast normalisation."""

    @staticmethod
    def forward(ctx: Any, before: Tensor, after: Tensor) -> Tensor:
        return after.clone()

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        return above[0], None


Rule = Mapping[type[nn.Module], type[Function]]  # kind of layer → its way back, where that is not the chain rule's

CHAIN_RULE: Rule = {}
GUIDED: Rule = {nn.ReLU: _Guided, nn.ReLU6: _Guided}
DECONVNET: Rule = {nn.ReLU: _Rectified, nn.ReLU6: _Rectified, nn.LocalResponseNorm: _LeftOut}


def has_relu(network: nn.Module) -> bool:
    """Return whether the network has a ReLU, without which guided backprop is the gradient itself."""
    return any(isinstance(layer, nn.ReLU | nn.ReLU6) for layer in network.modules())


def input_gradient(network: nn.Module, images: Tensor, unit: Unit, rule: Rule = CHAIN_RULE) -> Tensor:
    """Return the gradient of each image's unit with respect to that image, (B, C, H, W), 0 where it does not depend on it."""
    images = images.detach().clone().requires_grad_()
    with torch.enable_grad(), _way_back(network, rule):
        value = unit.values(network, images).sum()
    [gradient] = torch.autograd.grad(value, images, materialize_grads=True)
    return gradient


def deconvnet(network: nn.Module, images: Tensor, unit: Unit) -> Tensor:
    """Return the projection of each image's unit back to the pixels, (B, C, H, W) (Zeiler and Fergus, arXiv:1311.2901, section 2.1).

    The unit's value, all others of its layer being 0, goes back through the same filters, ReLUs, and poolings, to where the maxima were
    (the switches). Where windows overlap and share a maximum, what they bring is added up."""
    with torch.no_grad():
        values = unit.values(network, images)
    return values[:, None, None, None] * input_gradient(network, images, unit, DECONVNET)


def way_of(network: nn.Module) -> str:
    """Say by which rule `deconvnet` goes back through a network."""
    if not has_relu(network):
        return "by the gradient, as the network has no ReLU"
    is_max = any(isinstance(layer, nn.MaxPool2d | nn.AdaptiveMaxPool2d) for layer in network.modules())
    return f"by the deconvnet{'' if is_max else ' (no max pooling, so no switches)'}"


@contextmanager
def _way_back(network: nn.Module, rule: Rule) -> Iterator[None]:
    """Give layers another way back. A subclass has that of its class."""
    handles = [
        layer.register_forward_hook(lambda _, given, output, function=function: function.apply(given[0], output))
        for layer in network.modules()
        for kind, function in rule.items()
        if isinstance(layer, kind)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
