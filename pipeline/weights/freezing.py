"""Freeze layers, but never the output layers."""

import re
from collections.abc import Iterable

from torch import nn

from pipeline.config.errors import ConfigError
from pipeline.config.wording import nearest
from pipeline.model.init import heads_of


def freeze(network: nn.Module, prefixes: list[str]) -> None:
    """Freeze layers: no gradient, and evaluation mode, so that batch norm keeps its running statistics.

    prefixes: of layer names, up to a dot, an underscore or the end: conv1 means conv1, conv1.bn and conv1_2, but not conv10.
    Raises ConfigError for an unknown prefix, for freezing an output layer, and if no layer would learn."""
    layers = dict(network.named_modules())
    for prefix in prefixes:
        found = [name for name in layers if re.match(rf"{re.escape(prefix)}(?=[._]|$)", name)]
        if not found:
            raise ConfigError(f"weights.freeze: no layer's name begins with {prefix}{_nearest(prefix, layers)}", "weights.freeze")
        for name in found:
            layers[name].eval().requires_grad_(False)
    for head in heads_of(network):
        if not layers[head].weight.requires_grad:
            raise ConfigError(f"weights.freeze includes the output layer {head}, which has to learn; leave it out", "weights.freeze")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(f"weights.freeze={prefixes} leaves no trainable layer; leave one out", "weights.freeze")


def _nearest(prefix: str, layers: Iterable[str]) -> str:
    names = [name for name in layers if name]
    near = nearest(prefix, names, most=3, cutoff=0.5)
    first = [name for name in names if "." not in name]
    return f"; the nearest are {', '.join(near)}" if near else f"; there are {', '.join(first[:8])}"
