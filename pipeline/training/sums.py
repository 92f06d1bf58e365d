"""An epoch's loss and right answers, added up batch by batch."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Sums:
    """What an epoch's steps found, left on their device until the epoch is over."""

    losses: list[Tensor] = field(default_factory=list)  # mean of each batch
    counted: list[Tensor | int] = field(default_factory=list)  # how much each batch's images count in the mean
    right: list[Tensor] = field(default_factory=list)  # images of some batches
    images: int = 0
    answers: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # scores and labels that are not counted yet

    def add(self, loss: Tensor, counted: Tensor | int) -> None:
        self.losses.append(loss.detach())
        self.counted.append(counted)

    def answer(self, scores: Tensor, labels: Tensor) -> None:
        self.answers.append((scores.detach(), labels))
        self.images += len(labels)

    def count(self) -> None:
        """Count the right answers of what was added since the last time, all at once."""
        scores, labels = map(torch.cat, zip(*self.answers, strict=True))
        self.right.append((scores.argmax(dim=1) == labels).sum())
        self.answers.clear()

    def total(self) -> Tensor:
        """Return (4,) float64: the sum of the images' losses, how much they count, right answers, images."""
        counted = torch.stack([torch.as_tensor(value, dtype=torch.float64) for value in self.counted]).cpu()
        losses, right = (torch.stack(values).double().cpu() for values in (self.losses, self.right))
        return torch.stack([losses @ counted, counted.sum(), right.sum(), torch.tensor(self.images, dtype=torch.float64)])
