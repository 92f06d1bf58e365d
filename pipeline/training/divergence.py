"""Where a forward pass leaves the finite numbers."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Pass:
    """What a forward pass has shown so far."""

    bad: str | None = None  # the first module whose output is not finite; "" is the network itself
    values: Tensor | None = None  # that output
    largest: float = 0.0  # absolute value in what came before it
    at: str = "the images"  # where


def describe(network: nn.Module, images: Tensor) -> str:
    """Say in a sentence which layer first gives a value that is not finite for `images`, (B, C, H, W), as they go through `network`.

    In the mode that it is in, so that it is the pass that failed, but for dropout; its buffers are left as they were."""
    if not images.isfinite().all():
        return f"{_count(images)} of the images are not finite themselves"
    found = Pass(largest=images.abs().max().item())
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]  # batch norm's, which a pass in training mode changes
    hooks = [
        layer.register_forward_hook(lambda _layer, _given, given, name=name: _look(found, name, given))
        for name, layer in network.named_modules()
    ]
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):  # compiled code would not call the hooks
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
    return _sentence(network, found)


def _look(found: Pass, name: str, given: Any) -> None:
    """Look at what a module gave; the modules within it came before, so that a bad sum is its own and a bad layer is not."""
    if found.bad is not None:
        return
    for values in given if isinstance(given, tuple) else (given,):
        if not values.isfinite().all():
            found.bad, found.values = name, values
            return
        if (largest := values.abs().max().item()) > found.largest:
            found.largest, found.at = largest, name or "the scores"


def _sentence(network: nn.Module, found: Pass) -> str:
    before = f"the largest value before it is {found.largest:.3g}, of {found.at}"
    if found.bad is None or found.values is None:
        return f"all layers give finite values, the largest is {found.largest:.3g}, of {found.at}; so the loss itself is not finite"
    layer = found.bad or "the network's last step"
    what = f"{layer} is the first to give values that are not finite, {_count(found.values)}"
    if found.values.dtype == torch.float16:
        what += f" in float16, which ends at {torch.finfo(torch.float16).max:,.0f}"
    spoilt = [name for name, values in _own(network, found.bad) if not values.isfinite().all()]
    if spoilt:
        return f"{what}: its {', '.join(spoilt)} {'is' if len(spoilt) == 1 else 'are'} not finite since an earlier step; {before}"
    return f"{what}; its weights are finite, and {before}"


def _own(network: nn.Module, layer: str) -> list[tuple[str, Tensor]]:
    """Return the parameters and buffers that a module has itself; what those within it have has shown already in their output."""
    module = network.get_submodule(layer)
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _count(values: Tensor) -> str:
    bad = int((~values.isfinite()).sum())
    return f"{bad:,} of {values.numel():,}"
