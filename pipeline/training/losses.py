"""Losses that torch lacks: scores (B, classes) and labels (B,) -> one number, the mean over the images; and the whole of a network's.

weight: (classes,), how much an image of each class counts (training.balance=weights); the mean is then the weighted one."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ImageLoss(nn.Module):
    """The mean of what `of_images` gives for each image."""

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def of_images(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return (B,)."""
        raise NotImplementedError

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        losses = self.of_images(scores, labels)  # (B,)
        if self.weight is None:
            return losses.mean()
        counted = self.weight[labels]  # (B,)
        return (counted * losses).sum() / counted.sum()


class HalfSquaredError(ImageLoss):
    """Half the sum over classes of (target - probability)^2, the target 1 for the true class and 0 for the others.

    The tutorials' error (Deshpande; Karn). The half makes the derivative by a probability: probability - target.
    label_smoothing: share of the target that all classes get alike."""

    def __init__(self, label_smoothing: float = 0.0, weight: Tensor | None = None) -> None:
        super().__init__(weight)
        self.label_smoothing = label_smoothing

    def of_images(self, scores: Tensor, labels: Tensor) -> Tensor:
        classes = scores.shape[1]
        targets = F.one_hot(labels, classes) * (1 - self.label_smoothing) + self.label_smoothing / classes
        return (targets - scores.softmax(dim=1)).square().sum(dim=1) / 2


class BinaryCrossEntropy(ImageLoss):
    """-log(probability of the true class of two), that of the second class being sigmoid(second score - first score).

    label_smoothing: share of the target that both classes get alike. Raises ValueError for scores of other than two classes."""

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
        # The power of an exact 0 has an infinite slope where gamma is below 1, and the gradient would be NaN.
        return -(miss.clamp(min=torch.finfo(miss.dtype).tiny) ** self.gamma) * log_p


class MAPCriterion(ImageLoss):
    """y_D + log(exp(-bound) + sum of exp(-y_i)), y_i = -score of class i a distance, D the true class (LeCun et al. 1998, equation 9).

    Cross-entropy beside a rubbish class at the distance `bound`: the true class is drawn nearer than that, others are pushed no
    further. Without it an image teaches nothing once its class is nearest by a little."""

    def __init__(self, bound: float, weight: Tensor | None = None) -> None:
        super().__init__(weight)
        self.bound = bound

    def of_images(self, scores: Tensor, labels: Tensor) -> Tensor:
        rubbish = scores.new_full((len(scores), 1), -self.bound)
        return F.cross_entropy(torch.cat([scores, rubbish], dim=1), labels, reduction="none")


def counted(loss: nn.Module, labels: Tensor) -> Tensor | int:
    """Return how much images of these labels, (B,), count in the mean that `loss` gives: each as one, or by its class's weight."""
    weight = getattr(loss, "weight", None)
    if weight is None or isinstance(loss, nn.MultiMarginLoss):  # torch divides that one by the images, whatever they count
        return len(labels)
    return weight[labels].sum()


def whole_loss(network: nn.Module, loss: nn.Module, answer: Any, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `network` answered as scores, (B, classes), their loss, and this with the losses of auxiliary heads.

    answer: the scores; or, of a network with such heads in training, (scores, *auxiliary scores), which count
    network.auxiliary_weight each."""
    scores, *auxiliary = answer if isinstance(answer, tuple) else (answer,)
    main = whole = loss(scores, labels)
    for other in auxiliary:
        whole = whole + network.auxiliary_weight * loss(other, labels)
    return scores, main, whole
