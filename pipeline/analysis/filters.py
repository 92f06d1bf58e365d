"""What a network's first layer looks for: its filters as images."""

import math

import numpy as np
from numpy.typing import NDArray
from torch import nn


def first_convolution(network: nn.Module) -> nn.Conv2d | None:
    return next((layer for layer in network.modules() if isinstance(layer, nn.Conv2d)), None)


def filter_mosaic(layer: nn.Conv2d) -> NDArray[np.float32]:
    """Return the filters as one near-square picture, (rows, columns) or (rows, columns, 3), values in [0, 1].

    One scale for all filters: 0.5 is a weight of 0, so light adds and dark subtracts, and strong filters look strong.
    Filters of three channels are shown in colour, others by the mean over their channels."""
    weight = layer.weight.detach().cpu().numpy()  # (out, in, kh, kw)
    tiles = weight.transpose(0, 2, 3, 1) if weight.shape[1] == 3 else weight.mean(axis=1)[..., None]  # (out, kh, kw, c)
    largest = float(np.abs(tiles).max()) or 1.0
    count, height, width, channels = tiles.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    picture = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), np.float32)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        picture[top : top + height, left : left + width] = 0.5 + tile / (2 * largest)
    return picture.squeeze(axis=2) if channels == 1 else picture
