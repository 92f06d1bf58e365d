"""Learning-rate schedules as functions of training progress, 0..1, so that steps or a clock can drive them."""

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def line(share: float) -> float:
    """Return a straight line: 0 at 0, 1 at 1."""
    return share


def half_cosine(share: float) -> float:
    """Return half a cosine: 0 at 0, 1 at 1, level at both."""
    return (1 - math.cos(math.pi * share)) / 2


class OfShare(LRScheduler):
    """Rises from `start` to 1 times the optimizer's rate until progress `peak`, then falls to `end` times it.

    steps: optimizer steps of the whole training; the schedule is stepped after each. peak: at least 0 (no warmup), below 1.
    The rate is a function of progress alone, so a resumed training has the same bits."""

    per_step = True
    clock: Callable[[], float] | None = None  # returns progress, 0..1; None: by steps. Not part of the state

    rise = staticmethod(line)
    fall = staticmethod(line)

    def __init__(self, optimizer: Optimizer, steps: int, start: float, peak: float, end: float) -> None:
        self.steps, self.start, self.peak, self.end = steps, start, peak, end
        super().__init__(optimizer)

    def share(self) -> float:
        """Return training progress, 0..1."""
        return min(1.0, self.clock() if self.clock else self.last_epoch / self.steps)

    def factor(self, share: float) -> float:
        """Return the factor of the optimizer's rates at this progress, 0..1."""
        if share < self.peak:
            return self.start + (1 - self.start) * self.rise(share / self.peak)
        return 1 + (self.end - 1) * self.fall((share - self.peak) / (1 - self.peak))

    def get_lr(self) -> list[Any]:
        """Return the rate of each parameter group."""
        factor = self.factor(self.share())
        return [rate * factor for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Return the state without the clock."""
        return {name: value for name, value in super().state_dict().items() if name != "clock"}


class Triangle(OfShare):
    """Linear warmup and linear decay (cifar10-airbench)."""


class WarmupCosine(OfShare):
    """Linear warmup (Goyal et al., arXiv:1706.02677, section 2.2), cosine decay (Loshchilov and Hutter, arXiv:1608.03983)."""

    fall = staticmethod(half_cosine)


class OneCycle(OfShare):
    """Cosine warmup and cosine decay (Smith and Topin, arXiv:1708.07120, as in torch and fastai), at constant momentum."""

    rise = staticmethod(half_cosine)
    fall = staticmethod(half_cosine)
