"""The eight ways in which a camera can be held."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Transpose

from pipeline.config.schema import Decode
from pipeline.dataset.decode import decode
from tests.samples import encoded

ORIENTATION = 0x0112

# What a viewer does to the stored picture (EXIF 2.32, 4.6.5.1.5), and what makes the stored picture of an upright one.
TURNS = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
UNTURNS = TURNS | {6: Transpose.ROTATE_90, 8: Transpose.ROTATE_270}

KINDS = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "PNG": {},
    "TIFF": {},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


def corners(mode: str) -> Image.Image:
    """A picture of 64 x 32 whose four corners differ."""
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16, :32], pixels[:16, 32:], pixels[16:, :32], pixels[16:, 32:] = (200, 40, 40), (40, 160, 40), (40, 40, 120), (230, 230, 230)
    return Image.fromarray(pixels).convert(mode)


def stored(image: Image.Image, orientation: int) -> Image.Image:
    return image if orientation == 1 else image.transpose(UNTURNS[orientation])


def tagged(image: Image.Image, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(stored(image, orientation), kind, exif=exif, **KINDS[kind])


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_stands_upright_however_it_was_stored(orientation: int, kind: str, mode: str, channels: int, how: Decode) -> None:
    picture = decode(tagged(corners(mode), kind, orientation), channels, how)
    expected = np.asarray(corners(mode).convert("L" if channels == 1 else "RGB")).reshape(32, 64, channels).astype(int)
    assert (picture.width, picture.height, picture.pixels.shape) == (64, 32, (32, 64, channels))
    assert abs(picture.pixels - expected).mean() <= (0 if kind in ("PNG", "TIFF") else 2)


@pytest.mark.parametrize("orientation", TURNS)
def test_a_reduced_picture_stands_upright_too(orientation: int, how: Decode) -> None:
    picture = decode(tagged(corners("RGB"), "JPEG", orientation), 3, how, 4)
    assert (picture.width, picture.height, picture.reduced, picture.pixels.shape) == (64, 32, 4, (8, 16, 3))
    expected = np.asarray(corners("RGB").resize((16, 8), Image.Resampling.BOX)).astype(int)
    assert abs(picture.pixels - expected).mean() <= 2


def test_turned_pixels_lie_in_memory_as_others_do(how: Decode) -> None:
    assert decode(tagged(corners("RGB"), "PNG", 6), 3, how).pixels.flags.c_contiguous


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(value: int, how: Decode) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = value
    assert decode(encoded(corners("RGB"), "PNG", exif=exif), 3, how).pixels.tolist() == np.asarray(corners("RGB")).tolist()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("exif", [b"MM\0*\0\0\0\x08\xff\xff\x01\x12", b"no TIFF header at all"])
def test_damaged_exif_turns_nothing(kind: str, exif: bytes, how: Decode) -> None:
    with_exif, without = (encoded(corners("RGB"), kind, **more) for more in ({"exif": b"Exif\0\0" + exif}, {}))
    np.testing.assert_array_equal(decode(with_exif, 3, how).pixels, decode(without, 3, how).pixels)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_real_scene_looks_the_same_however_the_camera_was_held(orientation: int, odd_images: Path, how: Decode) -> None:
    held, upright = (decode((odd_images / "exif" / f"Landscape_{i}.jpg").read_bytes(), 3, how, 64) for i in (orientation, 1))
    assert (held.width, held.height, held.reduced) == (1800, 1200, 8)
    assert abs(held.pixels.astype(int) - upright.pixels).mean() <= 2
