"""What a training keeps beside the weights: activations for the backward pass, and the optimizer's memory."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from pipeline.model.tracing import first_that_works, in_mode

SIDE = 8  # of the weight on which an optimizer is tried


def kept_for_backward(network: nn.Module, in_channels: int, side: int) -> int:
    """Return the bytes of one image's tensors that autograd keeps until the backward pass, and of the largest one's gradient.

    The image itself is among them. Counted on a batch of no image, each storage once. Dropout's masks are not in it, nor what
    else a layer's function uses while it works; see the tests for how near this comes to what a step is seen to use."""

    def count(images: Tensor, state: dict[str, Tensor]) -> int:
        kept: list[Tensor] = []  # alive, so that no storage's address is given to another

        def keep(tensor: Tensor) -> Tensor:
            kept.append(tensor)
            return tensor

        own = {name: buffer.clone() for name, buffer in network.named_buffers()} | state  # batch norm writes into the buffers
        weights = {tensor.untyped_storage()._cdata for tensor in chain(network.parameters(), own.values())}
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            functional_call(network, own, (images,))
        sizes: dict[int, int] = {}
        for tensor in kept:
            storage, size = tensor.untyped_storage()._cdata, tensor.shape[1:].numel() * tensor.element_size()
            if storage not in weights and tensor.shape[:1] == images.shape[:1]:
                sizes[storage] = max(sizes.get(storage, 0), size)
        return sum(sizes.values()) + max(sizes.values(), default=0)

    with in_mode(network, True):  # auxiliary heads take part
        return first_that_works(network, (in_channels, side, side), count)


def remembered(make_optimizer: Callable[[Any], Optimizer]) -> float:
    """Return how many values an optimizer remembers of each weight once it has stepped: SGD 0, with momentum 1, Adam 2."""
    weight = nn.Parameter(torch.ones(SIDE, SIDE))
    weight.grad = torch.ones(SIDE, SIDE)
    optimizer = make_optimizer([weight])
    optimizer.step(lambda: 1.0)  # some ask for the loss
    tensors = [value for value in optimizer.state[weight].values() if isinstance(value, Tensor) and value.dim()]
    return sum(tensor.numel() for tensor in tensors) / weight.numel()
