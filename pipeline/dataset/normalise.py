"""Pixel values → what a network expects, for a whole batch on its device: in training and wherever a network is used."""

from typing import Any

from torch import Tensor


def middle(images: Any, side: int | None) -> Any:
    """Return the middle square of (B, H, W, C), arrays or tensors; None: the whole."""
    if side is None:
        return images
    top, left = (images.shape[1] - side) // 2, (images.shape[2] - side) // 2
    return images[:, top : top + side, left : left + side]


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return (B, H, W, C) values of 0..255 as (B, C, H, W) of mean 0 and deviation 1, laid out channels-last."""
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)
