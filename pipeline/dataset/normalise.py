"""Pixel values → what a network expects, for a whole batch on its device: in training and wherever a network is used."""

from typing import Any

import torch
from torch import Tensor


def middle(images: Any, side: int | None) -> Any:
    """Return the middle square of (B, H, W, C), arrays or tensors; None: the whole."""
    if side is None:
        return images
    top, left = (images.shape[1] - side) // 2, (images.shape[2] - side) // 2
    return images[:, top : top + side, left : left + side]


def normalised(images: Tensor, mean: Tensor, std: Tensor, layout: str = "channels_last") -> Tensor:
    """Return (B, H, W, C) values of 0..255 as (B, C, H, W) of mean 0 and deviation 1, float32.

    layout: channels_last | contiguous, how they lie in memory. mean, std: (C,) of values of 0..1."""
    return scaled(images, scaling(mean, std, images.shape[2], layout), layout)


def scaling(mean: Tensor, std: Tensor, width: int, layout: str) -> tuple[Tensor, Tensor]:
    """Return what `scaled` takes from values of 0..255 and then multiplies them by: the same for all batches of one width."""
    shift, scale = mean.float() * 255, 1 / (std.float() * 255)  # (C,)
    if layout == "contiguous":
        return shift[:, None, None], scale[:, None, None]
    # Whole rows of pixels: along C alone would be loops of three values.
    return (shift, scale) if len(mean) == 1 else (shift.repeat(width), scale.repeat(width))


def scaled(images: Tensor, by: tuple[Tensor, Tensor], layout: str) -> Tensor:
    """Return (B, H, W, C) of bytes as (B, C, H, W) of floats. by: what `scaling` gives for their width and this layout."""
    shift, scale = by
    if layout == "contiguous":
        planes = images.permute(0, 3, 1, 2).contiguous()  # of bytes: a quarter of the memory that floats are
        return planes.to(torch.float32, copy=True).sub_(shift).mul_(scale)
    rows = images.flatten(2).to(torch.float32, copy=True)  # (B, H, W * C)
    return rows.sub_(shift).mul_(scale).unflatten(2, images.shape[2:]).permute(0, 3, 1, 2)
