"""A CNN written in YAML: a mapping of named layers, each an entry of one of the kinds below.

    conv1: {kind: conv, filters: 16, kernel: 3, padding: same}
    relu1: {kind: relu}
    pool1: {kind: max_pool, kernel: 2}
    scores: {kind: linear}

A layer set to null is left out. A linear entry without `units` gives one score per class. `kernel` is a side in pixels."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

Shape = torch.Size  # (C, H, W), or (features,) after the first linear entry


class CNN(nn.Module):
    """Layers in the order of the mapping, under their names; features are flattened before the first linear entry."""

    def __init__(self, layers: Mapping[str, Mapping[str, Any] | None], in_channels: int, num_classes: int, image_size: int) -> None:
        super().__init__()
        shape = torch.Size((in_channels, image_size, image_size))
        self.layers = nn.Sequential()
        for name, entry in layers.items():
            if entry is None:
                continue
            if not isinstance(entry, Mapping):
                raise ValueError(f"layers.{name} is {entry!r}, expected a mapping such as {{kind: relu}}")
            if hasattr(self.layers, name) or "." in name or name == "flatten":
                raise ValueError(f"layers.{name}: a layer can't have this name, which torch needs; give it another")
            if entry.get("kind") == "linear":
                if len(shape) == 3:
                    self.layers.add_module("flatten", nn.Flatten())
                    shape = torch.Size((shape.numel(),))
                entry = {"units": num_classes, **entry}
            layer = make_layer(name, entry, shape)
            shape = output_shape(name, layer, shape)
            self.layers.add_module(name, layer)
        if shape != (num_classes,):
            raise ValueError(f"layers end with shape {tuple(shape)}, but there are {num_classes} classes; end with {{kind: linear}}")

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)  # (B, num_classes)


def make_layer(name: str, entry: Mapping[str, Any], shape: Shape) -> nn.Module:
    """Construct one layer for inputs of `shape`; raises ValueError naming the layer and what is wrong with it."""
    options = dict(entry)
    kind = options.pop("kind", None)
    if kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"layers.{name}.kind is {kind!r}, expected one of {', '.join(KINDS)}{hint}")
    make = KINDS[kind]
    allowed = [option for option in inspect.signature(make).parameters if option != "shape"]
    for option in options:
        if option not in allowed:
            near = difflib.get_close_matches(option, allowed, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"layers.{name}.{option} is not an option of {kind}, which has {', '.join(allowed) or 'none'}{hint}")
    for option in ("filters", "kernel", "stride", "units"):
        if isinstance(options.get(option), int) and options[option] < 1:
            raise ValueError(f"layers.{name}.{option} must be 1 or more, but it is {options[option]}")
    try:
        return make(shape, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"layers.{name}: {kind} {str(error).partition('()')[2].strip() or error}") from error


def output_shape(name: str, layer: nn.Module, shape: Shape) -> Shape:
    """Return what the layer makes of one input of `shape`; raises ValueError where the maps are too small for it."""
    try:
        with torch.no_grad():
            made = layer.eval()(torch.empty(0, *shape))  # of no image: nothing is computed, and no compiler imported
    except RuntimeError as error:
        size = "x".join(str(side) for side in shape[1:]) or "flat"
        raise ValueError(
            f"layers.{name}: the {size} maps before it are too small for it; raise resize.size or leave out a pooling"
        ) from error
    layer.train()
    return made.shape[1:]


def conv(shape: Shape, filters: int, kernel: int, stride: int = 1, padding: int | str = "valid", bias: bool = True) -> nn.Module:
    """`kernel` x `kernel` filters; padding valid (none), same (the maps keep their size), or a number of pixels."""
    return nn.Conv2d(shape[0], filters, kernel, stride, padding, bias=bias)


def linear(shape: Shape, units: int, bias: bool = True) -> nn.Module:
    return nn.Linear(shape[0], units, bias)


def max_pool(shape: Shape, kernel: int, stride: int | None = None) -> nn.Module:
    return nn.MaxPool2d(kernel, stride)


def average_pool(shape: Shape, kernel: int, stride: int | None = None) -> nn.Module:
    return nn.AvgPool2d(kernel, stride)


def batch_norm(shape: Shape) -> nn.Module:
    return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])


def dropout(shape: Shape, rate: float) -> nn.Module:
    return nn.Dropout(rate)


def relu(shape: Shape) -> nn.Module:
    return nn.ReLU()


def tanh(shape: Shape) -> nn.Module:
    return nn.Tanh()


def sigmoid(shape: Shape) -> nn.Module:
    return nn.Sigmoid()


KINDS: dict[str, Callable[..., nn.Module]] = {
    make.__name__: make for make in (conv, relu, tanh, sigmoid, max_pool, average_pool, batch_norm, dropout, linear)
}
