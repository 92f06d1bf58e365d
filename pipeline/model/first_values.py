"""First values of weights, by the names of their authors. All are drawn by torch.nn.init, so a check can leave them out."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from pipeline.model.choices import check_options, chosen, options_of

WEIGHTED = (nn.Conv2d, nn.Linear)


def normal(weight: Tensor, std: float = 0.01) -> None:
    """N(0, std); 0.01 is AlexNet's (Krizhevsky et al. 2012, section 5)."""
    nn.init.normal_(weight, std=std)


def he(weight: Tensor) -> None:
    """N(0, sqrt(2 / fan_in)), for ReLU (He et al., arXiv:1502.01852)."""
    nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="relu")


def he_fan_out(weight: Tensor) -> None:
    """N(0, sqrt(2 / fan_out)): as `he`, for the gradients on their way back; torchvision's for ResNets."""
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


def xavier(weight: Tensor) -> None:
    """U(-b, b) with b = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16)."""
    nn.init.xavier_uniform_(weight)


def lecun(weight: Tensor) -> None:
    """N(0, sqrt(1 / fan_in)), for tanh (LeCun et al. 1998b, "Efficient BackProp", section 4.6)."""
    nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="linear")


def zeros(weight: Tensor) -> None:
    """All 0: every filter gets the same gradient, so none learns anything of its own. To see that."""
    nn.init.zeros_(weight)


FIRST_VALUES: dict[str, Callable[..., None]] = {rule.__name__: rule for rule in (he, he_fan_out, xavier, lecun, normal, zeros)}


def set_first_values(layers: nn.Module, rule: Callable[[Tensor], None], bias: float = 0.0) -> None:
    """Draw the weights of all convolutions and linear layers below `layers` (or of it) by `rule`; set their biases to `bias`."""
    for layer in layers.modules():
        if isinstance(layer, WEIGHTED):
            rule(layer.weight)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, bias)


def read_first_values(key: str, given: str | Mapping[str, Any]) -> Callable[[nn.Module], None]:
    """Return what draws first values as a config says: `he`, or {kind: normal, std: 0.05, bias: 0.1}.

    Raises ValueError with the key for a rule or an option that there is not."""
    options: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {"kind": given}
    kind = options.pop("kind", None)
    rule = chosen(f"{key}.kind" if isinstance(given, Mapping) else key, kind, FIRST_VALUES)
    check_options(key, str(kind), options, options_of(rule, given=("weight",)) | {"bias": False})
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{key}.{option} must be a number, but it is {value!r}")
    bias = options.pop("bias", 0.0)
    return partial(set_first_values, rule=partial(rule, **options), bias=bias)
