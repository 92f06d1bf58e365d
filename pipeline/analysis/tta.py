"""Test-time augmentation: average the scores of several views of each image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor  # for the --help of predict, which need not import torch

    Scores = Callable[[Tensor], Tensor]  # (B, H, W, C) -> (B, classes), before the softmax

PLAIN, MIRROR, MIRROR_SHIFT = "plain", "mirror", "mirror_shift"
TTA = (PLAIN, MIRROR, MIRROR_SHIFT)


def averaged_scores(scores: Scores, images: Tensor, tta: str) -> Tensor:
    """Return the mean logits over views: (B, H, W, C) images → (B, classes).

    mirror: the image and its mirror image. mirror_shift: these with weight 1/4 each, and with weight 1/8 each the same for the image
    shifted by one pixel up and left, and down and right, padded by reflection: six views (Jordan, arXiv:2404.00498, multi-crop
    evaluation, as in its code). Images are shifted before the centre crop. Raises ValueError for any other `tta`."""
    if tta == PLAIN:
        return scores(images)
    if tta == MIRROR:
        return (scores(images) + scores(images.flip(2))) / 2
    if tta != MIRROR_SHIFT:
        raise ValueError(f"tta is {tta!r}, expected one of {', '.join(TTA)}")
    still, up, down = (averaged_scores(scores, view, MIRROR) for view in (images, _shifted(images, 1), _shifted(images, -1)))
    return still / 2 + (up + down) / 4


def _shifted(images: Tensor, by: int) -> Tensor:
    """Shift (B, H, W, C) images up and left by `by` pixels (negative: down and right), padding by reflection without the edge."""
    height, width = images.shape[1:3]
    return images[:, _reflected(height, by)][:, :, _reflected(width, by)]


def _reflected(size: int, by: int) -> list[int]:
    """Return the source pixel of each pixel in a row of `size`."""
    last = size - 1
    return [last - abs(last - abs(place + by)) for place in range(size)]
