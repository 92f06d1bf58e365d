"""Convolution, pooling and their sizes, small enough to follow by hand."""

from fractions import Fraction

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.layers import L2Pool2d, SumPool2d

Matrix = NDArray[np.float64]  # (H, W)

POOLS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d, "sum": SumPool2d, "L2": L2Pool2d}


def correlate(image: ArrayLike, kernel: ArrayLike, stride: int = 1, padding: int = 0) -> Matrix:
    """Slide `kernel` over `image` and sum the products: what deep learning calls a convolution."""
    return F.conv2d(_batch(image), _batch(kernel), stride=stride, padding=padding)[0, 0].numpy()


def convolve(image: ArrayLike, kernel: ArrayLike) -> Matrix:
    """Convolve as mathematics does it: with the kernel turned by 180 degrees."""
    return correlate(image, np.rot90(np.asarray(kernel), 2).copy())


def pooled(image: ArrayLike, kind: str, window: int = 2) -> Matrix:
    """Pool by max, average, sum or L2 (the root of the sum of squares), in windows side by side."""
    return POOLS[kind](window)(_batch(image))[0, 0].numpy()


def output_size(width: int, kernel: int, padding: int, stride: int) -> Fraction:
    """Return (W - F + 2P) / S + 1; where it is no whole number, the windows do not fit and its whole part is what comes out."""
    return Fraction(width - kernel + 2 * padding, stride) + 1


def _batch(values: ArrayLike) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float64))[None, None]  # (1, 1, H, W)
