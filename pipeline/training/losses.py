"""Losses that torch lacks, scores (B, classes) and labels (B,) -> mean loss (); and micro-batches for gradient accumulation.

weight: (classes,), the weight of each class's images in the mean (training.balance=weights); None: all count the same."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ImageLoss(nn.Module):
    """The (weighted) mean of `of_images` over a batch."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def of_images(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of each image, (B,)."""
        raise NotImplementedError

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss, ()."""
        losses = self.of_images(scores, labels)  # (B,)
        if self.weight is None:
            return losses.mean()
        weights = self.weight[labels]  # (B,)
        return (weights * losses).sum() / weights.sum()


class HalfSquaredError(ImageLoss):
    """Half the sum over classes of (target - probability)^2, the target 1 for the true class and 0 for the others.

    The error of Deshpande's and Karn's tutorials. With the half, the derivative by a probability is probability - target.
    label_smoothing: share of the target that is spread evenly over all classes."""

    def __init__(self, label_smoothing: float = 0.0, weight: Tensor | None = None) -> None:
        super().__init__(weight)
        self.label_smoothing = label_smoothing

    def of_images(self, scores: Tensor, labels: Tensor) -> Tensor:
        classes = scores.shape[1]
        targets = F.one_hot(labels, classes) * (1 - self.label_smoothing) + self.label_smoothing / classes
        return (targets - scores.softmax(dim=1)).square().sum(dim=1) / 2


class BinaryCrossEntropy(ImageLoss):
    """-log p of the true one of two classes; the probability of the second is sigmoid(second score - first score).

    label_smoothing: share of the target that is spread evenly over both classes. Raises ValueError for scores of other than two classes."""

    def __init__(self, label_smoothing: float = 0.0, weight: Tensor | None = None) -> None:
        super().__init__(weight)
        self.label_smoothing = label_smoothing

    def of_images(self, scores: Tensor, labels: Tensor) -> Tensor:
        if scores.shape[1] != 2:
            raise ValueError(f"binary cross-entropy is for two classes, but there are {scores.shape[1]}; choose loss=cross_entropy")
        targets = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(scores[:, 1] - scores[:, 0], targets, reduction="none")


class Focal(ImageLoss):
    """-(1 - p)^gamma log p, p the probability of the true class (Lin et al., arXiv:1708.02002, equation 4)."""

    def __init__(self, gamma: float, weight: Tensor | None = None) -> None:
        super().__init__(weight)
        self.gamma = gamma

    def of_images(self, scores: Tensor, labels: Tensor) -> Tensor:
        log_p = scores.log_softmax(dim=1).gather(1, labels[:, None]).squeeze(1)  # (B,)
        miss = -torch.expm1(log_p)  # 1 - p
        # For gamma below 1 the power has an infinite slope at 0, so the gradient would be NaN.
        return -(miss.clamp(min=torch.finfo(miss.dtype).tiny) ** self.gamma) * log_p


class MAPCriterion(ImageLoss):
    """y_D + log(exp(-bound) + sum of exp(-y_i)), y_i = -score of class i a distance, D the true class (LeCun et al. 1998, equation 9).

    Cross-entropy with a rubbish class at distance `bound`: the true class is pulled nearer than that, others are pushed no
    further. Without it an image has no gradient once its class is slightly nearest."""

    def __init__(self, bound: float, weight: Tensor | None = None) -> None:
        super().__init__(weight)
        self.bound = bound

    def of_images(self, scores: Tensor, labels: Tensor) -> Tensor:
        rubbish = scores.new_full((len(scores), 1), -self.bound)
        return F.cross_entropy(torch.cat([scores, rubbish], dim=1), labels, reduction="none")


def loss_weight(loss: nn.Module, labels: Tensor) -> Tensor | int:
    """Return the weight of images with these labels, (B,), in the mean of `loss`: their number, or the sum of their class weights."""
    weight = getattr(loss, "weight", None)
    if weight is None or isinstance(loss, nn.MultiMarginLoss):  # torch divides this one by the number of images, not by their weight
        return len(labels)
    return weight[labels].sum()


def whole_loss(network: nn.Module, loss: nn.Module, answer: Any, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the main scores, (B, classes), their loss, and that loss plus those of auxiliary heads, () each.

    answer: the network's output: scores, or with auxiliary heads in training (scores, *auxiliary scores), weighted by
    network.auxiliary_weight each."""
    scores, *auxiliary = answer if isinstance(answer, tuple) else (answer,)
    main = whole = loss(scores, labels)
    for other in auxiliary:
        whole = whole + network.auxiliary_weight * loss(other, labels)
    return scores, main, whole


@dataclass(frozen=True)
class MicroBatch:
    """Some images of a batch, possibly mixed with others by mixup or CutMix, whose gradients are computed at once."""

    images: Tensor  # (B, C, H, W)
    labels: Tensor  # (B,)
    others: Tensor  # (B,): labels of the images mixed in
    share: float  # of an image's own label, 0..1
    batch: Tensor | int | None  # weight of the whole batch; None: this micro-batch is all of it

    def losses(self, network: nn.Module, loss: nn.Module, answer: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores and losses as `whole_loss` does, the losses scaled to this micro-batch's share of its batch."""
        scores, own, own_whole = self._of_labels(network, loss, answer, self.labels)
        if self.share == 1:
            return scores, own, own_whole
        _, other, other_whole = self._of_labels(network, loss, answer, self.others)
        return scores, torch.lerp(other, own, self.share), torch.lerp(other_whole, own_whole, self.share)

    def _of_labels(self, network: nn.Module, loss: nn.Module, answer: Any, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores, main, whole = whole_loss(network, loss, answer, labels)
        if self.batch is None:
            return scores, main, whole
        share = loss_weight(loss, labels) / self.batch
        return scores, main * share, whole * share

    @property
    def larger(self) -> Tensor:
        """The label with the larger share of each image, (B,)."""
        return self.labels if self.share > 0.5 else self.others


def split_batch(images: Tensor, labels: Tensor, others: Tensor, share: float, loss: nn.Module, most: int) -> list[MicroBatch]:
    """Split a batch into as few micro-batches as hold at most `most` images each, of nearly equal size."""
    count = math.ceil(len(labels) / most)
    batch = loss_weight(loss, labels) if count > 1 else None
    cut = (tensor.tensor_split(count) for tensor in (images, labels, others))
    return [MicroBatch(seen, own, other, share, batch) for seen, own, other in zip(*cut, strict=True)]
