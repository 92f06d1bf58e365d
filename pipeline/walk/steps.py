"""What the page can compute: for each layer and function of torch the step that it becomes.

The functions here are named after their step and take torch's parameters, so that a call in a network's `forward` and a module translate
alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Pair = int | Sequence[int]


@dataclass(frozen=True)
class Source:
    """A value that depends on the image: the output of a step."""

    step: int
    shape: tuple[int, ...]  # of one image: (C, H, W), or (features,)


@dataclass(frozen=True)
class Made:
    """How a step makes its output."""

    op: str  # a function of page/operations.js
    inputs: Sequence[Source]
    options: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


Translated = Made | Source  # a source: nothing is done to the value


class UnsupportedError(Exception):
    """The page lacks something that a network computes; the text names it."""


def conv(
    input: Source,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Made:
    """Convolution; what lies outside of the maps counts as zero."""
    spread = _pair(dilation)
    if padding == "same":  # torch puts the odd row and column at the lower right
        padding = [step * (side - 1) // 2 for step, side in zip(spread, weight.shape[2:], strict=True)]
    elif padding == "valid":
        padding = 0
    options = {"stride": _pair(stride), "padding": _pair(padding), "dilation": spread, "groups": groups}
    return Made("conv", [input], options, _present(weight=weight, bias=bias))


def linear(input: Source, weight: Tensor, bias: Tensor | None = None) -> Made:
    """Fully connected layer."""
    _require(len(input.shape) == 1, "a linear layer of maps")
    return Made("linear", [input], {}, _present(weight=weight, bias=bias))


def max_pool(
    input: Source,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Made:
    """Max pooling."""
    _require(_pair(dilation) == [1, 1] and not return_indices, "max pooling with dilation or indices")
    return Made("max_pool", [input], _window(kernel_size, stride, padding))


def average_pool(
    input: Source,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Made:
    """Average pooling; a divisor of 1 makes it a sum."""
    options = _window(kernel_size, stride, padding)
    return Made("average_pool", [input], options | {"padded": count_include_pad, "divisor": divisor_override})


def lp_pool(input: Source, norm_type: float, kernel_size: Pair, stride: Pair | None = None, ceil_mode: bool = False) -> Made:
    """Pooling by the root of the sum of powers."""
    return Made("lp_pool", [input], _window(kernel_size, stride, 0) | {"power": norm_type})


def adaptive_average_pool(input: Source, output_size: object) -> Made:
    """Average pooling to a given size."""
    return Made("adaptive_average_pool", [input])


def adaptive_max_pool(input: Source, output_size: object, return_indices: bool = False) -> Made:
    """Max pooling to a given size."""
    return Made("adaptive_max_pool", [input])


def mean(input: Source, dim: Pair, keepdim: bool = False) -> Made:
    """Mean of each map."""
    _require(sorted(axis % 4 for axis in _pair(dim)) == [2, 3] and len(input.shape) == 3, "a mean over other axes than height and width")
    return Made("adaptive_average_pool", [input])


def batch_norm(
    input: Source,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Made:
    """Batch norm by the mean and variance of training."""
    _require(running_mean is not None and not training, "batch norm by the statistics of its batch")
    return Made("batch_norm", [input], {"eps": eps}, _present(mean=running_mean, variance=running_var, weight=weight, bias=bias))


def group_norm(input: Source, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Made:
    """Group norm."""
    return Made("group_norm", [input], {"groups": num_groups, "eps": eps}, _present(weight=weight, bias=bias))


def local_response_norm(input: Source, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Made:
    """Local response norm over neighbouring maps."""
    return Made("local_response_norm", [input], {"neighbours": size, "alpha": alpha, "beta": beta, "k": k})


def activation(function: str, **fixed: float) -> Callable[..., Made]:
    """Return the translation of an activation to a function of `ACTIVATIONS` in page/operations.js."""

    def translate(input: Source, *_: object, **__: object) -> Made:
        return Made("activation", [input], {"function": function, **fixed})

    return translate


def elu(input: Source, alpha: float = 1.0, inplace: bool = False) -> Made:
    """ELU."""
    return Made("activation", [input], {"function": "elu", "alpha": alpha})


def leaky_relu(input: Source, negative_slope: float = 0.01, inplace: bool = False) -> Made:
    """Leaky ReLU."""
    return Made("activation", [input], {"function": "leaky_relu", "slope": negative_slope})


def gelu(input: Source, approximate: str = "none") -> Made:
    """GELU."""
    _require(approximate == "none", f"GELU with approximate={approximate}")
    return Made("activation", [input], {"function": "gelu"})


def unchanged(input: Source, *_: object, **__: object) -> Source:
    """Dropout and whatever else does nothing when a network predicts."""
    return input


def flatten(input: Source, *_: object, **__: object) -> Translated:
    """All values in one row."""
    return Made("flatten", [input]) if len(input.shape) > 1 else input


def pad(input: Source, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Made:
    """A border; of zeros also around the channels."""
    _require(mode in ("constant", "replicate") and not value, f"padding by {mode} {value}")
    left, _, top, _, front, _ = (*pad, *(0,) * 6)[:6]
    return Made("pad", [input], {"before": [front, top, left], "mode": mode})


def concat(tensors: Sequence[Source], dim: int = 0) -> Made:
    """The maps of several steps, one after the other."""
    _require(dim == 1 and all(isinstance(each, Source) for each in tensors), "a concatenation with constants, or not of maps")
    return Made("concat", tensors)


def add(input: Source | Tensor | float, other: Source | Tensor | float, alpha: float = 1) -> Made:
    """The sum of two steps, or with constants."""
    if isinstance(input, Source) and isinstance(other, Source):
        _require(input.shape == other.shape and alpha == 1, f"a sum of {input.shape} and {other.shape}")
        return Made("add", [input, other])
    value, constant = (input, other) if isinstance(input, Source) else (other, input)
    return _affine(value, 1.0, constant)


def subtract(input: Source, other: Tensor | float) -> Made:
    """A constant less."""
    _require(isinstance(input, Source) and not isinstance(other, Source), "a difference of two layers")
    return _affine(input, 1.0, -other)


def multiply(input: Source | Tensor | float, other: Source | Tensor | float) -> Made:
    """A constant times."""
    _require(not (isinstance(input, Source) and isinstance(other, Source)), "a product of two layers")
    value, constant = (input, other) if isinstance(input, Source) else (other, input)
    return _affine(value, constant, 0.0)


def divide(input: Source, other: Tensor | float) -> Made:
    """Divided by a constant."""
    _require(isinstance(input, Source) and not isinstance(other, Source), "a quotient of two layers")
    return _affine(input, 1 / other, 0.0)


def _affine(value: Any, scale: Any, shift: Any) -> Made:
    """scale · x + shift, each a number or one per map."""
    per_map = {name: each for name, each in {"scale": scale, "shift": shift}.items() if isinstance(each, Tensor) and each.numel() > 1}
    numbers = {name: float(each) for name, each in {"scale": scale, "shift": shift}.items() if name not in per_map}
    _require(all(each.numel() == value.shape[0] == max(each.shape) for each in per_map.values()), "a constant for each pixel")
    return Made("affine", [value], numbers, {name: each.flatten() for name, each in per_map.items()})


def _window(kernel: Pair, stride: Pair | None, padding: Pair) -> dict[str, Any]:
    return {"kernel": _pair(kernel), "stride": _pair(kernel if stride in (None, []) else stride), "padding": _pair(padding)}


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [int(each) for each in value]


def _present(**tensors: Tensor | None) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise UnsupportedError(what)
