"""One image file of any kind → uint8 (H, W, C), or the reason why not: one decoder for resize and predict alike."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")  # no EPS: Pillow would start Ghostscript
MAX_PIXELS = 50_000_000  # 150 MB as colour; a bomb's header promises far more
BACKGROUND = (255, 255, 255)  # under transparent pixels


class Refused(Exception):
    """The file can't be used; the message is the reason."""


def decode(data: bytes, channels: int) -> NDArray[np.uint8]:
    """Decode an image file to uint8 (H, W, channels): first frame, turned by its EXIF orientation, alpha on white.

    channels: 1 (luma of ITU-R 601) or 3. Raises Refused."""
    if not data:
        raise Refused("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata that does not change pixels
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Refused(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
                if image.mode.startswith(("I", "F")):
                    raise Refused(f"more than 8 bits per channel (mode {image.mode})")
                return _pixels(image, channels)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise of every kind on damaged bytes: a TIFF's broken tag is a TypeError
        raise Refused(_reason(data, error)) from error


def _pixels(image: Image.Image, channels: int) -> NDArray[np.uint8]:
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.new("RGBA", layer.size, BACKGROUND)
        upright.alpha_composite(layer)
    pixels = np.asarray(upright.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def _reason(data: bytes, error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "a web page, not an image" if data[:1] == b"<" else "not an image"
    return f"damaged: {error}"
