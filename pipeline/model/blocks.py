"""Layers that torch lacks, as the papers define them, and what several networks share."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.choices import require_above_zero


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
    """The sum of each window of a map."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__(kernel_size, stride, padding, divisor_override=1)


class L2Pool2d(nn.LPPool2d):
    """The square root of the sum of squares of each window of a map."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__(2, kernel_size, stride)
        self.padding = padding

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(F.pad(maps, [self.padding] * 4))


class Residual(nn.Module):
    """layers(x) + shortcut(x), which are of one shape (He et al., arXiv:1512.03385, equation 2)."""

    def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.layers, self.shortcut = layers, shortcut

    def forward(self, maps: Tensor) -> Tensor:
        return self.layers(maps) + self.shortcut(maps)


class Parallel(nn.Module):
    """The maps of all branches, one branch's after the other's (Szegedy et al., arXiv:1409.4842, figure 2).

    (B, C, H, W) -> (B, sum of the branches' C', H', W')"""

    def __init__(self, branches: dict[str, nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleDict(branches)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([branch(maps) for branch in self.branches.values()], dim=1)


class AgainstZero(nn.Module):
    """(B, 1) -> (B, 2): one output s as the scores 0 and s of two classes.

    The second's probability is then sigmoid(s), and cross-entropy is the binary cross-entropy of s."""

    def forward(self, outputs: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(outputs), outputs], dim=1)


class CappedConv2d(nn.Conv2d):
    """A convolution whose filters' root mean square is kept at `max_rms` or less (Zeiler and Fergus 2013, section 3)."""

    def __init__(self, *arguments: Any, max_rms: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        require_above_zero("max_rms", max_rms)
        self.max_rms = max_rms

    @torch.no_grad()
    def constrain(self) -> None:
        """Scale each filter that has grown too large back to `max_rms`."""
        rms = self.weight.pow(2).mean(dim=(1, 2, 3), keepdim=True).sqrt()
        self.weight.mul_((self.max_rms / rms).clamp(max=1))


def constrained(network: nn.Module) -> list[CappedConv2d]:
    """Return the layers that have a constraint and learn."""
    return [layer for layer in network.modules() if isinstance(layer, CappedConv2d) and layer.weight.requires_grad]


def constrain(network: nn.Module) -> None:
    """Hold the weights of every such layer; for after an optimizer step."""
    for layer in constrained(network):
        layer.constrain()


def add_layers(network: nn.Sequential, **layers: nn.Module | None) -> None:
    """Add layers under their names; None is left out."""
    for name, layer in layers.items():
        if layer is not None:
            network.add_module(name, layer)


def fully_connected(inputs: int, units: int, num_classes: int, dropout: float, drops_inputs: bool = False) -> dict[str, nn.Module]:
    """Return the last three layers of AlexNet, ZFNet and VGG, under these papers' names.

    dropout: share of the values set to 0, of what fc6 and fc7 give, or of what they get (drops_inputs)."""
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for number, width in ((6, inputs), (7, units)):
        drop = {f"drop{number}": nn.Dropout(dropout)}
        hidden = {f"fc{number}": nn.Linear(width, units), f"relu{number}": nn.ReLU()}
        layers |= drop | hidden if drops_inputs else hidden | drop
    return layers | {"fc8": nn.Linear(units, num_classes)}
