"""The images that excite each of a layer's units most, and where in them."""

from dataclasses import dataclass

import torch
from torch import Tensor

ROUNDING = 1e-4  # of a peak: places whose values differ by less are equal


@dataclass(frozen=True)
class Exciting:
    """For each unit the images that excite it most, the strongest first; all are (units, images)."""

    values: Tensor  # the unit's largest value in the image
    images: Tensor  # index of the image
    rows: Tensor  # of that value, in the unit's map; 0 of a fully connected unit
    columns: Tensor


def more_exciting(best: Exciting | None, outputs: Tensor, first: int, count: int) -> Exciting:
    """Return the `count` images, one place each, where units are largest, of those before and these.

    Of equal images it is the first, of equal places the one nearest the middle: at the edges a unit sees padding, too.

    best: of the images before; None: there were none. outputs: of units, (B, units), or (B, units, H, W), for images from number `first`
    on."""
    found = _peaks(outputs, first)
    return _largest(found if best is None else _joined(best, found), count)


def _peaks(outputs: Tensor, first: int) -> Exciting:
    """Return the peak of each unit in each image."""
    maps = outputs if outputs.ndim == 4 else outputs[:, :, None, None]
    height, width = maps.shape[2:]
    flat = maps.flatten(2)
    peaks = flat.max(dim=2, keepdim=True).values
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    from_middle = ((2 * rows - height + 1) ** 2 + (2 * columns - width + 1) ** 2).flatten().float()
    places = from_middle.expand_as(flat).masked_fill(flat < peaks - ROUNDING * peaks.abs(), torch.inf).argmin(dim=2)
    images = torch.arange(first, first + len(outputs)).expand(flat.shape[1], -1)
    return Exciting(peaks[:, :, 0].T, images, places.T // width, places.T % width)


def _joined(one: Exciting, other: Exciting) -> Exciting:
    return Exciting(*(torch.cat(pair, dim=1) for pair in zip(_parts(one), _parts(other), strict=True)))


def _largest(found: Exciting, count: int) -> Exciting:
    order = found.values.argsort(dim=1, descending=True, stable=True)[:, :count]
    return Exciting(*(part.gather(1, order) for part in _parts(found)))


def _parts(found: Exciting) -> tuple[Tensor, ...]:
    return found.values, found.images, found.rows, found.columns
