"""Decode an image file of any format to uint8 (H, W, C), or refuse it with the reason; for training and prediction alike.

Colours are not managed: ICC profiles are ignored, CMYK becomes RGB by (255 - ink) * (255 - black) / 255."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

from pipeline.config.schema import Decode
from pipeline.dataset.codecs import DEPTH, jpeg_pixels, require_all_rows
from pipeline.dataset.files import Refused
from pipeline.dataset.geometry import Extent, fit

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "PPM")  # not EPS: Pillow would start Ghostscript
TRUSTED = "raise it if you trust the file"
MOST_FRAMES = 1000  # counted in a TIFF: a hostile one of a megabyte keeps Pillow counting for minutes
UNSIGNED = {1, 4}  # TIFF sample formats: unsigned integer, undefined
WHITE_IS_ZERO = 0  # TIFF photometric interpretation

PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # 64 MB: much metadata makes no bad image

# What a file unknown to Pillow is, by its first bytes.
BEGINNINGS = (
    (rb"\s*<(?:.{0,1000}<)?svg\b", "an SVG drawing without pixels; export it as PNG"),
    (rb"\s*<", "a web page, not an image"),
    (rb"%PDF", "a PDF document, not an image"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript drawing without pixels; export it as PNG"),
    (rb".{4}ftyp(?:hei|hev|mif1|msf1)", "a HEIC photo, which is not supported; export it as JPEG"),
    (rb"PK\x03\x04|\x1f\x8b", "an archive, not an image; unpack it"),
    (rb"\xff\xd8\xff|\x89PNG|GIF8|II[*+]\0|MM\0[*+]|RIFF.{4}WEBP|.{4}ftypavi", "damaged: its header is broken or of an unknown kind"),
)


@dataclass(frozen=True)
class Decoded:
    """A decoded image, upright."""

    pixels: NDArray[np.uint8]  # (H, W, channels)
    width: int  # of the source, in pixels, before any reduction
    height: int
    reduced: int  # 1, 2, 4 or 8: source pixels per pixel along each side; those of the last row and column may be fewer
    format: str  # by content: "JPEG", "PNG", …
    frames: int  # in the file; this is the first

    @property
    def extent(self) -> Extent:
        """Height and width of the source, in reduced pixels."""
        return self.height / self.reduced, self.width / self.reduced


def decode(data: bytes, channels: int, how: Decode, side: int | None = None) -> Decoded:
    """Decode the first frame to uint8 (H, W, channels), upright by its EXIF orientation, alpha blended with the background.

    channels: 1 (luma of ITU-R 601) or 3. side: pixels that the image will be shrunk to; a JPEG may then be decoded at a reduced size
    of at least twice that. Raises Refused, and MemoryError if the machine lacks what decode.max_pixels allows."""
    if not data:
        raise Refused("the file is empty")
    try:
        with _at_most(how.max_pixels), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, which does not change pixels
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _require_size(image, how)
                return _decoded(data, image, channels, how, side)
    except (Refused, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise Refused(f"its header promises more than twice decode.max_pixels={how.max_pixels}; {TRUSTED}") from error
    except Exception as error:  # Pillow raises anything for damaged bytes: TypeError for a TIFF's broken tag
        raise Refused(_reason(data, error)) from error


def preprocess(data: bytes, channels: int, how: Decode, size: int, method: str) -> tuple[NDArray[np.uint8], Decoded]:
    """Return an image file's pixels as the network sees them, (size, size, channels), and the decoded image.

    The same for training and prediction. Raises as `decode` does."""
    picture = decode(data, channels, how, size)
    return fit(picture.pixels, size, method, picture.extent), picture


@contextmanager
def _at_most(pixels: int) -> Iterator[None]:
    """Make Pillow stop at twice that many pixels, for GIFs before it allocates memory; its limit is global."""
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
    orientation = orientation_of(image)  # a PNG's may follow its pixels
    if orientation > 4:
        width, height = height, width
    upright = np.ascontiguousarray(turned(pixels, orientation))
    return Decoded(upright, width, height, reduced, str(image.format), _frames(image))


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1..8; 1 if it is missing or damaged."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # for damaged metadata, which the pixels can do without
        return 1
    return int(orientation) if orientation in range(1, 9) else 1


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return (H, W, C) upright. orientation: EXIF's 1..8 (EXIF 2.32, 4.6.5.1.5)."""
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
        except Exception:  # the end, or an unreadable page after the first
            return frame
    return MOST_FRAMES


def _reason(data: bytes, error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return next((words for pattern, words in BEGINNINGS if re.match(pattern, data, re.DOTALL)), "not an image")
    words = str(error) if re.search("[a-z]{3}", str(error)) else "its pixels can't be read"  # libtiff's errors are numbers
    return f"damaged: {words}"


def pillow_pixels(data: bytes, image: Image.Image, channels: int, how: Decode) -> NDArray[np.uint8]:
    """Return (H, W, channels) as stored; Pillow itself turns TIFFs upright.

    Raises Refused for pixels of unknown range, for 16 bits if decode.sixteen_bit refuses them, and for an incomplete PNG."""
    depth = _depth(data, image)
    _require_known_range(image, depth)
    if depth > 8 and how.sixteen_bit == "refuse":
        raise Refused(f"{depth} bits per channel, refused by decode.sixteen_bit=refuse")
    image.load()
    if image.format == "PNG":
        require_all_rows(data, image)
    flat = _on_background(_in_bytes(image, depth), how.background)
    mode = "L" if channels == 1 else "RGB"
    pixels = np.asarray(flat if flat.mode == mode else flat.convert(mode))
    return pixels.reshape(*pixels.shape[:2], channels)


def _depth(data: bytes, image: Image.Image) -> int:
    """Return the bits per channel in the file; of 16, Pillow returns the high byte for colours, but all for gray."""
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
    """Return the image with 8 bits per channel, the high byte of 16, its transparent shade included, which Pillow leaves as stored."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I"):
        image = Image.fromarray((_from_black(image, depth) >> (depth - 8)).astype(np.uint8))
    if transparent is not None and image.mode in ("L", "RGB"):
        in_bytes = [_shade(shade, depth) for shade in np.ravel(transparent)]
        image.info["transparency"] = in_bytes[0] if image.mode == "L" else tuple(in_bytes)
    return image


def _from_black(image: Image.Image, depth: int) -> NDArray[np.integer]:
    """Return 16-bit gray with 0 for black; Pillow inverts TIFFs of 8 bits only."""
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
