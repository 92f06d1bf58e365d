"""A network's forward pass without images or on torch's meta device, which computes nothing: shapes alone, and who refuses them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.config.lone_image import lone_image
from pipeline.config.rank import at_once, ranks_of
from pipeline.config.schema import Training


def scores_shape(network: Any, channels: int, size: int) -> Any:
    """Return the shape of the scores of no image at all, which computes nothing. Raises ValueError naming the layer that refuses it."""
    import torch

    with _entering(network) as entered:
        try:
            with torch.no_grad():
                try:
                    return network(torch.empty(0, channels, size, size)).shape
                except Exception:  # some can't do with none: two images on the meta device, whose first use takes a second
                    return network.to("meta")(torch.empty(2, channels, size, size, device="meta")).shape
        except Exception as error:
            raise ValueError(f"{entered[-1]}: {error}" if entered else str(error)) from error


def require_learning(network: Any, channels: int, size: int, training: Training) -> None:
    """Raise ConfigError where batch norm can't learn from one image at a time; the network ends on the meta device.

    On several devices it may measure the images of all: the training itself says so before it begins."""
    import torch

    if at_once(training) > 1 or ranks_of(training) > 1:
        return
    with _entering(network.to("meta").train()) as entered:
        try:
            network(torch.empty(1, channels, size, size, device="meta"))
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                raise lone_image(entered[-1], size, training, "each part of a batch") from error


@contextmanager
def _entering(network: Any) -> Iterator[list[str]]:
    """Give the names of the layers that images have entered, the last one at the end."""
    entered: list[str] = []
    hooks = [layer.register_forward_pre_hook(lambda *_, name=name: entered.append(name)) for name, layer in network.named_modules() if name]
    try:
        yield entered
    finally:
        for hook in hooks:
            hook.remove()
