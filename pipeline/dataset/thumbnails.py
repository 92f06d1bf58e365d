"""Small pictures for a page, each in the proportions of its photo."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.config.schema import Decode
from pipeline.dataset.decode import decode
from pipeline.dataset.items import Item
from pipeline.dataset.refused import Refused
from pipeline.dataset.remains import remains
from pipeline.dataset.square import Extent, scaled

SIDE = 96  # pixels, the longer side
GAP = 4  # white pixels between the images of a strip


def thumbnail(item: Item, channels: int, how: Decode) -> Image.Image | None:
    """Return an item's picture, the longer side of SIDE pixels or fewer; None where its file has gone since."""
    if isinstance(item.content, np.ndarray):
        pixels = item.content.reshape(*item.content.shape[:2], -1)
        return _picture(fitted(pixels, pixels.shape[:2]))
    try:
        found = decode(item.content.read_bytes(), channels, how, SIDE)
    except Refused:
        return None
    return _picture(fitted(found.pixels, found.extent))


def thumbnail_of_remains(item: Item) -> Image.Image | None:
    """Return what can still be seen of a refused file."""
    try:
        return None if isinstance(item.content, np.ndarray) else remains(item.content.read_bytes(), SIDE)
    except Refused:
        return None


def strip(images: NDArray[np.uint8]) -> Image.Image:
    """Return square images (n, S, S, C) side by side, each of about SIDE pixels."""
    shown = [fitted(image, image.shape[:2]) for image in images]
    framed = [np.pad(image, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for image in shown]
    return _picture(np.concatenate(framed, axis=1)[:, :-GAP])


def fitted(pixels: NDArray[np.uint8], extent: Extent, longest: int = SIDE) -> NDArray[np.uint8]:
    """Bring (H, W, C) to a longer side of `longest` pixels in its proportions; a smaller picture to the largest whole multiple.

    extent: height and width that the pixels stand for."""
    longer = max(extent)
    if longer > longest:
        height, width = (max(1, round(side * longest / longer)) for side in extent)
        return scaled(pixels, height, width, extent)
    factor = longest // max(pixels.shape[:2])
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def uri(picture: Image.Image) -> str:
    """Return a picture as a data URI."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels.squeeze(axis=2) if pixels.shape[2] == 1 else pixels)
