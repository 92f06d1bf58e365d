"""The feature maps of one image, layer by layer: the outputs of a network's convolutions, activations and poolings.

Only of modules: a function such as torch.relu in a network's `forward` has no maps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from pipeline.model.forward_pass import hooked
from pipeline.model.layer_rows import shared_prefix
from pipeline.model.summary import layer_kind

Maps = NDArray[np.float32]  # (shown, H, W)
Seen = tuple[nn.Module, Maps, int]  # a layer, its first maps, and their total number

# Modules of torch.nn.modules → family of the layers in them.
FAMILIES = {
    "conv": "convolution",
    "activation": "activation",
    "pooling": "pooling",
    "batchnorm": "normalisation",
    "instancenorm": "normalisation",
    "normalization": "normalisation",
}


@dataclass(frozen=True)
class Layer:
    """A layer's feature maps of one image."""

    name: str  # in the network
    family: str  # convolution, activation or pooling
    kind: str  # in words, with the normalisation before it, whose maps are not shown
    maps: Maps  # the first ones, in order
    channels: int  # number of its maps

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a map."""
        _, height, width = self.maps.shape
        return height, width


def feature_maps(network: nn.Module, inputs: Tensor, most: int) -> tuple[list[Layer], NDArray[np.float32]]:
    """Return each layer's feature maps of one image, in order of computation, and the network's output, (classes,).

    inputs: (1, …), one preprocessed image. most: maps kept per layer. The network must be in evaluation mode."""
    seen: list[Seen] = []

    def keep(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            maps = output[0, :most].float().cpu().numpy().copy()  # copied, as the next layer may work in place
            seen.append((layers[name], maps, output.shape[1]))

    names = layer_names(network)
    layers = {name: layer for layer, name in names.items() if family(layer)}
    with hooked(layers, after=keep), torch.inference_mode():
        output = network(inputs)
    return _layers(seen, names), output[0].float().cpu().numpy()


def rows(layers: list[Layer], most: int) -> list[list[Layer]]:
    """Return the layers in at most `most` rows, each a convolution with the layers that follow it.

    Of more convolutions the first stays, and the last of each map size, often before a pooling; if these are too many as well, they
    are thinned evenly."""
    found: list[list[Layer]] = []
    for layer in layers:
        if layer.family == "convolution" or not found:
            found.append([])
        found[-1].append(layer)
    return [found[i] for i in representative([row[0].size for row in found], most)]


def representative(sizes: Sequence[tuple[int, ...]], most: int) -> list[int]:
    """Return the indices of at most `most` layers, all if there are no more: of their maps' sizes, the first layer, and the last of each
    size; if these are too many as well, they are thinned evenly."""
    indices = list(range(len(sizes)))
    if len(indices) > most:
        last = {size: i for i, size in enumerate(sizes)}
        indices = sorted({0, *last.values()})
    if len(indices) > most:
        indices = [indices[i] for i in np.linspace(0, len(indices) - 1, most).round().astype(int)]
    return indices


def layer_names(network: nn.Module) -> dict[nn.Module, str]:
    """Return layer → its name, without the prefix shared by all names (conv1 for network.layers.conv1)."""
    names = {layer: name for name, layer in network.named_modules() if not any(layer.children())}
    shared = len(shared_prefix(names.values()))
    return {layer: name[shared:] for layer, name in names.items()}


def family(layer: nn.Module) -> str | None:
    """Return convolution, activation, pooling or normalisation, also for subclasses of torch's layers; else None."""
    files = (base.__module__.removeprefix("torch.nn.modules.") for base in type(layer).__mro__)
    return next((FAMILIES[file] for file in files if file in FAMILIES), None)


def label_of(layer: nn.Module) -> str:
    """Return a layer's kind as a label: "convolution 3×3", "ReLU", "max pooling"."""
    if isinstance(layer, _ConvNd):
        return "convolution " + "×".join(str(side) for side in layer.kernel_size)
    return layer_kind(layer)


def _layers(seen: Iterable[Seen], names: dict[nn.Module, str]) -> list[Layer]:
    layers = []
    norms: list[str] = []  # since the last layer that is shown
    for layer, maps, channels in seen:
        if (kind := family(layer)) == "normalisation":
            norms.append(label_of(layer))
        elif kind:
            layers.append(Layer(names[layer], kind, ", ".join([*norms, label_of(layer)]), maps, channels))
            norms = []
    return layers
