"""Convolution, pooling and their sizes, small enough to follow by hand."""

from fractions import Fraction

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

Matrix = NDArray[np.float64]  # (H, W)


def correlate(image: ArrayLike, kernel: ArrayLike, stride: int = 1, padding: int = 0) -> Matrix:
    """Slide `kernel` over `image` and sum the products: what deep learning calls a convolution."""
    return F.conv2d(_batch(image), _batch(kernel), stride=stride, padding=padding)[0, 0].numpy()


def convolve(image: ArrayLike, kernel: ArrayLike) -> Matrix:
    """Convolve as mathematics does it: with the kernel turned by 180 degrees."""
    return correlate(image, np.rot90(np.asarray(kernel), 2).copy())


def pooled(image: ArrayLike, kind: str, window: int = 2) -> Matrix:
    """Pool by max, average, sum or L2 (the root of the sum of squares), in windows side by side."""
    maps = _batch(image)
    found = {
        "max": lambda: F.max_pool2d(maps, window),
        "average": lambda: F.avg_pool2d(maps, window),
        "sum": lambda: F.avg_pool2d(maps, window, divisor_override=1),
        "L2": lambda: F.lp_pool2d(maps, 2, window),
    }[kind]()
    return found[0, 0].numpy()


def output_size(width: int, kernel: int, padding: int, stride: int) -> Fraction:
    """Return (W - F + 2P) / S + 1; where it is no whole number, the windows do not fit and its whole part is what comes out."""
    return Fraction(width - kernel + 2 * padding, stride) + 1


def _batch(values: ArrayLike) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float64))[None, None]  # (1, 1, H, W)
