"""JPEG and PNG beyond Pillow: decode a JPEG at a fraction of its size, and detect missing pixels.

Of the libjpeg bindings only simplejpeg raises libjpeg's warnings; OpenCV and Pillow silently fill missing pixels with gray."""

import re
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from pipeline.dataset.files import Refused

REDUCTIONS = (8, 4, 2)  # by which libjpeg shrinks while decoding, at less cost than the full size
MARGIN = 2  # a reduced image keeps this many pixels per final pixel and side; fewer would lose detail
SCAN = b"\xff\xda\x00"  # marker of a scan's header, and the high byte of its length
MOST_SCANS = 100  # a progressive photo has about 10; with hundreds, a few kilobytes keep libjpeg busy for minutes
SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # Pillow's mode → simplejpeg's colour space to decode to
DAMAGE = re.compile(r"premature end|bad (huffman|arithmetic) code|found marker|inconsistent progression", re.IGNORECASE)  # jerror.h

PNG_SIGNATURE = 8  # bytes before a PNG's first chunk, which is length, name, body, checksum, 4 bytes each but the body
DEPTH, KIND, INTERLACED = 24, 25, 28  # offsets of bytes in the first chunk
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type → samples per pixel
WHOLE = ((0, 0, 1, 1),)  # first column, first row, step right, step down
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def jpeg_pixels(data: bytes, image: Image.Image, channels: int, side: int | None, upright: bool) -> tuple[NDArray[np.uint8], int] | None:
    """Decode a JPEG to (H, W, channels) as stored; return the pixels and the reduction, 1, 2, 4 or 8, that keeps sides ≥ 2 * side.

    Returns None if it is not damaged but Pillow must decode it. Raises Refused for damaged pixels."""
    if "progressive" in image.info and data.count(SCAN) > MOST_SCANS:
        raise Refused(f"more than {MOST_SCANS} scans: no camera or program writes such a JPEG")
    width, height = image.size
    by = _reduction(width, height, side, upright)
    try:
        if image.mode not in SPACES or simplejpeg.decode_jpeg_header(data, strict=False)[:2] != (height, width):
            return None
        smallest = (-(-height // by), -(-width // by)) if by > 1 else (0, 0)
        pixels = simplejpeg.decode_jpeg(data, SPACES[image.mode], min_height=smallest[0], min_width=smallest[1], min_factor=by, strict=True)
    except ValueError as remark:
        if DAMAGE.search(str(remark)):
            raise Refused(f"damaged: {remark}") from remark
        return None
    if image.mode == "CMYK":  # Adobe stores the inverse, and so does everybody else
        inks = Image.frombuffer("CMYK", pixels.shape[1::-1], pixels.tobytes(), "raw", "CMYK;I", 0, 1)
        pixels = np.asarray(inks.convert("RGB"))
    return with_channels(pixels, channels), by


def _reduction(width: int, height: int, side: int | None, upright: bool) -> int:
    """Return the factor by which both sides are divided.

    If it does not divide a side, the last row or column covers fewer pixels. `geometry.fit` expects that at the bottom or the right,
    so an image to be turned is reduced only if it divides."""
    for by in REDUCTIONS:
        if side and min(width, height) // by >= MARGIN * side and (upright or width % by == height % by == 0):
            return by
    return 1


def with_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Convert (H, W, 1 or 3) to `channels`: gray is repeated, colour becomes the luma of ITU-R 601."""
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]


def require_all_rows(data: bytes, image: Image.Image) -> None:
    """Raise Refused for a loaded PNG with fewer rows than its header promises.

    Pillow leaves them black if the compressed data is valid but ends early."""
    last = np.asarray(image.crop((0, max(0, image.height - 2), *image.size)))  # the odd rows come last in an interlaced PNG
    if all(row.any() for row in last):
        return
    missing, inflate = _size(data, *image.size), zlib.decompressobj()
    for body in _bodies(data):
        missing -= len(inflate.decompress(body, missing))
        if not missing:
            return
    raise Refused("damaged: it holds fewer rows than its header promises")


def _size(data: bytes, width: int, height: int) -> int:
    """Return the size of all rows in bytes, each with its filter byte."""
    bits = data[DEPTH] * SAMPLES[data[KIND]]
    passes = [
        (-(-(width - left) // right), -(-(height - top) // down)) for left, top, right, down in (ADAM7 if data[INTERLACED] else WHOLE)
    ]
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in passes if columns > 0 and rows > 0)


def _bodies(data: bytes) -> Iterator[bytes]:
    """Yield the bodies of the IDAT chunks, the compressed rows."""
    place = PNG_SIGNATURE
    while place < len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4])
        if data[place + 4 : place + 8] == b"IDAT":
            yield data[place + 8 : end]
        place = end + 4
