"""Weight initialization by its authors' names, and which layers are a network's heads.

All values are drawn by torch.nn.init, so that a dry run can skip them."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from pipeline.model.lenet import RBF
from pipeline.model.options import check_options, chosen, options_of

INITIALIZED = (nn.Conv2d, nn.Linear)


def normal(weight: Tensor, std: float = 0.01) -> None:
    """N(0, std²); 0.01 is AlexNet's (Krizhevsky et al. 2012, section 5)."""
    nn.init.normal_(weight, std=std)


def he(weight: Tensor) -> None:
    """N(0, 2 / fan_in), for ReLU (He et al., arXiv:1502.01852)."""
    nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="relu")


def he_fan_out(weight: Tensor) -> None:
    """N(0, 2 / fan_out): `he` for the backward pass; torchvision's for ResNets."""
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def xavier(weight: Tensor) -> None:
    """U(-b, b) with b = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16)."""
    nn.init.xavier_uniform_(weight)


def lecun(weight: Tensor) -> None:
    """N(0, 1 / fan_in), for tanh (LeCun et al. 1998b, "Efficient BackProp", section 4.6)."""
    nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="linear")


def zeros(weight: Tensor) -> None:
    """All 0: every filter gets the same gradient, so the symmetry never breaks. For demonstration."""
    nn.init.zeros_(weight)


INITIALIZERS: dict[str, Callable[..., None]] = {rule.__name__: rule for rule in (he, he_fan_out, xavier, lecun, normal, zeros)}


def init_weights(layers: nn.Module, rule: Callable[[Tensor], None], bias: float = 0.0) -> None:
    """Initialize the weights of all convolutions and linear layers in `layers`, itself included, by `rule`, their biases to `bias`."""
    for layer in layers.modules():
        if isinstance(layer, INITIALIZED):
            rule(layer.weight)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, bias)


def read_init(key: str, init: str | Mapping[str, Any]) -> Callable[[nn.Module], None]:
    """Return the initializer for a config's `he`, or {kind: normal, std: 0.05, bias: 0.1}.

    Raises ValueError with the key for an unknown rule or option."""
    options: dict[str, Any] = dict(init) if isinstance(init, Mapping) else {"kind": init}
    kind = options.pop("kind", None)
    rule = chosen(f"{key}.kind" if isinstance(init, Mapping) else key, kind, INITIALIZERS)
    check_options(key, str(kind), options, options_of(rule, reserved=("weight",)) | {"bias": False})
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{key}.{option} must be a number, but it is {value!r}")
    bias = options.pop("bias", 0.0)
    return partial(init_weights, rule=partial(rule, **options), bias=bias)


AUXILIARY = r"aux\w*"  # modules that score in training only (GoogLeNet)


def heads_of(network: nn.Module) -> list[str]:
    """Return the names of the output layers: the last one with weights, of the network and of each auxiliary classifier.

    A network that ends with RBF has no head: its scores are distances from fixed bitmaps."""
    last = {}
    for name, layer in network.named_modules():
        if isinstance(layer, INITIALIZED):
            last[name.partition(".")[0] if is_auxiliary(name) else ""] = name
        elif isinstance(layer, RBF):
            last.clear()
    return list(last.values())


def is_auxiliary(name: str) -> bool:
    """Return whether a dotted name belongs to an auxiliary classifier."""
    return re.match(rf"{AUXILIARY}\.", name) is not None
