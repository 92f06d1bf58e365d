import itertools

import numpy as np
import pytest
from PIL import Image

from pipeline.dataset import decode as module
from pipeline.dataset.decode import FORMATS, Refused, decode
from tests.samples import colour, encoded

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8))
WHITE, BLACK = [255, 255, 255], [0, 0, 0]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_becomes_height_width_channels(kind: str, channels: int) -> None:
    image = decode(encoded(colour(4, 6), kind), channels)
    assert image.shape == (6, 4, channels)
    assert image.dtype == np.uint8
    expected = [200, 100, 50] if channels == 3 else [124]  # 0.299 R + 0.587 G + 0.114 B
    np.testing.assert_allclose(image[2, 2], expected, atol=12 if kind == "WEBP" else 6)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_pixels_stay_as_they_are(kind: str) -> None:
    np.testing.assert_array_equal(decode(encoded(NOISE, kind), 3), np.asarray(NOISE))


def test_a_gray_image_has_three_equal_channels_as_colour() -> None:
    image = decode(encoded(Image.new("L", (4, 6), 77), "PNG"), 3)
    assert (image == 77).all()
    assert image.shape == (6, 4, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_every_mode_of_a_white_image_is_white(mode: str) -> None:
    assert (decode(encoded(colour(3, 3, (255, 255, 255)).convert(mode), "PNG"), 3) == 255).all()


def test_cmyk_becomes_colour() -> None:
    image = decode(encoded(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "JPEG"), 3)
    np.testing.assert_allclose(image[4, 4], BLACK, atol=4)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_are_white_and_opaque_ones_keep_their_colour(mode: str) -> None:
    layer = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    layer.putpixel((1, 0), (0, 0, 0, 255))
    data = encoded(layer.convert("P") if mode == "PA" else layer.convert(mode), "PNG")
    assert decode(data, 3)[0].tolist() == [WHITE, BLACK]


def test_a_palette_with_a_transparent_colour_is_white_there() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*BLACK, 10, 20, 30])
    image.putpixel((1, 0), 1)
    assert decode(encoded(image, "PNG", transparency=0), 3)[0].tolist() == [WHITE, [10, 20, 30]]


def test_a_photo_is_turned_by_its_exif_orientation() -> None:
    image = Image.new("RGB", (3, 2))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    turned = decode(encoded(image, "PNG", exif=exif), 3)
    assert turned.shape == (3, 2, 3)
    assert turned[0, 1].tolist() == WHITE


def test_of_a_moving_picture_the_first_frame_is_taken() -> None:
    frames = [colour(3, 3, rgb) for rgb in ((250, 0, 0), (0, 250, 0))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data, 3)[1, 1].tolist() == [250, 0, 0]


def test_a_wrong_extension_does_not_matter_since_no_name_is_asked() -> None:
    assert decode(encoded(colour(5, 5), "PNG"), 3).shape == (5, 5, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "^the file is empty$"),
        (b"<!doctype html><html></html>", "^a web page, not an image$"),
        (b"a shopping list", "^not an image$"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "^not an image$"),
        (encoded(NOISE, "JPEG")[:300], "^damaged: "),
        (encoded(NOISE, "PNG")[:60], "^damaged: "),
        (encoded(Image.new("I;16", (4, 4), 40_000), "PNG"), r"^more than 8 bits per channel \(mode I;16\)$"),
        (encoded(Image.new("F", (4, 4), 0.5), "TIFF"), r"^more than 8 bits per channel \(mode F\)$"),
    ],
)
def test_what_is_no_usable_image_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        decode(data, 3)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PIXELS", 23)
    with pytest.raises(Refused, match="^4 x 6 pixels are more than 23$"):
        decode(encoded(NOISE, "PNG")[:60], 3)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "BMP"])
def test_whatever_byte_is_wrong_the_file_is_read_or_refused(kind: str) -> None:
    good = encoded(Image.fromarray(np.asarray(NOISE)[:4]), kind)
    for place, value in itertools.product(range(min(len(good), 200)), (2, 5, 16, 255)):
        damaged = bytearray(good)
        damaged[place] = value
        try:
            assert decode(bytes(damaged), 3).shape[2] == 3
        except Refused as reason:
            assert str(reason)  # noqa: PT017
