"""Pairs of a batch's images made one: mixup and cutmix, their chance a pure function of (seed, step)."""

import numpy as np
from torch import Tensor

MIXING = 1  # makes its stream another than that of the samples' order, which is keyed by (seed, epoch)


class Mixing:
    """Blends each image with its neighbour in the batch, or puts a patch of that one in; the order is random, and so are the pairs.

    mixup: alpha of Beta(alpha, alpha), from which the share of the first image is drawn (Zhang et al. 2018, arXiv:1710.09412).
    cutmix: the same for the share of the area (Yun et al. 2019, arXiv:1905.04899). None: not used. Both: either, by even chance."""

    def __init__(self, mixup: float | None, cutmix: float | None, seed: int) -> None:
        self.mixup = mixup
        self.cutmix = cutmix
        self.seed = seed

    def __call__(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor, float]:
        """Return mixed images, the neighbours' labels, and the share of an image's own label.

        The loss is share * loss(scores, labels) + (1 - share) * loss(scores, others).
        images: (B, C, H, W), normalised; they stay as they are. labels: (B,)."""
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
    """Return images with a patch of the others, and the share that is left: the patch ends where the image does."""
    height, width = images.shape[2:]
    (top, bottom), (left, right) = (_stretch(side, (1 - share) ** 0.5, chance) for side in (height, width))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _stretch(side: int, share: float, chance: np.random.Generator) -> tuple[int, int]:
    """Return first and last, exclusive, of a stretch of a share of the side, anywhere."""
    middle, length = int(chance.integers(side)), int(side * share)
    return max(0, middle - length // 2), min(side, middle - length // 2 + length)
