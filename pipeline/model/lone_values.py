"""Batch norms that get a single value of each channel from an image: of one image alone they have no variance, and torch refuses it."""

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.model.tracing import first_that_works, in_mode


def lone_values(network: nn.Module, in_channels: int, side: int) -> list[str]:
    """Return the names of such layers, in the order of computation, for images of (in_channels, side, side).

    In training, with auxiliary heads; layers that are kept in evaluation mode take what they have measured before."""
    measuring = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, _BatchNorm) and layer.training]
    found: list[str] = []

    def look(images: Tensor, state: dict[str, Tensor]) -> None:
        found.clear()
        own = {name: buffer.clone() for name, buffer in network.named_buffers()} | state  # batch norm writes into the buffers
        functional_call(network, own, (images,))

    def note(name: str, maps: Tensor) -> None:
        if maps.shape[2:].numel() == 1:
            found.append(name)

    hooks = [layer.register_forward_pre_hook(lambda _, given, name=name: note(name, given[0])) for name, layer in measuring]
    try:
        with in_mode(network, True):
            first_that_works(network, (in_channels, side, side), look)
    finally:
        for hook in hooks:
            hook.remove()
    return found
