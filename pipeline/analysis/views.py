"""Several views of each image, whose scores are averaged: test-time augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor  # the predict command reads VIEWS, and its --help need not wait for torch

    Scores = Callable[[Tensor], Tensor]  # (B, H, W, C) -> (B, classes), before the softmax

PLAIN, MIRROR, MIRROR_SHIFT = "plain", "mirror", "mirror_shift"
VIEWS = (PLAIN, MIRROR, MIRROR_SHIFT)


def averaged_scores(scores: Scores, images: Tensor, views: str) -> Tensor:
    """Return (B, classes): the mean over views of the scores before the softmax, for (B, H, W, C) images.

    mirror: the image and its mirror image. mirror_shift: half of that, and half of the same for the image moved by one pixel,
    as much up and left as down and right, its edge filled by reflection: six views, of weights 1/4, 1/4 and four times 1/8
    (Jordan, arXiv:2404.00498, multi-crop evaluation; the rule of its code). Whole images are moved, before their middle is cut out."""
    if views == PLAIN:
        return scores(images)
    if views == MIRROR:
        return (scores(images) + scores(images.flip(2))) / 2
    if views != MIRROR_SHIFT:
        raise ValueError(f"views is {views!r}, expected one of {', '.join(VIEWS)}")
    still, up, down = (averaged_scores(scores, view, MIRROR) for view in (images, _moved(images, 1), _moved(images, -1)))
    return still / 2 + (up + down) / 4


def _moved(images: Tensor, by: int) -> Tensor:
    """Move (B, H, W, C) images up and left by so many pixels; below 0: down and right. Reflection leaves out the edge itself."""
    height, width = images.shape[1:3]
    return images[:, _reflected(height, by)][:, :, _reflected(width, by)]


def _reflected(size: int, by: int) -> list[int]:
    """Return which pixel of a row of `size` comes to each place."""
    last = size - 1
    return [last - abs(last - abs(place + by)) for place in range(size)]
