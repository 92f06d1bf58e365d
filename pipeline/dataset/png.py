"""Whether a PNG holds all its rows: Pillow leaves black what compressed data that ends early, but in good order, does not reach."""

import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from pipeline.dataset.refused import Refused

SIGNATURE = 8  # bytes before the first chunk, which is length, name, body, checksum: all but the body take 4
DEPTH, KIND, INTERLACED = 24, 25, 28  # where the first chunk says so
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type → numbers per pixel
WHOLE = ((0, 0, 1, 1),)  # first column, first row, step right, step down
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def require_all_rows(data: bytes, image: Image.Image) -> None:
    """Raises Refused for a loaded PNG whose rows are fewer than its header promises."""
    last = np.asarray(image.crop((0, max(0, image.height - 2), *image.size)))  # of an interlaced picture the odd rows come last
    if all(row.any() for row in last):
        return
    missing, inflate = _size(data, *image.size), zlib.decompressobj()
    for body in _bodies(data):
        missing -= len(inflate.decompress(body, missing))
        if not missing:
            return
    raise Refused("damaged: it holds fewer rows than its header promises")


def _size(data: bytes, width: int, height: int) -> int:
    """Return how many bytes the rows have, each with its filter byte."""
    bits = data[DEPTH] * SAMPLES[data[KIND]]
    passes = [
        (-(-(width - left) // right), -(-(height - top) // down)) for left, top, right, down in (ADAM7 if data[INTERLACED] else WHOLE)
    ]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in passes if columns > 0 and rows > 0)


def _bodies(data: bytes) -> Iterator[bytes]:
    """Yield the parts of the compressed rows."""
    place = SIGNATURE
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            yield data[place + 8 : end]
        place = end + 4
