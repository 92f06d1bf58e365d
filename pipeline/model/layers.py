"""The kinds of layers of a CNN written in YAML: a function for each, from the shape that comes in and its options to the layer."""

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from torch import nn

from pipeline.model.blocks import AgainstZero, CappedConv2d, L2Pool2d, LocalResponseNorm, ScaledTanh, SumPool2d

Shape = tuple[int, ...]  # of one image: (C, H, W), or (features,) after the first linear entry


def conv(
    shape: Shape,
    filters: int,
    kernel: int,
    stride: int = 1,
    padding: int | str = "valid",
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    max_rms: float | None = None,
) -> nn.Module:
    """`kernel` x `kernel` filters.

    padding: valid (none), same (the maps keep their size), full (wherever a filter touches the maps), or a number of pixels.
    groups: parts of the maps, each with filters of its own. max_rms: the largest root mean square of a filter (ZFNet's constraint)."""
    make = nn.Conv2d if max_rms is None else partial(CappedConv2d, max_rms=max_rms)
    made = partial(make, shape[0], filters, kernel, stride, dilation=dilation, groups=groups, bias=bias)
    reach = dilation * (kernel - 1)  # pixels from the first that a filter sees to the last
    if padding == "same" and stride == 1 and reach % 2:  # one more at the lower right, as torch does with a warning
        border = nn.ZeroPad2d((reach // 2, reach - reach // 2) * 2)
        return nn.Sequential(OrderedDict(padding=border, conv=made()))
    return made(padding=reach if padding == "full" else padding)


def linear(shape: Shape, units: int, bias: bool = True) -> nn.Module:
    return nn.Linear(shape[0], units, bias)


def relu(shape: Shape) -> nn.Module:
    return nn.ReLU()


def leaky_relu(shape: Shape, slope: float) -> nn.Module:
    """slope: of negative values; 0.01 in Maas, Hannun and Ng 2013."""
    return nn.LeakyReLU(slope)


def elu(shape: Shape) -> nn.Module:
    return nn.ELU()


def gelu(shape: Shape) -> nn.Module:
    return nn.GELU()


def silu(shape: Shape) -> nn.Module:
    return nn.SiLU()


def tanh(shape: Shape) -> nn.Module:
    return nn.Tanh()


def scaled_tanh(shape: Shape) -> nn.Module:
    return ScaledTanh()


def sigmoid(shape: Shape) -> nn.Module:
    return nn.Sigmoid()


def max_pool(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    """stride: pixels between windows; the kernel, so that they do not overlap, where it is not given."""
    return nn.MaxPool2d(kernel, stride, padding)


def average_pool(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    """As `max_pool`; the zeros of the padding count as values."""
    return nn.AvgPool2d(kernel, stride, padding)


def sum_pool(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    return SumPool2d(kernel, stride, padding)


def l2_pool(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
    return L2Pool2d(kernel, stride, padding)


def global_average_pool(shape: Shape) -> nn.Module:
    """(C, H, W) -> (C, 1, 1)"""
    return nn.AdaptiveAvgPool2d(1)


def global_max_pool(shape: Shape) -> nn.Module:
    """(C, H, W) -> (C, 1, 1)"""
    return nn.AdaptiveMaxPool2d(1)


def batch_norm(shape: Shape) -> nn.Module:
    return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])


def group_norm(shape: Shape, groups: int) -> nn.Module:
    """groups: parts of the maps, each normalised by its own mean and deviation."""
    if math.prod(shape) == groups:
        raise ValueError(f"normalises one value by itself in each of {groups} groups, which leaves nothing; give fewer groups")
    return nn.GroupNorm(groups, shape[0])


def local_response_norm(shape: Shape, neighbours: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> nn.Module:
    """a / (k + alpha sum a^2)^beta over so many neighbouring maps; the values of AlexNet's paper where none are given."""
    return LocalResponseNorm(neighbours, alpha, beta, k)


def dropout(shape: Shape, rate: float) -> nn.Module:
    """rate: share of values set to 0 in training."""
    return nn.Dropout(rate)


def dropout2d(shape: Shape, rate: float) -> nn.Module:
    """rate: share of maps set to 0 as a whole in training."""
    return nn.Dropout2d(rate)


def against_zero(shape: Shape) -> nn.Module:
    """The one-output form of two classes: (1,) -> (2,)."""
    if shape != (1,):
        raise ValueError(f"takes one value of an image, but gets {shape}; put {{kind: linear, units: 1}} before it")
    return AgainstZero()


ACTIVATIONS = (relu, leaky_relu, elu, gelu, silu, tanh, scaled_tanh, sigmoid)
POOLINGS = (max_pool, average_pool, sum_pool, l2_pool, global_average_pool, global_max_pool)
OTHERS = (batch_norm, group_norm, local_response_norm, dropout, dropout2d, linear, against_zero)

KINDS: dict[str, Callable[..., nn.Module]] = {make.__name__: make for make in (conv, *ACTIVATIONS, *POOLINGS, *OTHERS)}

OF_MAPS = {make.__name__ for make in (conv, *POOLINGS, local_response_norm, dropout2d)}  # what (features,) is nothing for
