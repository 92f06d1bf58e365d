"""The table of a configured network's layers, with what the configured optimizer remembers of them."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from pipeline.config.build import build
from pipeline.model.rows import Summary
from pipeline.model.summary import summarise


def summary_of(
    network: nn.Module, make_network: Callable[[int], nn.Module], optimizer: dict[str, Any], channels: int, side: int
) -> Summary:
    """Return the table for images of (channels, side, side). optimizer: its config node. make_network: as `summarise` takes it."""
    return summarise(network, make_network, lambda weights: build("optimizer", optimizer, Optimizer, weights), channels, side)
