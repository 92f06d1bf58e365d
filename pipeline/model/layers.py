"""Layers that torch lacks, as the papers define them, and the kinds of layers of a CNN written in YAML."""

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.options import require_positive
from pipeline.model.tracing import Shape

BORDERED, BORDERED_TO = range(28, 32), 32  # pixels: MNIST's 28x28 is just below the 32x32 that LeNet and five poolings need


class LocalResponseNorm(nn.LocalResponseNorm):
    """b = a / (k + alpha sum a^2)^beta, the sum over `size` neighbouring maps (Krizhevsky et al. 2012, section 3.3).

    torch and Caffe divide alpha by `size`; this takes the paper's."""

    def __init__(self, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> None:
        super().__init__(size, alpha * size, beta, k)


class ScaledTanh(nn.Tanh):
    """1.7159 tanh(2/3 x), which maps -1 and 1 to themselves (LeCun et al. 1998, appendix A)."""

    AMPLITUDE, SLOPE = 1.7159, 2 / 3

    def forward(self, values: Tensor) -> Tensor:
        return self.AMPLITUDE * super().forward(self.SLOPE * values)


class SumPool2d(nn.AvgPool2d):
    """Sum pooling: (B, C, H, W) -> (B, C, H', W')."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__(kernel_size, stride, padding, divisor_override=1)


class L2Pool2d(nn.LPPool2d):
    """L2 pooling, the square root of the sum of squares: (B, C, H, W) -> (B, C, H', W'). Unlike torch's LPPool2d, with padding."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__(2, kernel_size, stride)
        self.padding = padding

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(F.pad(maps, [self.padding] * 4))


class Residual(nn.Module):
    """layers(x) + shortcut(x), of equal shapes (He et al., arXiv:1512.03385, equation 2)."""

    def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.layers, self.shortcut = layers, shortcut

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps) + self.shortcut(maps)


class Parallel(nn.Module):
    """The maps of all branches, concatenated (Szegedy et al., arXiv:1409.4842, figure 2).

    (B, C, H, W) -> (B, sum of the branches' C', H', W')"""

    def __init__(self, branches: dict[str, nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches.values()], dim=1)


class AgainstZero(nn.Module):
    """(B, 1) -> (B, 2): one output s becomes the scores 0 and s of two classes.

    The second's probability is then sigmoid(s), and cross-entropy is the binary cross-entropy of s."""

    def forward(self, outputs: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(outputs), outputs], dim=1)


class CappedConv2d(nn.Conv2d):
    """A convolution whose filters keep a root mean square of at most `max_rms` (Zeiler and Fergus 2013, section 3)."""

    def __init__(self, *arguments: Any, max_rms: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        require_positive(max_rms=max_rms)
        self.max_rms = max_rms

    @torch.no_grad()
    def constrain(self) -> None:
        """Rescale the filters that exceed `max_rms`."""
        rms = self.weight.pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        self.weight.mul_((self.max_rms / rms).clamp(max=1))


def constrained(network: nn.Module) -> list[CappedConv2d]:
    """Return the trainable layers with a constraint on their weights."""
    return [layer for layer in network.modules() if isinstance(layer, CappedConv2d) and layer.weight.requires_grad]


def constrain(network: nn.Module) -> None:
    """Enforce the constraints on weights, after each optimizer step."""
    for layer in constrained(network):
        layer.constrain()


def named(**layers: nn.Module | None) -> nn.Sequential:
    """Return a sequence of named layers, without those that are None."""
    return nn.Sequential(OrderedDict((name, layer) for name, layer in layers.items() if layer is not None))


def add_layers(network: nn.Sequential, **layers: nn.Module | None) -> None:
    """Append named layers, except those that are None."""
    for name, layer in named(**layers).named_children():
        network.add_module(name, layer)


def add_border(network: nn.Sequential, image_size: int) -> list[str]:
    """Pad images of a BORDERED size to 32x32 by replicating their edges; return the notes about it."""
    if image_size not in BORDERED:
        return []
    before = (BORDERED_TO - image_size) // 2
    after = BORDERED_TO - image_size - before
    network.add_module("border", nn.ReplicationPad2d((before, after, before, after)))
    return [f"images of {image_size}x{image_size} pixels are padded to {BORDERED_TO}x{BORDERED_TO} by replicating their edges"]


MakeLayer = Callable[..., nn.Module]  # (input shape, **options) → layer; the shape is (C, H, W), or (features,) after a linear entry


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
    """Return `filters` filters of `kernel` x `kernel`.

    padding: valid (none), same (maps keep their size), full (kernel - 1), or a number of pixels. groups: of maps, each with its own
    filters. max_rms: largest root mean square of a filter (ZFNet's constraint)."""
    make = nn.Conv2d if max_rms is None else partial(CappedConv2d, max_rms=max_rms)
    made = partial(make, shape[0], filters, kernel, stride, dilation=dilation, groups=groups, bias=bias)
    reach = dilation * (kernel - 1)  # pixels from a filter's first to its last
    if padding == "same" and stride == 1 and reach % 2:  # one more at the lower right, as torch does with a warning
        border = nn.ZeroPad2d((reach // 2, reach - reach // 2) * 2)
        return nn.Sequential(OrderedDict(padding=border, conv=made()))
    return made(padding=reach if padding == "full" else padding)


def linear(shape: Shape, units: int, bias: bool = True) -> nn.Module:
    """Return a fully connected layer of `units` outputs."""
    return nn.Linear(shape[0], units, bias)


def leaky_relu(shape: Shape, slope: float) -> nn.Module:
    """slope: of negative values; 0.01 in Maas, Hannun and Ng 2013."""
    return nn.LeakyReLU(slope)


def batch_norm(shape: Shape) -> nn.Module:
    """Return batch norm of maps, or of features after a linear entry."""
    return nn.BatchNorm2d(shape[0]) if len(shape) == 3 else nn.BatchNorm1d(shape[0])


def group_norm(shape: Shape, groups: int) -> nn.Module:
    """groups: of maps, each normalised by its own mean and deviation. Raises ValueError if a group is a single value."""
    if math.prod(shape) == groups:
        raise ValueError(f"normalises one value by itself in each of {groups} groups, which leaves nothing; give fewer groups")
    return nn.GroupNorm(groups, shape[0])


def local_response_norm(shape: Shape, neighbours: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> nn.Module:
    """a / (k + alpha sum a^2)^beta, summed over `neighbours` maps; the defaults are AlexNet's."""
    return LocalResponseNorm(neighbours, alpha, beta, k)


def dropout(shape: Shape, rate: float) -> nn.Module:
    """rate: share of values set to 0 in training."""
    return nn.Dropout(rate)


def dropout2d(shape: Shape, rate: float) -> nn.Module:
    """rate: share of whole maps set to 0 in training."""
    return nn.Dropout2d(rate)


def against_zero(shape: Shape) -> nn.Module:
    """Return the head that turns one output into the scores of two classes: (1,) -> (2,)."""
    if shape != (1,):
        raise ValueError(f"takes one value of an image, but gets {shape}; put {{kind: linear, units: 1}} before it")
    return AgainstZero()


def _without_options(layer: Callable[[], nn.Module]) -> MakeLayer:
    def make(shape: Shape) -> nn.Module:
        return layer()

    return make


def _pooling(pool: MakeLayer) -> MakeLayer:
    """stride: pixels between windows; null: the kernel, without overlap. Averages include the zeros of the padding."""

    def make(shape: Shape, kernel: int, stride: int | None = None, padding: int = 0) -> nn.Module:
        return pool(kernel, stride, padding)

    return make


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "scaled_tanh": ScaledTanh,
    "sigmoid": nn.Sigmoid,
}
POOLINGS: dict[str, MakeLayer] = {
    "max_pool": _pooling(nn.MaxPool2d),
    "average_pool": _pooling(nn.AvgPool2d),
    "sum_pool": _pooling(SumPool2d),
    "l2_pool": _pooling(L2Pool2d),
    "global_average_pool": _without_options(partial(nn.AdaptiveAvgPool2d, 1)),  # (C, H, W) -> (C, 1, 1)
    "global_max_pool": _without_options(partial(nn.AdaptiveMaxPool2d, 1)),
}
OTHERS = (leaky_relu, batch_norm, group_norm, local_response_norm, dropout, dropout2d, linear, against_zero)

KINDS: dict[str, MakeLayer] = {
    "conv": conv,
    **{kind: _without_options(layer) for kind, layer in ACTIVATIONS.items()},
    **POOLINGS,
    **{make.__name__: make for make in OTHERS},
}
MAP_KINDS = {"conv", *POOLINGS, "local_response_norm", "dropout2d"}  # kinds that take (C, H, W) alone
