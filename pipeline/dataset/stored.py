"""An image file → the square that the network is given: one way for the images that it learns from and for those that it is asked about."""

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import Decode
from pipeline.dataset.decode import Decoded, decode
from pipeline.dataset.square import fit


def stored(data: bytes, channels: int, how: Decode, size: int, method: str) -> tuple[NDArray[np.uint8], Decoded]:
    """Return a file's pixels, (size, size, channels), and the picture that they were made of. Raises what `decode` does."""
    picture = decode(data, channels, how, size)
    return fit(picture.pixels, size, method, picture.extent), picture
