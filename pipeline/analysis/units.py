"""How a layer's units work: dead, always on, selective for a class; and which of its filters are alike: redundant, opposite."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ALIKE = 0.9  # cosine from which two filters are called redundant; below its negative, opposite in phase

Pair = tuple[int, int, float]  # two filters, the lower index first, and their cosine


@dataclass(frozen=True)
class Activity:
    """What a ReLU's units do over many images, and in maps over all places; per unit, (units,)."""

    zeros: Tensor  # share of the values that are 0 (or less, without a ReLU)
    class_means: Tensor  # (classes, units): mean value in the images of each class; NaN for a class without images

    @property
    def dead(self) -> Tensor:
        """Whether the unit is 0 always: it contributes nothing."""
        return self.zeros == 1

    @property
    def always_on(self) -> Tensor:
        """Whether the unit is never 0: its ReLU does nothing."""
        return self.zeros == 0

    @property
    def favourite(self) -> Tensor:
        """The class with the unit's largest mean value, (units,)."""
        return self.class_means.nan_to_num(nan=-torch.inf).argmax(dim=0)

    @property
    def selectivity(self) -> Tensor:
        """How far the unit answers to one class alone: 0 to all alike, 1 to one only, and 0 if dead (Morcos et al., arXiv:1803.06959).

        (m - r) / (m + r) of m, the largest mean value in a class, and r, the mean of the other classes'. For units of a ReLU."""
        means = self.class_means[~self.class_means.isnan().any(dim=1)]  # (classes, units)
        most = means.amax(dim=0)
        others = (means.sum(dim=0) - most) / max(1, len(means) - 1)
        return torch.where(most + others > 0, (most - others) / (most + others), 0)


class Activities:
    """Counts what a layer's units do, batch by batch."""

    def __init__(self, classes: int) -> None:
        self.classes, self.values, self.zeros, self.sums = classes, 0, torch.tensor(0), torch.tensor(0.0)
        self.images = torch.zeros(classes, 1, dtype=torch.float64)

    def add(self, outputs: Tensor, labels: Tensor) -> None:
        """Count a batch. outputs: of units, (B, units), or (B, units, H, W); labels: (B,)."""
        outputs = outputs.reshape(*outputs.shape[:2], -1)  # (B, units, places)
        membership = nn.functional.one_hot(labels, self.classes).double().T  # (classes, B)
        self.values += len(outputs) * outputs.shape[2]
        self.zeros = self.zeros + (outputs <= 0).sum(dim=(0, 2))
        self.sums = self.sums + membership @ outputs.mean(dim=2).double()
        self.images += membership.sum(dim=1, keepdim=True)

    def so_far(self) -> Activity:
        """Return what the units did over all batches. Raises ValueError if there was none."""
        if not self.values:
            raise ValueError("there are no images to measure units on")
        return Activity(self.zeros / self.values, self.sums / self.images)


def cosines(weight: Tensor, groups: int = 1) -> Tensor:
    """Return the cosine of each filter with each other, (out, out), less its own mean; 0 for constant ones.

    weight: (out, …). groups: of filters, in order; those of different ones see different maps, and get 0."""
    filters = weight.detach().double().flatten(1)
    filters = filters - filters.mean(dim=1, keepdim=True)
    sizes = filters.norm(dim=1, keepdim=True)
    is_constant = sizes <= 1e-12 * weight.detach().double().flatten(1).norm(dim=1, keepdim=True)
    unit = torch.where(is_constant, 0, filters / torch.where(is_constant, 1, sizes))
    group = torch.arange(len(unit)) * groups // len(unit)
    return torch.where(group[:, None] == group, unit @ unit.T, 0)


def redundant(alike: Tensor, limit: float = ALIKE) -> list[Pair]:
    """Return the pairs of filters whose cosine is above the limit, the most alike first. alike: from `cosines`."""
    return _pairs(alike, alike > limit)


def opposite(alike: Tensor, limit: float = ALIKE) -> list[Pair]:
    """Return the pairs of filters whose cosine is below -limit: the same in opposite phase (Shang et al., arXiv:1603.05201)."""
    return _pairs(alike, alike < -limit)


def _pairs(alike: Tensor, chosen: Tensor) -> list[Pair]:
    indices: Sequence[list[int]] = chosen.triu(diagonal=1).nonzero().tolist()
    return sorted(((i, j, float(alike[i, j])) for i, j in indices), key=lambda pair: -abs(pair[2]))
