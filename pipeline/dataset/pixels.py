"""A picture that Pillow has opened → uint8 (H, W, channels): 8 bits per channel, on a background, gray or colour."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from pipeline.config.schema import Decode
from pipeline.dataset.png import DEPTH, require_all_rows
from pipeline.dataset.refused import Refused

UNSIGNED = {1, 4}  # TIFF's sample formats: whole numbers, undefined
WHITE_IS_ZERO = 0  # TIFF's photometric interpretation


def pillow_pixels(data: bytes, image: Image.Image, channels: int, how: Decode) -> NDArray[np.uint8]:
    """Return (H, W, channels), turned only where Pillow does so itself (TIFF).

    Raises Refused for numbers of no known range, for 16 bits where they are not wanted, and for a PNG without all its rows."""
    depth = _depth(data, image)
    _require_known_range(image, depth)
    if depth > 8 and how.sixteen_bit == "refuse":
        raise Refused(f"{depth} bits per channel, which decode.sixteen_bit=refuse keeps out")
    image.load()
    if image.format == "PNG":
        require_all_rows(data, image)
    flat = _on_background(_in_bytes(image, depth), how.background)
    mode = "L" if channels == 1 else "RGB"
    pixels = np.asarray(flat if flat.mode == mode else flat.convert(mode))
    return pixels.reshape(*pixels.shape[:2], channels)


def _depth(data: bytes, image: Image.Image) -> int:
    """Return the bits per channel in the file; of 16, Pillow hands out the high byte for colours and all for gray."""
    if image.format == "PNG":
        return data[DEPTH]
    if isinstance(image, TiffImageFile):
        return int(max(image.tag_v2.get(BITSPERSAMPLE, (1,))))
    return 16 if image.mode == "I" else 8  # a PGM of up to 65535


def _require_known_range(image: Image.Image, depth: int) -> None:
    signed = isinstance(image, TiffImageFile) and not UNSIGNED.issuperset(image.tag_v2.get(SAMPLEFORMAT, (1,)))
    if signed or depth > 16 or image.mode == "F":
        raise Refused("its pixels are signed, floating-point or 32-bit numbers, whose range is unknown; expected 8 or 16 bits")


def _in_bytes(image: Image.Image, depth: int) -> Image.Image:
    """Return the picture with 8 bits per channel, of 16 the high byte; its transparent shade likewise, which Pillow leaves as stored."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I"):
        image = Image.fromarray((_from_black(image, depth) >> (depth - 8)).astype(np.uint8))
    if transparent is not None and image.mode in ("L", "RGB"):
        in_bytes = [_shade(shade, depth) for shade in np.ravel(transparent)]
        image.info["transparency"] = in_bytes[0] if image.mode == "L" else tuple(in_bytes)
    return image


def _from_black(image: Image.Image, depth: int) -> NDArray[np.integer]:
    """Return 16-bit gray as whole numbers in which 0 is black; Pillow turns round only TIFFs of 8 bits."""
    shades = np.asarray(image)
    inverse = isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO
    return 2**depth - 1 - shades.astype(np.int32) if inverse else shades


def _shade(value: int, depth: int) -> int:
    return int(value) >> (depth - 8) if depth >= 8 else int(value) * 255 // (2**depth - 1)


def _on_background(image: Image.Image, background: list[int]) -> Image.Image:
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    canvas = Image.new("RGB", layer.size, tuple(background))
    canvas.paste(layer, mask=layer)
    return canvas
