"""What a network makes of one image, layer by layer: the feature maps of its convolutions, activations and poolings.

Seen are layers that are modules; a function such as torch.relu within a network's `forward` leaves no maps of its own."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

Maps = NDArray[np.float32]  # (shown, H, W)
Seen = tuple[nn.Module, Maps, int]  # a layer, the first of its maps, and how many it has

# The files of torch.nn.modules that hold layers with maps of their own.
FAMILIES = {
    "conv": "convolution",
    "activation": "activation",
    "pooling": "pooling",
    "batchnorm": "normalisation",
    "instancenorm": "normalisation",
    "normalization": "normalisation",
}

POOLINGS = {"Max": "max pooling", "Sum": "sum pooling", "L2": "L2 pooling", "Subsampling": "subsampling"}  # by a part of the class's name


@dataclass(frozen=True)
class Layer:
    name: str  # in the network
    family: str  # convolution, activation or pooling
    kind: str  # in words; a normalisation before it is named with it, for its own maps are not shown
    maps: Maps  # the first ones, in their order
    channels: int  # maps that it has

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a map."""
        _, height, width = self.maps.shape
        return height, width


def feature_maps(network: nn.Module, inputs: Tensor, most: int) -> tuple[list[Layer], NDArray[np.float32]]:
    """Return what each layer makes of one image, in the order of the computation, and the network's answer, (classes,).

    inputs: (1, …), what the network takes of one image. most: maps kept of each layer.
    The network, which is in evaluation mode, stays as it was."""
    seen: list[Seen] = []

    def keep(layer: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            maps = output[0, :most].float().cpu().numpy().copy()  # a copy: the next layer may work in place
            seen.append((layer, maps, output.shape[1]))

    names = layer_names(network)
    hooks = [layer.register_forward_hook(keep) for layer in names if family(layer)]
    try:
        with torch.inference_mode():
            answer = network(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return _layers(seen, names), answer[0].float().cpu().numpy()


def rows(layers: list[Layer], most: int) -> list[list[Layer]]:
    """Return the layers in rows, each a convolution with what follows it, `most` rows or fewer.

    Where there are more convolutions, the first stays and the last of each map size, which a pooling often follows;
    where these are too many as well, they are thinned evenly."""
    found: list[list[Layer]] = []
    for layer in layers:
        if layer.family == "convolution" or not found:
            found.append([])
        found[-1].append(layer)
    if len(found) > most:
        last = {row[0].size: i for i, row in enumerate(found)}
        found = [found[i] for i in sorted({0, *last.values()})]
    if len(found) > most:
        found = [found[i] for i in np.linspace(0, len(found) - 1, most).round().astype(int)]
    return found


def layer_names(network: nn.Module) -> dict[nn.Module, str]:
    """Return layer -> its name, less the beginning that all names share (conv1 for network.layers.conv1)."""
    paths = {layer: name.split(".") for name, layer in network.named_modules() if not any(layer.children())}
    shared = len(list(takewhile(lambda parts: len(set(parts)) == 1, zip(*paths.values(), strict=False))))
    return {layer: ".".join(path[min(shared, len(path) - 1) :]) for layer, path in paths.items()}


def family(layer: nn.Module) -> str | None:
    """Return convolution, activation, pooling or normalisation, also for a class derived from one of torch's; else None."""
    files = (base.__module__.removeprefix("torch.nn.modules.") for base in type(layer).__mro__)
    return next((FAMILIES[file] for file in files if file in FAMILIES), None)


def in_words(layer: nn.Module) -> str:
    """Return what a layer does as a label: "convolution 3×3", "ReLU", "max pooling"."""
    name = type(layer).__name__
    if isinstance(layer, _ConvNd):
        return "convolution " + "×".join(str(side) for side in layer.kernel_size)
    if family(layer) == "pooling":
        return next((words for part, words in POOLINGS.items() if part in name), "average pooling")
    return "batch norm" if "BatchNorm" in name else name


def _layers(seen: Iterable[Seen], names: dict[nn.Module, str]) -> list[Layer]:
    layers = []
    norms: list[str] = []  # since the last layer that is shown
    for layer, maps, channels in seen:
        if (kind := family(layer)) == "normalisation":
            norms.append(in_words(layer))
        elif kind:
            layers.append(Layer(names[layer], kind, ", ".join([*norms, in_words(layer)]), maps, channels))
            norms = []
    return layers
