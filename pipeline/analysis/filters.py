"""What a network's first layer looks for: its filters as images."""

import math

import numpy as np
from numpy.typing import NDArray

LIMIT = 2  # times the largest weight before training: few weights of a first layer outgrow it
PIXELS = 512  # of a picture's shorter side, or more; MLflow's thumbnail blurs what is below 256


def colour_limit(first: NDArray[np.float32]) -> float:
    """Return the weight that is shown in full white or, negative, in full black, in every picture of one training.

    first: (out, in, kh, kw), the filters before training, which are there when the first picture is drawn."""
    return LIMIT * largest(first)


def largest(weight: NDArray[np.float32]) -> float:
    """Return the largest weight in a mosaic, without its sign, or 1 where all are 0. weight: (out, in, kh, kw)."""
    return float(np.abs(_tiles(weight)).max()) or 1.0


def filter_mosaic(weight: NDArray[np.float32], limit: float) -> NDArray[np.float32]:
    """Return filters as one near-square picture, (rows, columns) or (rows, columns, 3), values in [0, 1].

    weight: (out, in, kh, kw). limit: the weight shown in full; 0.5 is a weight of 0, so light adds and dark subtracts.
    Filters of three channels are shown in colour, others by the mean over their channels."""
    tiles = np.clip(0.5 + _tiles(weight) / (2 * limit), 0, 1)
    count, height, width, channels = tiles.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    picture = np.ones((rows * (height + 1) + 1, columns * (width + 1) + 1, channels), np.float32)
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        picture[top : top + height, left : left + width] = tile
    return picture.squeeze(axis=2) if channels == 1 else picture


def enlarged(picture: NDArray[np.float32], least: int) -> NDArray[np.uint8]:
    """Return a picture of [0, 1] as uint8 whose shorter side has `least` pixels or more, each weight a sharp square."""
    factor = math.ceil(least / min(picture.shape[:2]))
    return np.rint(255 * picture).astype(np.uint8).repeat(factor, axis=0).repeat(factor, axis=1)


def frames(count: int, kept: int, most: int) -> list[int]:
    """Return which of `count` pictures in time to show, `most` or fewer: the first, the kept one, the last, others evenly between."""
    if count <= most:
        return list(range(count))
    shown = np.linspace(0, count - 1, most).round().astype(int)
    if kept not in shown:
        shown[1 + np.abs(shown[1:-1] - kept).argmin()] = kept
    return [int(step) for step in shown]


def moved(first: NDArray[np.float32], weight: NDArray[np.float32]) -> float:
    """Return how far the weights have come from the first ones, as a share of these ones' length. Both (out, in, kh, kw)."""
    return float(np.linalg.norm(weight - first) / (np.linalg.norm(first) or 1))


def _tiles(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (out, kh, kw, 3), or (out, kh, kw, 1) where the channels are no colours."""
    return weight.transpose(0, 2, 3, 1) if weight.shape[1] == 3 else weight.mean(axis=1)[..., None]
