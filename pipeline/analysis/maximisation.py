"""Images that a unit likes, made from noise by gradient ascent (Yosinski et al., "Understanding neural networks through deep
visualization", arXiv:1506.06579).

The steps and numbers are those of the authors' toolbox, doc/running-optimize-image in yosinski/deep-visualization-toolbox, where the
four sets are called those of the paper's Table 1. They hold for pixels of 0..255, so that is what is changed here, and for one network,
whose gradients are larger or smaller than another's: rates are rescaled by them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from pipeline.analysis.gradients import Unit, input_gradient

NOISE = 10  # standard deviation of the first image around the mean, of 0..255
AUTHORS = 2 / 100  # squared norm of a gradient with which their rate of 100 makes the progress of 2 per step that they want beside it


@dataclass(frozen=True)
class Regularisers:
    """What keeps the image natural, applied to the pixels less their mean after each step but the last."""

    steps: int
    rate: float  # of the gradient, in the authors' network; at most this, with `progress`
    progress: float | None = None  # of the unit's value per step, as predicted by the gradient; None: always `rate`
    decay: float = 0.0  # share by which the pixels shrink
    blur: float = 0.0  # pixels, standard deviation; 0: none
    blur_every: int = 4  # steps
    small_norm: float = 0.0  # percentile: pixels with a norm below it, over their channels, become the mean
    small_contribution: float = 0.0  # percentile: likewise by |pixel x gradient|, summed over channels


TABLE_1 = (
    Regularisers(500, 100, progress=2, blur=0.5, small_norm=50),
    Regularisers(750, 100, decay=0.3, small_norm=20),
    Regularisers(1000, 100, decay=1e-4, blur=1.0),  # of most figures in the paper
    Regularisers(1000, 1e8, progress=2, blur=0.5, small_contribution=90),
)


def maximised(
    network: nn.Module,
    unit: Unit,
    count: int,
    size: int,
    mean: Tensor,
    std: Tensor,
    by: Regularisers,
    seed: int = 0,
    tell: Callable[[int], None] = lambda steps: None,
) -> Tensor:
    """Return `count` images, 0..255, (count, C, size, size), that excite the unit, or each its own unit.

    mean, std: (C,) of pixels of 0..1, by which the network's images are normalised. seed: of the first images. tell: called after each
    step, with 1."""
    mean, std = (values.float()[:, None, None] * 255 for values in (mean, std))
    images = _within_range(NOISE * torch.randn(count, len(mean), size, size, generator=torch.Generator().manual_seed(seed)), mean)
    scale = AUTHORS / _squared(input_gradient(network, images / std, unit) / std)
    for step in range(by.steps - 1):  # in the last, the authors change nothing
        gradient = input_gradient(network, images / std, unit) / std  # by pixels of 0..255
        moved = images + _rate(gradient, scale * by.rate, by.progress) * gradient
        images = _within_range(_regularised(moved, gradient, by, step), mean)
        tell(1)
    return images + mean


def _within_range(images: Tensor, mean: Tensor) -> Tensor:
    return (images + mean).clamp(0, 255) - mean


def _rate(gradient: Tensor, most: Tensor, progress: float | None) -> Tensor:
    """Return the rate of each image, (B, 1, 1, 1); 0 if its unit has no gradient, as that of a dead one."""
    squared = _squared(gradient)
    rate = most if progress is None else (progress / squared).minimum(most)
    return torch.where(squared > 0, rate, 0).nan_to_num(posinf=0)


def _squared(gradient: Tensor) -> Tensor:
    """Return the squared norm of each image's gradient, (B, 1, 1, 1)."""
    return gradient.square().sum(dim=(1, 2, 3), keepdim=True)


def _regularised(images: Tensor, gradient: Tensor, by: Regularisers, step: int) -> Tensor:
    """Return images, less their mean, (B, C, H, W), that a step along the gradient has made."""
    images = images * (1 - by.decay)
    if by.blur and step % by.blur_every == 0:
        images = torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, by.blur, by.blur)))
    images = images * _above(images.norm(dim=1), by.small_norm)
    return images * _above((images * gradient).sum(dim=1).abs(), by.small_contribution)


def _above(sizes: Tensor, percentile: float) -> Tensor:
    """Return whether each pixel's size, (B, H, W), reaches a percentile of its image: (B, 1, H, W)."""
    limits = sizes.flatten(1).quantile(percentile / 100, dim=1)
    return (sizes >= limits[:, None, None])[:, None]
