"""JPEGs that are decoded at a part of their size, because they will be shrunk further."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.config.schema import Decode
from pipeline.dataset.decode import Decoded, decode, preprocess
from pipeline.dataset.geometry import fit
from tests.samples import encoded


def shrunk(picture: Decoded, size: int, method: str = "stretch") -> NDArray[np.int16]:
    """Return (size, size, C) as the resize stage makes it."""
    return fit(picture.pixels, size, method, picture.extent).astype(np.int16)


def photo(width: int, height: int, orientation: int = 1) -> bytes:
    image = Image.effect_noise((width, height), 60).resize((width, height)).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, "JPEG", exif=exif)


@pytest.mark.parametrize(
    ("width", "height", "side", "reduced"),
    [
        (256, 300, None, 1),
        (256, 300, 129, 1),
        (256, 300, 128, 1),
        (256, 300, 64, 2),
        (255, 300, 64, 1),  # 127 pixels would be fewer than twice 64
        (257, 300, 64, 2),
        (256, 300, 32, 4),
        (256, 300, 16, 8),
        (256, 300, 1, 8),
        (40, 40, 64, 1),
    ],
)
def test_the_smallest_picture_of_twice_the_side_is_decoded(width: int, height: int, side: int | None, reduced: int, how: Decode) -> None:
    for shape in ((width, height), (height, width)):
        picture = decode(photo(*shape), 3, how, side)
        assert (picture.width, picture.height, picture.reduced) == (*shape, reduced)
        assert picture.pixels.shape == (-(-shape[1] // reduced), -(-shape[0] // reduced), 3)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_reduced_picture_has_the_colours_of_the_whole_one(mode: str, channels: int, how: Decode) -> None:
    pixels = np.random.default_rng(0).integers(60, 200, (5, 4, len(mode)), dtype=np.uint8)
    image = Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode).resize((80, 100), Image.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=95)
    small, whole = decode(data, channels, how, 20), decode(data, channels, how)
    assert (small.reduced, small.pixels.shape) == (2, (50, 40, channels))
    assert abs(shrunk(small, 20) - shrunk(whole, 20)).max() <= 3


@pytest.mark.parametrize("method", ["stretch", "letterbox"])
def test_a_last_row_and_column_of_fewer_pixels_count_for_as_many_as_they_stand_for(method: str, how: Decode) -> None:
    waves = 127 + 120 * np.sin(np.add.outer(np.arange(301), np.arange(403)) / 15)  # 403 pixels are 51 at an eighth, the last of 3
    data = encoded(Image.fromarray(waves.astype(np.uint8)), "JPEG", quality=95)
    found, picture = preprocess(data, 1, how, 18, method)
    assert picture.reduced == 8
    assert abs(found.astype(np.int16) - shrunk(decode(data, 1, how), 18, method)).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_only_where_its_last_row_and_column_are_whole(orientation: int, how: Decode) -> None:
    assert decode(photo(320, 480, orientation), 3, how, 64).reduced == 2
    assert decode(photo(321, 480, orientation), 3, how, 64).reduced == (2 if orientation == 1 else 1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_other_formats_are_decoded_whole(kind: str, how: Decode) -> None:
    picture = decode(encoded(Image.new("RGB", (320, 480)), kind), 3, how, 16)
    assert (picture.reduced, picture.pixels.shape) == (1, (480, 320, 3))


@pytest.mark.parametrize(
    ("channels", "method", "worst"),
    [(1, "stretch", 2), (3, "stretch", 2), (3, "letterbox", 2), (3, "crop", 2.5)],  # the middle of a photo is its busiest part
)
def test_reducing_real_photos_hardly_changes_what_they_are_shrunk_to(
    channels: int, method: str, worst: float, photos: list[Path], how: Decode
) -> None:
    means, near = [], []
    for path in photos:
        data = path.read_bytes()
        small = decode(data, channels, how, 64)
        if small.reduced > 1:
            difference = abs(shrunk(small, 64, method) - shrunk(decode(data, channels, how), 64, method))
            means.append(difference.mean())
            near.append((difference <= 24).mean())
    assert len(photos) == 1_500
    assert len(means) > 1_000
    assert max(means) <= worst  # of 255, of any photo
    assert min(near) >= 0.999
