"""Observe a network's forward pass, by hooks, in a given mode, on empty batches, and leave the network unchanged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

State = dict[str, Tensor]  # parameters and buffers by their names
Observe = Callable[[str, Any], object]
Found = TypeVar("Found")
Attempt = tuple[int, str | None]  # batch size, and the device of images and weights; None: the network's own

# Some networks reject an empty batch (`view(len(images), -1)`): they get two images on the meta device, then two black ones.
ATTEMPTS: tuple[Attempt, ...] = ((0, None), (2, "meta"), (2, None))


class TooSmallError(ValueError):
    """A layer's input maps are smaller than its kernel."""


@contextmanager
def in_mode(network: nn.Module, *, training: bool) -> Iterator[None]:
    """Put a network into training or evaluation mode, and restore each module's own mode afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def hooked(layers: Mapping[str, nn.Module], before: Observe | None = None, after: Observe | None = None) -> Iterator[None]:
    """Call `before(name, arguments)` as each layer is called, and `after(name, output)` when it returns."""

    def hook(observe: Observe, name: str) -> Callable[..., None]:
        def call(_layer: nn.Module, *values: Any) -> None:  # a hook's return value would replace the value
            observe(name, values[-1])

        return call

    handles = [layer.register_forward_pre_hook(hook(before, name)) for name, layer in layers.items() if before]
    handles += [layer.register_forward_hook(hook(after, name)) for name, layer in layers.items() if after]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def on_empty_batch(
    network: nn.Module, shape: Sequence[int], work: Callable[[Tensor, State], Found], attempts: Sequence[Attempt] = ATTEMPTS
) -> Found:
    """Return work(images, weights) for images (B, *shape) and the weights to run `network` with, of the first attempt that works.

    Costs next to nothing, with weights on any device. Raises TooSmallError at once, else the error of the last attempt."""
    (count, device), *others = attempts
    weight = next(network.parameters(), torch.empty(0))
    images = torch.zeros(count, *shape, device=device or weight.device, dtype=weight.dtype)
    tensors = chain(network.named_parameters(), network.named_buffers()) if device else ()
    try:
        return work(images, {name: _empty(tensor, device) for name, tensor in tensors})
    except TooSmallError:
        raise
    except Exception:
        if not others:
            raise
        return on_empty_batch(network, shape, work, others)


def train_on_empty_batch(network: nn.Module, shape: Sequence[int], work: Callable[[Tensor, State], Found]) -> Found:
    """As `on_empty_batch`, in training mode, with copies of the buffers, into which batch norm writes."""

    def with_buffers(images: Tensor, state: State) -> Found:
        return work(images, {name: buffer.clone() for name, buffer in network.named_buffers()} | state)

    with in_mode(network, training=True):
        return on_empty_batch(network, shape, with_buffers)


def _empty(tensor: Tensor, device: str | None) -> Tensor:
    return torch.empty_like(tensor, device=device).requires_grad_(tensor.requires_grad)
