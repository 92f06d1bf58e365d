"""Schedules of the learning rate by the share of the training that is done, so that steps or a clock can drive them."""

import math
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def line(share: float) -> float:
    return share


def half_cosine(share: float) -> float:
    """0 at 0, 1 at 1, level at both."""
    return (1 - math.cos(math.pi * share)) / 2


class OfShare(LRScheduler):
    """From `start` to 1 and on to `end` times the optimizer's rate; the top is where the share `peak` of the training is done.

    steps: all optimizer steps of the training; to be stepped after each of them. peak: from 0, where it begins with the top, to below 1.
    The rate is computed anew each time, so a training that goes on has the bits of one that was not stopped."""

    per_step = True
    clock: Callable[[], float] | None = None  # returns the share that is done; None: that of the steps. No part of the state

    rise = staticmethod(line)
    fall = staticmethod(line)

    def __init__(self, optimizer: Optimizer, steps: int, start: float, peak: float, end: float) -> None:
        self.steps, self.start, self.peak, self.end = steps, start, peak, end
        super().__init__(optimizer)

    def share(self) -> float:
        """Return the share of the training that is done, 1 at most."""
        return min(1.0, self.clock() if self.clock else self.last_epoch / self.steps)

    def factor(self, share: float) -> float:
        """Return what the optimizer's rates are multiplied by when this share is done, 0..1."""
        if share < self.peak:
            return self.start + (1 - self.start) * self.rise(share / self.peak)
        return 1 + (self.end - 1) * self.fall((share - self.peak) / (1 - self.peak))

    def get_lr(self) -> list[Any]:
        factor = self.factor(self.share())
        return [rate * factor for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        return {name: value for name, value in super().state_dict().items() if name != "clock"}


class Triangle(OfShare):
    """Up and down in straight lines (cifar10-airbench)."""


class WarmupCosine(OfShare):
    """Up in a straight line (Goyal et al., arXiv:1706.02677, section 2.2), down along half a cosine (arXiv:1608.03983)."""

    fall = staticmethod(half_cosine)


class OneCycle(OfShare):
    """Up and down along half cosines (Smith and Topin, arXiv:1708.07120, as torch and fastai have it); the momentum stays."""

    rise = staticmethod(half_cosine)
    fall = staticmethod(half_cosine)
