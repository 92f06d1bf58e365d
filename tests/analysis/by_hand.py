"""A small network worked out number by number in NumPy, forwards and back, without autograd or torch's operations.

conv 3x3, ReLU, max pooling 3x3 / 2 (whose windows overlap), conv 3x3 with padding, ReLU, linear."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

Values = NDArray[np.float64]

POOL, STRIDE = 3, 2


def network(seed: int = 0) -> nn.Sequential:
    """Return the same network in torch, for images (B, 2, 11, 11), in double precision."""
    torch.manual_seed(seed)
    layers = nn.Sequential()
    layers.add_module("conv1", nn.Conv2d(2, 4, 3))
    layers.add_module("relu1", nn.ReLU())
    layers.add_module("pool", nn.MaxPool2d(POOL, STRIDE))
    layers.add_module("conv2", nn.Conv2d(4, 5, 3, padding=1))
    nn.init.constant_(layers.conv2.bias, 0.2)  # so that each map is above 0 somewhere
    layers.add_module("relu2", nn.ReLU())
    layers.add_module("flatten", nn.Flatten())
    layers.add_module("scores", nn.Linear(5 * 4 * 4, 3))
    return layers.double().eval()


def conv(maps: Values, weight: Values, bias: Values, padding: int) -> Values:
    """maps: (in, H, W); weight: (out, in, 3, 3)."""
    maps = np.pad(maps, ((0, 0), (padding, padding), (padding, padding)))
    high, wide = (side - 2 for side in maps.shape[1:])
    found = np.zeros((len(weight), high, wide))
    for o, y, x in product(range(len(weight)), range(high), range(wide)):
        found[o, y, x] = (weight[o] * maps[:, y : y + 3, x : x + 3]).sum() + bias[o]
    return found


def conv_back(above: Values, weight: Values, padding: int) -> Values:
    """Spread each value over what its filter saw, times the filter."""
    below = np.zeros((weight.shape[1], above.shape[1] + 2, above.shape[2] + 2))
    for o, y, x in product(*map(range, above.shape)):
        below[:, y : y + 3, x : x + 3] += above[o, y, x] * weight[o]
    return below[:, padding : below.shape[1] - padding, padding : below.shape[2] - padding]


def pool(maps: Values) -> tuple[Values, dict[tuple[int, int, int], tuple[int, int]]]:
    """Return the maxima and the switches: place of the maximum in the map → for each output."""
    side = (maps.shape[1] - POOL) // STRIDE + 1
    found, switches = np.zeros((len(maps), side, side)), {}
    for c, y, x in product(range(len(maps)), range(side), range(side)):
        part = maps[c, STRIDE * y : STRIDE * y + POOL, STRIDE * x : STRIDE * x + POOL]
        dy, dx = np.unravel_index(part.argmax(), part.shape)
        found[c, y, x], switches[c, y, x] = part.max(), (STRIDE * y + int(dy), STRIDE * x + int(dx))
    return found, switches


@dataclass
class Pass:
    """What the layers of the network make of one image (2, 11, 11)."""

    conv1: Values
    relu1: Values
    pool: Values
    switches: dict[tuple[int, int, int], tuple[int, int]]
    conv2: Values
    relu2: Values
    scores: Values


def weights(layers: nn.Sequential, name: str) -> tuple[Values, Values]:
    layer = layers.get_submodule(name)
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def forward(layers: nn.Sequential, image: Values) -> Pass:
    conv1 = conv(image, *weights(layers, "conv1"), padding=0)
    relu1 = np.maximum(conv1, 0)
    pooled, switches = pool(relu1)
    conv2 = conv(pooled, *weights(layers, "conv2"), padding=1)
    relu2 = np.maximum(conv2, 0)
    weight, bias = weights(layers, "scores")
    return Pass(conv1, relu1, pooled, switches, conv2, relu2, weight @ relu2.ravel() + bias)


def relu_back(above: Values, before: Values, rule: str) -> Values:
    """R = (f > 0) R, and by guided backprop (f > 0) (R > 0) R, by the deconvnet (R > 0) R (Springenberg et al. 2014, figure 1)."""
    through = {"chain": before > 0, "guided": (before > 0) & (above > 0), "deconvnet": above > 0}[rule]
    return np.where(through, above, 0)


def back_from_relu2(layers: nn.Sequential, seen: Pass, above: Values, rule: str) -> Values:
    """Return what comes back to the image from values in the place of relu2's maps."""
    below = conv_back(relu_back(above, seen.conv2, rule), weights(layers, "conv2")[0], padding=1)
    unpooled = np.zeros_like(seen.relu1)
    for (c, y, x), (row, column) in seen.switches.items():
        unpooled[c, row, column] += below[c, y, x]  # a maximum that several windows share gets what all of them bring
    return conv_back(relu_back(unpooled, seen.conv1, rule), weights(layers, "conv1")[0], padding=0)


def back_from_score(layers: nn.Sequential, seen: Pass, target: int, rule: str) -> Values:
    return back_from_relu2(layers, seen, weights(layers, "scores")[0][target].reshape(seen.relu2.shape), rule)


def image(seed: int = 0) -> Values:
    return np.random.default_rng(seed).normal(size=(2, 11, 11))


def batch(*images: Values) -> torch.Tensor:
    return torch.from_numpy(np.stack(images))
