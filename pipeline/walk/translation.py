"""torch's modules, functions and methods → the functions of steps.py."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from pipeline.model.layers import AgainstZero, ScaledTanh
from pipeline.model.lenet import RBF
from pipeline.walk import steps
from pipeline.walk.steps import Made, Source, Translated

Translate = Callable[..., Translated]


def _conv(layer: nn.Conv2d, maps: Source) -> Made:
    if layer.padding_mode != "zeros":
        return steps.pad(maps, (), layer.padding_mode, 1)  # refused there
    return steps.conv(maps, layer.weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def _max_pool(layer: nn.MaxPool2d, maps: Source) -> Made:
    return steps.max_pool(maps, layer.kernel_size, layer.stride, layer.padding, layer.dilation)


def _average_pool(layer: nn.AvgPool2d, maps: Source) -> Made:
    options = (layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode, layer.count_include_pad, layer.divisor_override)
    return steps.average_pool(maps, *options)


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d, values: Source) -> Made:
    mean: Any = layer.running_mean
    variance: Any = layer.running_var
    return steps.batch_norm(values, mean, variance, layer.weight, layer.bias, eps=layer.eps)


def _scaled_tanh(layer: ScaledTanh, values: Source) -> Made:
    return Made("activation", [values], {"function": "scaled_tanh", "amplitude": layer.AMPLITUDE, "slope": layer.SLOPE})


def _leaving(translate: Translate) -> Translate:
    """Return the translation of a module without options."""
    return lambda layer, *values: translate(*values)


MODULES: dict[type[nn.Module], Translate] = {
    nn.Conv2d: _conv,
    nn.Linear: lambda layer, values: steps.linear(values, layer.weight, layer.bias),
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _average_pool,
    nn.LPPool2d: lambda layer, maps: steps.lp_pool(maps, layer.norm_type, layer.kernel_size, layer.stride),
    nn.AdaptiveAvgPool2d: lambda layer, maps: steps.adaptive_average_pool(maps, layer.output_size),
    nn.AdaptiveMaxPool2d: lambda layer, maps: steps.adaptive_max_pool(maps, layer.output_size),
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.GroupNorm: lambda layer, maps: steps.group_norm(maps, layer.num_groups, layer.weight, layer.bias, layer.eps),
    nn.LocalResponseNorm: lambda layer, maps: steps.local_response_norm(maps, layer.size, layer.alpha, layer.beta, layer.k),
    nn.ReLU: _leaving(steps.activation("relu")),
    nn.ELU: lambda layer, values: steps.elu(values, layer.alpha),
    nn.LeakyReLU: lambda layer, values: steps.leaky_relu(values, layer.negative_slope),
    nn.GELU: lambda layer, values: steps.gelu(values, layer.approximate),
    nn.SiLU: _leaving(steps.activation("silu")),
    nn.Tanh: _leaving(steps.activation("tanh")),
    nn.Sigmoid: _leaving(steps.activation("sigmoid")),
    ScaledTanh: _scaled_tanh,
    nn.Flatten: _leaving(steps.flatten),
    nn.Identity: _leaving(steps.unchanged),
    nn.Dropout: _leaving(steps.unchanged),
    nn.Dropout2d: _leaving(steps.unchanged),
    nn.ReplicationPad2d: lambda layer, maps: steps.pad(maps, layer.padding, "replicate"),
    nn.ZeroPad2d: lambda layer, maps: steps.pad(maps, layer.padding),
    RBF: lambda layer, values: Made("rbf", [values], {}, {"centres": layer.bitmaps}),
    AgainstZero: lambda layer, values: Made("against_zero", [values]),
}

FUNCTIONS: dict[Any, Translate] = {
    F.conv2d: steps.conv,
    F.linear: steps.linear,
    F.max_pool2d: steps.max_pool,
    F.avg_pool2d: steps.average_pool,
    F.lp_pool2d: steps.lp_pool,
    F.adaptive_avg_pool2d: steps.adaptive_average_pool,
    F.adaptive_max_pool2d: steps.adaptive_max_pool,
    F.batch_norm: steps.batch_norm,
    F.group_norm: steps.group_norm,
    F.local_response_norm: steps.local_response_norm,
    F.pad: steps.pad,
    F.dropout: steps.unchanged,
    F.elu: steps.elu,
    F.leaky_relu: steps.leaky_relu,
    F.gelu: steps.gelu,
    **dict.fromkeys((F.relu, torch.relu, "relu", "relu_"), steps.activation("relu")),
    **dict.fromkeys((F.tanh, torch.tanh, "tanh"), steps.activation("tanh")),
    **dict.fromkeys((F.sigmoid, torch.sigmoid, "sigmoid"), steps.activation("sigmoid")),
    F.silu: steps.activation("silu"),
    **dict.fromkeys((torch.flatten, "flatten", "view", "reshape"), steps.flatten),
    "contiguous": steps.unchanged,
    **dict.fromkeys((torch.mean, "mean"), steps.mean),
    torch.cat: steps.concat,
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), steps.add),
    **dict.fromkeys((operator.sub, torch.sub, "sub"), steps.subtract),
    **dict.fromkeys((operator.mul, torch.mul, "mul"), steps.multiply),
    **dict.fromkeys((operator.truediv, torch.div, "div"), steps.divide),
}


def translation_of(layer: nn.Module) -> Translate | None:
    """Return how a module translates as a whole; None: what its `forward` calls has to be looked at."""
    for kind in type(layer).__mro__:
        if kind in MODULES:
            return MODULES[kind]
        if "forward" in vars(kind):
            return None  # a subclass that computes something else
    return None
