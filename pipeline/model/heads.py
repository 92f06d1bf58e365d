"""Which layers make a network's scores."""

import re

from torch import nn

from pipeline.model.first_values import WEIGHTED
from pipeline.model.lenet import RBF

AUXILIARY = r"aux\w*"  # modules that score during the training alone (GoogLeNet)


def heads_of(network: nn.Module) -> list[str]:
    """Return the layers that make scores: the last one with weights, and the last one of each auxiliary module.

    There is none before RBF, whose scores are distances from drawings that do not learn."""
    last = {}
    for name, layer in network.named_modules():
        if isinstance(layer, WEIGHTED):
            last[name.partition(".")[0] if is_auxiliary(name) else ""] = name
        elif isinstance(layer, RBF):
            last.clear()
    return list(last.values())


def is_auxiliary(name: str) -> bool:
    return re.match(rf"{AUXILIARY}\.", name) is not None
