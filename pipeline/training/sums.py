"""An epoch's loss and right answers, added up batch by batch."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Sums:
    """What an epoch's steps found, left on their device until the epoch is over."""

    losses: list[Tensor] = field(default_factory=list)  # mean of each batch
    right: list[Tensor] = field(default_factory=list)  # images of some batches
    images: list[int] = field(default_factory=list)  # of each batch
    answers: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # scores and labels that are not counted yet

    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        self.losses.append(loss.detach())
        self.answers.append((scores.detach(), labels))
        self.images.append(len(labels))

    def count(self) -> None:
        """Count the right answers of what was added since the last time, all at once."""
        scores, labels = map(torch.cat, zip(*self.answers, strict=True))
        self.right.append((scores.argmax(dim=1) == labels).sum())
        self.answers.clear()

    def total(self) -> Tensor:
        """Return (3,) float64: the sum of the images' losses, right answers, images."""
        images = torch.tensor(self.images, dtype=torch.float64)
        losses, right = (torch.stack(values).double().cpu() for values in (self.losses, self.right))
        return torch.stack([losses @ images, right.sum(), images.sum()])
