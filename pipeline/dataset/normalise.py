"""Normalise a batch of pixels on its device, in training and inference alike."""

from typing import Any

import torch
from torch import Tensor


def middle(images: Any, side: int | None) -> Any:
    """Return the centre crop of (B, H, W, C), array or tensor. side: pixels, height = width; None: whole images."""
    if side is None:
        return images
    top, left = (images.shape[1] - side) // 2, (images.shape[2] - side) // 2
    return images[:, top : top + side, left : left + side]


def normalised(images: Tensor, mean: Tensor, std: Tensor, layout: str = "channels_last") -> Tensor:
    """Normalise (B, H, W, C) values of 0..255 to (B, C, H, W) float32 of mean 0 and standard deviation 1.

    mean, std: (C,), for values of 0..1. layout: of the result in memory, channels_last or contiguous."""
    return scaled(images, scaling(mean, std, images.shape[2], layout), layout)


def scaling(mean: Tensor, std: Tensor, width: int, layout: str) -> tuple[Tensor, Tensor]:
    """Return the shift and scale that `scaled` applies to batches of one width, in pixels."""
    shift, scale = mean.float() * 255, 1 / (std.float() * 255)  # (C,)
    if layout == "contiguous":
        return shift[:, None, None], scale[:, None, None]
    # For whole rows of pixels, as broadcasting along C alone would loop over three values.
    return (shift, scale) if len(mean) == 1 else (shift.repeat(width), scale.repeat(width))


def scaled(images: Tensor, by: tuple[Tensor, Tensor], layout: str) -> Tensor:
    """Return (B, H, W, C) bytes as normalised (B, C, H, W) floats. by: from `scaling`, for their width and this layout."""
    shift, scale = by
    if layout == "contiguous":
        planes = images.permute(0, 3, 1, 2).contiguous()  # as bytes: a quarter of the memory of floats
        return planes.to(torch.float32, copy=True).sub_(shift).mul_(scale)
    rows = images.flatten(2).to(torch.float32, copy=True)  # (B, H, W * C)
    return rows.sub_(shift).mul_(scale).unflatten(2, images.shape[2:]).permute(0, 3, 1, 2)
