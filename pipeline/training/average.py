"""A moving average of a network's weights, which wanders less than they do (Polyak and Juditsky, SIAM J. Control 30, 1992)."""

import copy

import torch
from torch import Tensor, nn


class Average(nn.Module):
    """Holds a copy of a network whose values follow it: average = decay * average + (1 - decay) * value, batch norm's too.

    The first steps count more, by min(decay, (1 + step) / (10 + step)), or the first values would be heard for long (the rule of
    TensorFlow's ExponentialMovingAverage)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
        self.decay = decay
        self.pairs: tuple[list[Tensor], list[Tensor]] | None = None  # (average, network), once both are on their device

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Follow the network after its optimizer step, counted from 1."""
        self.pairs = self.pairs or (_values(self.network), _values(network))
        ours, theirs = self.pairs
        torch._foreach_lerp_(ours, theirs, 1 - min(self.decay, (1 + step) / (10 + step)))
        for mine, value in zip(self.network.buffers(), network.buffers(), strict=True):
            if not value.is_floating_point():
                mine.copy_(value)  # batch norm's count of batches


def _values(network: nn.Module) -> list[Tensor]:
    return [value for value in network.state_dict().values() if value.is_floating_point()]
