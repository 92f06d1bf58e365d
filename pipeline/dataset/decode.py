"""One image file of any kind → uint8 (H, W, C), or the reason why not: one decoder for resize and predict alike.

Colours are taken as they stand in the file: ICC profiles are ignored, CMYK becomes RGB by (255 - ink) * (255 - black) / 255."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin
from PIL.TiffImagePlugin import TiffImageFile

from pipeline.config.schema import Decode
from pipeline.dataset.jpeg import jpeg_pixels
from pipeline.dataset.pixels import pillow_pixels
from pipeline.dataset.refused import Refused
from pipeline.dataset.square import Extent

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM")  # no EPS: Pillow would start Ghostscript
TRUSTED = "raise it if you trust the file"
MOST_FRAMES = 1000  # counted of a TIFF: a hostile one of a megabyte claims enough for Pillow to count for minutes

PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # 64 MB: a megabyte of metadata does not make a picture a bad one

# What a file that Pillow does not know is, by how it begins.
BEGINNINGS = (
    (rb"\s*<(?:.{0,1000}<)?svg\b", "an SVG drawing, which has no pixels; export it as PNG"),
    (rb"\s*<", "a web page, not an image"),
    (rb"%PDF", "a PDF document, not an image"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript drawing, which has no pixels; export it as PNG"),
    (rb".{4}ftyp(?:hei|hev|mif1|msf1)", "a HEIC photo, which is not read here; export it as JPEG"),
    (rb"PK\x03\x04|\x1f\x8b", "an archive, not an image; unpack it"),
    (rb"\xff\xd8\xff|\x89PNG|GIF8|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|.{4}ftypavi", "damaged: its header is broken or of an unknown kind"),
)


@dataclass(frozen=True)
class Decoded:
    """An upright picture."""

    pixels: NDArray[np.uint8]  # (H, W, channels)
    width: int  # of the source, in pixels, before any reduction
    height: int
    reduced: int  # 1, 2, 4 or 8: source pixels that a pixel stands for each way; the last row and column stand for what is left
    format: str  # by the content: "JPEG", "PNG", …
    frames: int  # pictures in the file; this is the first

    @property
    def extent(self) -> Extent:
        """Height and width that the pixels stand for, counted in pixels."""
        return self.height / self.reduced, self.width / self.reduced


def decode(data: bytes, channels: int, how: Decode, side: int | None = None) -> Decoded:
    """Decode an image file to uint8 (H, W, channels): first frame, turned by its EXIF orientation, alpha on the background.

    channels: 1 (luma of ITU-R 601) or 3. side: pixels that the picture will be shrunk to; a JPEG may then come reduced, with both
    sides at least twice that. Raises Refused, and MemoryError where the machine lacks what decode.max_pixels allows."""
    if not data:
        raise Refused("the file is empty")
    try:
        with _at_most(how.max_pixels), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata that does not change pixels
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _require_size(image, how)
                return _decoded(data, image, channels, how, side)
    except (Refused, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise Refused(f"its header promises more than twice decode.max_pixels={how.max_pixels}; {TRUSTED}") from error
    except Exception as error:  # Pillow's readers raise of every kind on damaged bytes: a TIFF's broken tag is a TypeError
        raise Refused(_reason(data, error)) from error


@contextmanager
def _at_most(pixels: int) -> Iterator[None]:
    """Let Pillow stop at twice that many pixels, for GIFs before it takes memory; its limit is the whole process's."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, pixels
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _require_size(image: Image.Image, how: Decode) -> None:
    width, height = image.size
    if width * height > how.max_pixels:
        raise Refused(f"{width} x {height} pixels are more than decode.max_pixels={how.max_pixels}; {TRUSTED}")
    if min(width, height) < how.smallest_side:
        raise Refused(f"{width} x {height} pixels, and decode.smallest_side={how.smallest_side}")


def _decoded(data: bytes, image: Image.Image, channels: int, how: Decode, side: int | None) -> Decoded:
    found = jpeg_pixels(data, image, channels, side, orientation_of(image) == 1) if image.format in ("JPEG", "MPO") else None
    pixels, reduced = found or (pillow_pixels(data, image, channels, how), 1)
    width, height = image.size
    orientation = orientation_of(image)  # a PNG's may stand behind its pixels
    if orientation > 4:
        width, height = height, width
    upright = np.ascontiguousarray(turned(pixels, orientation))
    return Decoded(upright, width, height, reduced, str(image.format), _frames(image))


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or it is damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata, of every kind: the pixels are as good as without
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return (H, W, C) upright; EXIF 2.32, 4.6.5.1.5: the side where row 0 and column 0 of the stored picture belong."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _frames(image: Image.Image) -> int:
    if not isinstance(image, TiffImageFile):
        return int(getattr(image, "n_frames", 1))
    for frame in range(1, MOST_FRAMES):
        try:
            image.seek(frame)
        except Exception:  # the end, or a page that can't be read: the first is whole
            return frame
    return MOST_FRAMES


def _reason(data: bytes, error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return next((words for pattern, words in BEGINNINGS if re.match(pattern, data, re.DOTALL)), "not an image")
    words = str(error) if re.search("[a-z]{3}", str(error)) else "its pixels can't be read"  # libtiff's errors are numbers
    return f"damaged: {words}"
