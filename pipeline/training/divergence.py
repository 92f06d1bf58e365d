"""Detect divergence: a loss that is not finite or far above chance, and the first layer whose output is not finite."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.config.errors import DivergedError

CHECK_EVERY = 50  # steps on an accelerator, where a check of the loss synchronises


def require_finite(loss: Tensor, network: nn.Module, images: Tensor, step: int, optimizer: Optimizer) -> None:
    """Raise DivergedError for a loss, (), that is not finite, naming the first layer whose output for `images`, (B, C, H, W), is not."""
    if not math.isfinite(value := loss.item()):
        raise _diverged(f"the loss became {value} at step {step}: {describe(network, images)}", optimizer)


def require_plausible(metrics: dict[str, float], epoch: int, limit: float, optimizer: Optimizer) -> None:
    """Raise DivergedError where an epoch's metrics are not finite or its training loss is above `limit`."""
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise _diverged(f"the {name.replace('/', ' ')} of epoch {epoch} is {value}", optimizer)
    if (loss := metrics["train/loss"]) > limit:
        raise _diverged(f"the loss of epoch {epoch} is {loss:.4g}, guessing would be far below {limit:.3g}", optimizer)


def _diverged(what: str, optimizer: Optimizer) -> DivergedError:
    rate = optimizer.param_groups[0]["initial_lr"]  # of the config, before any schedule
    return DivergedError(f"training diverged: {what}. The learning rate was {rate:g}; try optimizer.lr={rate / 10:g}")


@dataclass
class Pass:
    """What the hooks of a forward pass have seen so far."""

    bad: str | None = None  # the first module whose output is not finite; "" is the network itself
    values: Tensor | None = None  # that output
    largest: float = 0.0  # absolute value in what came before it
    at: str = "the images"  # where


def describe(network: nn.Module, images: Tensor) -> str:
    """Return a sentence on the first layer whose output is not finite for `images`, (B, C, H, W).

    The network runs in its current mode, so this repeats the failed pass except for dropout; its buffers are restored."""
    if not images.isfinite().all():
        return f"{_count(images)} of the images are not finite themselves"
    found = Pass(largest=images.abs().max().item())
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]  # batch norm updates its statistics in training mode
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
    """Inspect a module's output. Its submodules were inspected before it, so the first bad module is the innermost."""
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
    """Return a module's own parameters and buffers; those of its submodules would have shown in their output."""
    module = network.get_submodule(layer)
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _count(values: Tensor) -> str:
    bad = int((~values.isfinite()).sum())
    return f"{bad:,} of {values.numel():,}"
