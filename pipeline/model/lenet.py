"""LeNet-5 of 1998, its usual modern variant, and the LeNet of the tutorials, with the paper's names of layers.

LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 86(11), 1998, section II-B;
Harley, "An Interactive Node-Link Visualization of Convolutional Neural Networks", ISVC 2015, which Karn's tutorial draws."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model.layers import ScaledTanh, add_border, add_layers
from pipeline.model.options import chosen, require_counts
from pipeline.model.tracing import output_shape

KERNEL, POOL = 5, 2  # pixels

# Table I: the maps of S2 that each map of C3 sees.
TABLE = (
    *("012", "123", "234", "345", "045", "015"),
    *("0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245", "0235"),
    "012345",
)

# Figure 3: the digits 0 to 9 on 7x12 pixels; a bar on top distinguishes some of them from letters.
DIGITS = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def bitmaps() -> Tensor:
    """Return the ten digits, (10, 84): row by row, 1 for ink and -1 for paper."""
    rows = DIGITS.split()
    return torch.tensor([[1.0 if pixel == "#" else -1.0 for row in rows[digit::10] for pixel in row] for digit in range(10)])


class TableConv2d(nn.Conv2d):
    """C3: (B, 6, H, W) -> (B, 16, H - 4, W - 4), each map connected to the input maps in TABLE: 60 kernels of 5x5, 16 biases.

    Missing connections are zeros of one dense convolution, 15 times as fast as a convolution per number of connections."""

    places: Tensor

    def __init__(self) -> None:
        super().__init__(6, len(TABLE), KERNEL)
        places = [seeing * 6 + int(seen) for seeing, maps in enumerate(TABLE) for seen in maps]
        self.weight = nn.Parameter(torch.empty(len(places), KERNEL, KERNEL))
        self.register_buffer("places", torch.tensor(places), persistent=False)  # indices of the connections among all 16 x 6
        for filters in self.filters():
            nn.init.kaiming_uniform_(filters, a=math.sqrt(5))  # torch's for any convolution

    def filters(self) -> list[Tensor]:
        """Return writable views of each map's weights, 16 of (1, connected maps, 5, 5)."""
        return [filters[None] for filters in self.weight.detach().split([len(maps) for maps in TABLE])]

    def forward(self, maps: Tensor) -> Tensor:
        dense = self.weight.new_zeros(len(TABLE) * 6, KERNEL, KERNEL).index_copy(0, self.places, self.weight)
        return F.conv2d(maps, dense.unflatten(0, (-1, 6)), self.bias)  # (B, 16, H - 4, W - 4)


class Subsampling(nn.AvgPool2d):
    """S2, S4: (B, C, H, W) -> (B, C, H / 2, W / 2), the sum of 2x2 pixels times the map's coefficient, plus its bias."""

    def __init__(self, channels: int) -> None:
        super().__init__(POOL, divisor_override=1)
        self.weight = nn.Parameter(torch.empty(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        init_as_paper(self.weight, POOL * POOL)

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(maps) * self.weight + self.bias  # (B, C, H / 2, W / 2)


class RBF(nn.Module):
    """(B, 84) -> (B, 10): negative squared distances from the digits' fixed bitmaps (Euclidean RBF units, equation 7).

    The paper's criterion for these scores, its equation 9, is loss=map_criterion."""

    bitmaps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bitmaps", bitmaps(), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        return -(values[:, None] - self.bitmaps).pow(2).sum(2)


CONNECTIONS = {"full": False, "table": True}
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "scaled_tanh": ScaledTanh}
POOLS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "average": nn.AvgPool2d, "trainable": Subsampling}
OUTPUTS = dict.fromkeys(("linear", "scaled_tanh", "rbf"))


class LeNet(nn.Sequential):
    """(B, C, H, W) -> (B, num_classes): C1, S2, C3, S4, C5, F6, output; at 32x32 the maps go 28, 14, 10, 5.

    C5's filters cover all of S4, so it is a linear layer. Images of 28 to 31 pixels are padded, as the paper's MNIST.
    Initialization: torch's with ReLU, the paper's (its appendix A) with the scaled tanh.
    Raises TooSmallError below 16x16, ValueError for incompatible options."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        image_size: int,
        filters: Sequence[int],
        units: Sequence[int],
        connections: str,
        activation: str,
        pooling: str,
        output: str,
    ) -> None:
        super().__init__()
        require_counts(2, filters=filters, units=units)
        (first, second), (hidden, last) = filters, units
        chosen("pooling", pooling, POOLS)
        chosen("activation", activation, ACTIVATIONS)
        chosen("output", output, OUTPUTS)
        if by_table := chosen("connections", connections, CONNECTIONS):
            _require_paper_filters(first, second)
        if output == "rbf":
            _require_digits(last, num_classes)
        self.activation, self.pooling = activation, pooling
        self.notes = add_border(self, image_size)
        self._add(1, "c1", nn.Conv2d(in_channels, first, KERNEL))
        self._add_pool(2, first)
        self._add(3, "c3", TableConv2d() if by_table else nn.Conv2d(first, second, KERNEL))
        self._add_pool(4, second)
        self.add_module("flatten", nn.Flatten())
        [inputs] = output_shape(self, (in_channels, image_size, image_size))
        self._add(5, "c5", nn.Linear(inputs, hidden))
        self._add(6, "f6", nn.Linear(hidden, last))
        self.add_module("output", RBF() if output == "rbf" else nn.Linear(last, num_classes))
        if output == "scaled_tanh":
            self.add_module("squashed", ScaledTanh())
        if activation == "scaled_tanh":
            self._init_as_paper()

    def _add(self, number: int, name: str, layer: nn.Module) -> None:
        add_layers(self, **{name: layer, f"{self.activation}{number}": ACTIVATIONS[self.activation]()})

    def _add_pool(self, number: int, channels: int) -> None:
        if self.pooling == "trainable":
            self._add(number, f"s{number}", Subsampling(channels))
        else:
            self.add_module(f"s{number}", POOLS[self.pooling](POOL))

    def _init_as_paper(self) -> None:
        for layer in self:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.zeros_(cast(Tensor, layer.bias))
                for weight in layer.filters() if isinstance(layer, TableConv2d) else [layer.weight]:
                    init_as_paper(weight, weight[0].numel())


def init_as_paper(weight: Tensor, fan_in: int) -> None:
    """Initialize to U(-2.4 / fan_in, 2.4 / fan_in), with the fan-in of one unit (LeCun et al. 1998, appendix A)."""
    nn.init.uniform_(weight, -2.4 / fan_in, 2.4 / fan_in)


def _require_paper_filters(first: int, second: int) -> None:
    if (first, second) != (6, len(TABLE)):
        raise ValueError(f"filters must be [6, 16] where connections is table, which is the paper's; but they are [{first}, {second}]")


def _require_digits(units: int, num_classes: int) -> None:
    if (units, num_classes) != (84, 10):
        raise ValueError(
            "output rbf compares 84 units with 7x12 bitmaps of the ten digits: it takes 10 classes and 84 as the last of units, "
            f"but there are {num_classes} classes and {units} units; choose model=lenet5_softmax or model.output=linear"
        )
