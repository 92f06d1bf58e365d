"""What the literature says of a network, measured on one without weights: counts, shapes of stages, receptive field."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from pipeline.config.build import build
from pipeline.config.dry_run import skip_init
from pipeline.model.tracing import trace
from tests.conftest import Compose


@dataclass(frozen=True)
class Measures:
    parameters: int
    buffers: int
    macs: int
    field: int  # pixels, at the last convolution or pooling: the widest
    sides: dict[str, int]  # of the maps out of each part, by the first of its dotted names
    channels: dict[str, int]


def option(composed: Compose, name: str, side: int, channels: int = 3, classes: int = 10, **changes: Any) -> nn.Module:
    """Return the network of an option file, some of its values changed."""
    node = composed(f"model={name}")["model"] | changes
    return build("model", node, nn.Module, in_channels=channels, num_classes=classes, image_size=side)


def on_meta(composed: Compose, name: str, side: int, channels: int = 3, classes: int = 10, **changes: Any) -> nn.Module:
    """The same, without weights."""
    with torch.device("meta"), skip_init():
        return option(composed, name, side, channels, classes, **changes)


def measure(network: nn.Module, side: int, channels: int = 3, part: Callable[[str], str] = lambda layer: layer.split(".")[0]) -> Measures:
    """Follow images of (channels, side, side). part: which part a layer belongs to."""
    calls = trace(network, channels, side)
    maps = {part(call.layer): call.output for call in calls if len(call.output) == 3}
    return Measures(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        buffers=sum(buffer.numel() for buffer in network.buffers()),
        macs=sum(call.macs for call in calls),
        field=max(call.field.size for call in calls if call.window),
        sides={name: shape[1] for name, shape in maps.items()},
        channels={name: shape[0] for name, shape in maps.items()},
    )


def without_gradient(network: nn.Module, images: torch.Tensor) -> list[str]:
    """Return the names of the weights that one step of training would not change."""
    scores = network.train()(images)
    parts = scores if isinstance(scores, tuple) else (scores,)
    labels = torch.arange(len(images)) % parts[0].shape[1]
    sum(cross_entropy(part, labels) for part in parts).backward()
    return [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.abs().sum()]


def first_loss(network: nn.Module, images: torch.Tensor) -> float:
    """Return the loss before training, with the batch's statistics as in training."""
    with torch.no_grad():
        scores = network.train()(images)
    scores = scores[0] if isinstance(scores, tuple) else scores
    return cross_entropy(scores, torch.arange(len(images)) % scores.shape[1]).item()


def layer_parameters(network: nn.Module) -> dict[str, int]:
    """Return the parameters of each layer that has some of its own, by its dotted name."""
    counts = {name: sum(own.numel() for own in layer.parameters(recurse=False)) for name, layer in network.named_modules()}
    return {name: count for name, count in counts.items() if count}


def layer_fields(network: nn.Module, side: int, channels: int = 3) -> dict[str, int]:
    """Return the receptive field of each convolution and pooling in pixels, by its dotted name."""
    return {call.layer: call.field.size for call in trace(network, channels, side) if call.window}
