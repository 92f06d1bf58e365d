"""Take layers out of a training, but never those that make the scores."""

import difflib
import re
from collections.abc import Iterable

from torch import nn

from pipeline.config.errors import ConfigError
from pipeline.model.heads import heads_of


def freeze(network: nn.Module, prefixes: list[str]) -> None:
    """Keep layers as they are: no gradient, and evaluation mode, in which batch norm does not follow the batches.

    prefixes: beginnings of names, up to a dot, an underscore or the end: conv1 means conv1, conv1.bn and conv1_2, not conv10.
    Raises ConfigError for one that no layer has, where a layer that makes the scores would not learn, and where none would."""
    layers = dict(network.named_modules())
    for prefix in prefixes:
        found = [name for name in layers if re.match(rf"{re.escape(prefix)}(?=[._]|$)", name)]
        if not found:
            raise ConfigError(f"weights.freeze: no layer's name begins with {prefix}{_nearest(prefix, layers)}", "weights.freeze")
        for name in found:
            layers[name].eval().requires_grad_(False)
    for head in heads_of(network):
        if not layers[head].weight.requires_grad:
            raise ConfigError(f"weights.freeze holds {head}, which makes the scores and has to learn; leave it out", "weights.freeze")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigError(f"weights.freeze={prefixes} leaves no layer that learns; leave one out", "weights.freeze")


def _nearest(prefix: str, layers: Iterable[str]) -> str:
    names = [name for name in layers if name]
    near = [name for name in names if name.endswith(f".{prefix}")] + difflib.get_close_matches(prefix, names, n=3, cutoff=0.5)
    first = [name for name in names if "." not in name]
    return f"; the nearest are {', '.join(near[:3])}" if near else f"; there are {', '.join(first[:8])}"
