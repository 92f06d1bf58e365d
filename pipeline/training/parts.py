"""A batch in parts, one after another, for what does not fit into memory: its loss is still the mean over all its images."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.training.losses import counted, whole_loss


@dataclass(frozen=True)
class Part:
    """Some images of a batch, which may be mixed with others."""

    images: Tensor  # (B, C, H, W)
    labels: Tensor  # (B,)
    others: Tensor  # (B,): the labels of what the images are mixed with
    share: float  # of an image's own label
    batch: Tensor | int | None  # how much the images of the whole batch count; None: this is the whole

    def losses(self, network: nn.Module, loss: nn.Module, answer: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores, loss and whole loss as `whole_loss` does, the losses as this part's share of its batch's."""
        scores, own, own_whole = self._of_labels(network, loss, answer, self.labels)
        if self.share == 1:
            return scores, own, own_whole
        _, other, other_whole = self._of_labels(network, loss, answer, self.others)
        return scores, torch.lerp(other, own, self.share), torch.lerp(other_whole, own_whole, self.share)

    def _of_labels(self, network: nn.Module, loss: nn.Module, answer: Any, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores, main, whole = whole_loss(network, loss, answer, labels)
        if self.batch is None:
            return scores, main, whole
        share = counted(loss, labels) / self.batch
        return scores, main * share, whole * share

    @property
    def larger(self) -> Tensor:
        """The label of each image that has the larger share."""
        return self.labels if self.share > 0.5 else self.others


def in_parts(images: Tensor, labels: Tensor, others: Tensor, share: float, loss: nn.Module, most: int) -> list[Part]:
    """Cut a batch into as few parts of up to `most` images as there must be, of about the same length."""
    count = math.ceil(len(labels) / most)
    batch = counted(loss, labels) if count > 1 else None
    cut = (tensor.tensor_split(count) for tensor in (images, labels, others))
    return [Part(seen, own, other, share, batch) for seen, own, other in zip(*cut, strict=True)]
