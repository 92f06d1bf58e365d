"""Mixup and CutMix on whole batches; the random draws are a pure function of (seed, step)."""

import numpy as np
from torch import Tensor

MIXING = 1  # separates this random stream from that of the sample order, which is keyed by (seed, epoch)


class Mixing:
    """Blends each image with its neighbour in the batch, or pastes a patch of it; batches are shuffled, so pairs are random.

    mixup: alpha of the Beta(alpha, alpha) from which an image's own share is drawn (Zhang et al. 2018, arXiv:1710.09412).
    cutmix: the same for the share of the area (Yun et al. 2019, arXiv:1905.04899). None: off. With both, a batch gets either
    with probability 0.5."""

    def __init__(self, mixup: float | None, cutmix: float | None, seed: int) -> None:
        self.mixup = mixup
        self.cutmix = cutmix
        self.seed = seed

    def __call__(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor, float]:
        """Return mixed images, (B, C, H, W), the labels mixed in, (B,), and the share of an image's own label, 0..1.

        The loss is share * loss(scores, labels) + (1 - share) * loss(scores, others).
        images: (B, C, H, W), normalised; not modified. labels: (B,)."""
        chance = np.random.default_rng([self.seed, step, MIXING])
        is_blended = self.mixup is not None and (self.cutmix is None or chance.random() < 0.5)
        alpha = self.mixup if is_blended else self.cutmix
        if alpha is None:
            return images, labels, 1.0
        share = float(chance.beta(alpha, alpha))
        others = images.roll(1, 0)
        if is_blended:
            return others.lerp_(images, share), labels.roll(1), share
        mixed, share = _patched(images, others, share, chance)
        return mixed, labels.roll(1), share


def _patched(images: Tensor, others: Tensor, share: float, chance: np.random.Generator) -> tuple[Tensor, float]:
    """Paste a patch of the others, clipped at the border; return the images and the share of the area that is left."""
    height, width = images.shape[2:]
    (top, bottom), (left, right) = (_stretch(side, (1 - share) ** 0.5, chance) for side in (height, width))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _stretch(side: int, share: float, chance: np.random.Generator) -> tuple[int, int]:
    """Return start and end (exclusive) of a randomly placed stretch of a side, clipped to it."""
    middle, length = int(chance.integers(side)), int(side * share)
    return max(0, middle - length // 2), min(side, middle - length // 2 + length)
