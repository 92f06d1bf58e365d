"""The layers whose units are looked at: convolutions and hidden fully connected layers, with what is done to their values at once."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.analysis.activations import family, label_of, layer_names
from pipeline.model.forward_pass import hooked


@dataclass(frozen=True)
class UnitLayer:
    """A layer of units."""

    name: str  # of the layer with the filters, without the prefix shared by all names
    filters: nn.Module  # the convolution or fully connected layer
    output: nn.Module  # whose output are the units' values: that layer, or the normalisation or activation right behind it
    call: int  # of that module in a forward pass, from 0: a network may have one ReLU for all its layers
    units: int
    size: tuple[int, ...]  # height and width of their maps; () of fully connected units

    @property
    def has_relu(self) -> bool:
        """Whether a unit may be off: its value is then 0."""
        return isinstance(self.output, nn.ReLU | nn.ReLU6)


def unit_layers(network: nn.Module, image: Tensor) -> list[UnitLayer]:
    """Return the layers in order of computation, without the fully connected one that gives the scores.

    image: (1, C, H, W), normalised. The network must be in evaluation mode."""
    layers = {name: layer for layer, name in layer_names(network).items()}
    found, calls = list[UnitLayer](), Counter[str]()
    behind, given = [(image, -1)], [(image, 0)]  # the last layer's values, and a layer's input: tensor, and how often it was overwritten

    def enter(name: str, arguments: tuple[Tensor, ...]) -> None:
        given[0] = (arguments[0], arguments[0]._version)

    def leave(name: str, output: Tensor) -> None:
        layer, call = layers[name], calls[name]
        calls[name] += 1
        if isinstance(layer, nn.Conv2d | nn.Linear):
            found.append(UnitLayer(name, layer, layer, call, output.shape[1], tuple(output.shape[2:])))
        elif found and given[0][0] is behind[0][0] and given[0][1] == behind[0][1] and _belongs(layer, found[-1]):
            found[-1] = replace(found[-1], output=layer, call=call)
        else:
            return
        behind[0] = (output, output._version)

    with hooked(layers, enter, leave), torch.no_grad():
        scores = network(image)
    return found[:-1] if found and not found[-1].size and found[-1].units in (1, scores.shape[1]) else found


def _belongs(layer: nn.Module, found: UnitLayer) -> bool:
    return family(layer) in ("normalisation", "activation") and family(found.output) != "activation"


@dataclass(frozen=True)
class Strip:
    """What the units of a hidden fully connected layer say of one image."""

    name: str  # of the layer
    kind: str  # in words, with what is done to its values at once
    values: NDArray[np.float32]  # (shown,), of the first units
    units: int  # of the layer


def strips(network: nn.Module, image: Tensor, most: int) -> list[Strip]:
    """Return the values of hidden fully connected units for one image, (1, …), layer by layer, of each layer `most` at most."""
    layers, found = [layer for layer in unit_layers(network, image) if not layer.size], list[Strip]()

    def look(layer: UnitLayer, outputs: Tensor) -> None:
        kind = ", ".join(dict.fromkeys(label_of(module) for module in (layer.filters, layer.output)))
        found.append(Strip(layer.name, kind, outputs[0, :most].float().cpu().numpy().copy(), layer.units))

    watch(network, layers, image, look)
    return found


def watch(network: nn.Module, layers: Sequence[UnitLayer], images: Tensor, look: Callable[[UnitLayer, Tensor], None]) -> None:
    """Run the network and show each layer's values, (B, units) or (B, units, H, W), as they are computed. images: (B, C, H, W)."""
    modules = {str(number): module for number, module in enumerate(dict.fromkeys(layer.output for layer in layers))}
    wanted, calls = {(layer.output, layer.call): layer for layer in layers}, Counter[str]()

    def after(name: str, output: Tensor) -> None:
        if layer := wanted.get((modules[name], calls[name])):
            look(layer, output)
        calls[name] += 1

    with hooked(modules, after=after), torch.no_grad():  # not inference mode, as what is found chooses units to go back from
        network(images)
