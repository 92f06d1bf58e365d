"""A JPEG's pixels by libjpeg-turbo, at a half, a quarter or an eighth of its size where that is enough.

simplejpeg is the one that reports what libjpeg only remarks upon: OpenCV and Pillow fill what is missing with gray and say nothing."""

import re

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from pipeline.dataset.refused import Refused

REDUCTIONS = (8, 4, 2)  # libjpeg decodes at these parts of the size with fewer steps, not more
MARGIN = 2  # a reduced picture keeps at least so many pixels for each pixel wanted: below, fine detail would be lost
SCAN = b"\xff\xda\x00"  # marker and length of a scan's header
MOST_SCANS = 100  # a progressive photo has some 10; hundreds take libjpeg minutes for a file of a few kilobytes
SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # Pillow's name of what the file holds → simplejpeg's of what to make
DAMAGE = re.compile(r"premature end|bad (huffman|arithmetic) code|found marker|inconsistent progression", re.IGNORECASE)  # jerror.h


def jpeg_pixels(data: bytes, image: Image.Image, channels: int, side: int | None, upright: bool) -> tuple[NDArray[np.uint8], int] | None:
    """Return (H, W, channels) as stored and the reduction: 1, or 2, 4, 8 where both sides stay at least 2 * side.

    None: nothing is known to be missing, but Pillow must decode it. Raises Refused for damaged pixels."""
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
    return _in_channels(pixels, image.mode, channels), by


def _reduction(width: int, height: int, side: int | None, upright: bool) -> int:
    """Return by how much both sides are divided. A side that does not divide leaves a last row or column that stands for fewer pixels:

    it belongs at the bottom or the right, so such a picture is not reduced where it must be turned."""
    for by in REDUCTIONS:
        if side and min(width, height) // by >= MARGIN * side and (upright or width % by == height % by == 0):
            return by
    return 1


def _in_channels(pixels: NDArray[np.uint8], mode: str, channels: int) -> NDArray[np.uint8]:
    if mode == "CMYK":  # Adobe stores the inverse, and so does everybody since
        inks = Image.frombuffer("CMYK", pixels.shape[1::-1], pixels.tobytes(), "raw", "CMYK;I", 0, 1)
        pixels = np.asarray(inks.convert("RGB"))
    if channels == 1:
        return pixels if pixels.shape[2] == 1 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
