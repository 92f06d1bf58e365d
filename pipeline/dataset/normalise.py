"""Pixel values → what a network expects, for a whole batch on its device: in training and wherever a network is used."""

from torch import Tensor


def normalised(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return (B, H, W, C) values of 0..255 as (B, C, H, W) of mean 0 and deviation 1, laid out channels-last."""
    return ((images.float() / 255 - mean) / std).permute(0, 3, 1, 2)
