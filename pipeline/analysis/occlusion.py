"""What a network's answer loses when a part of the image is covered (Zeiler and Fergus, arXiv:1311.2901, section 4.2 and figure 7)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.model.forward_pass import hooked

Map = NDArray[np.float32]  # (rows, columns): a value per place of the square

BATCH = 64  # covered images at once


@dataclass(frozen=True)
class Occlusion:
    """What remains with the square at each place: the three maps of figure 7."""

    activation: Map | None  # (b) sum of the layer's map that is the strongest without the square; None: there is no such layer
    probability: Map  # (d) of the class
    predicted: NDArray[np.int64]  # (e) the most probable class


def occlusion(network: nn.Module, image: Tensor, target: int, layer: nn.Module | None, side: int, stride: int) -> Occlusion:
    """Cover a normalised image (1, C, H, W) with a square of the training images' mean colour, place by place, and look at the answers.

    The square's middle stands in the middle of each block of `stride` x `stride` pixels, so the maps cover the image; at the border a part
    of it lies outside. layer: whose maps are looked at; side, stride: in pixels."""
    rows, columns = (range(stride // 2, pixels, stride) for pixels in image.shape[2:])
    places = list(product(rows, columns))
    seen: list[Tensor] = []
    with hooked({} if layer is None else {"layer": layer}, after=lambda _, maps: seen.append(maps.sum(dim=(2, 3)))), torch.inference_mode():
        network(image)
        strongest = int(seen.pop().argmax()) if seen else None
        probabilities = torch.cat([network(covered).softmax(dim=1) for covered in _covered(image, places, side)])  # (places, classes)
    shape = (len(rows), len(columns))
    return Occlusion(
        torch.cat(seen)[:, strongest].reshape(shape).numpy() if seen else None,
        probabilities[:, target].reshape(shape).numpy(),
        probabilities.argmax(dim=1).reshape(shape).numpy(),
    )


def _covered(image: Tensor, places: list[tuple[int, int]], side: int) -> Iterator[Tensor]:
    """Yield batches of the image covered at each place, the middle of the square."""
    for start in range(0, len(places), BATCH):
        several = places[start : start + BATCH]
        images = image.repeat(len(several), 1, 1, 1)
        for covered, (row, column) in zip(images, several, strict=True):
            top, left = row - side // 2, column - side // 2
            covered[:, max(0, top) : top + side, max(0, left) : left + side] = 0
        yield images
