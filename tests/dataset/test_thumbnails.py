"""Thumbnails have the proportions of their photos, whatever a decoder has made of these on the way."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.config.schema import Decode
from pipeline.config.splits import ALL
from pipeline.dataset.data_page import SIDE, strip, thumbnail, thumbnail_of_remains
from pipeline.dataset.geometry import scaled
from pipeline.dataset.records import File, Sample
from tests.conftest import MakeConfig
from tests.samples import encoded


@pytest.fixture
def how(config: MakeConfig) -> Decode:
    return config("dataset=folder").decode


def gradient(width: int, height: int) -> Image.Image:
    """A photo whose red says how far to the right, and whose green how far down a pixel lies."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([255 * x / width, 255 * y / height, 0 * x], axis=-1).astype(np.uint8))


def sample(folder: Path, data: bytes) -> Sample:
    (folder / "photo").write_bytes(data)
    return Sample("photo", "cat", ALL, File(folder, "photo"))


SIZES = [(403, 301), (301, 403), (777, 1545), (1545, 777), (200, 20), (20, 200), (96, 96)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_thumbnail_has_the_proportions_and_the_pixels_of_the_whole_photo(
    kind: str, width: int, height: int, how: Decode, tmp_path: Path
) -> None:
    photo = gradient(width, height)
    small = thumbnail(sample(tmp_path, encoded(photo, kind, quality=100)), 3, how)
    assert small
    expected = tuple(max(1, round(side * SIDE / max(width, height))) for side in (width, height))
    assert small.size == expected
    whole = scaled(np.asarray(photo), *expected[::-1], (height, width)).astype(int)
    assert abs(np.asarray(small).astype(int) - whole).max() <= 4  # gray levels


def test_a_reduced_photo_s_last_row_and_column_count_for_the_pixels_that_they_stand_for(how: Decode, tmp_path: Path) -> None:
    waves = 127 + 120 * np.sin(np.add.outer(np.arange(1545), np.arange(777)) / 15)  # a quarter of 777 is 195, the last of one pixel
    photo = Image.fromarray(waves.astype(np.uint8))
    small = thumbnail(sample(tmp_path, encoded(photo, "JPEG", quality=100)), 1, how)
    whole = scaled(np.asarray(photo)[..., None], 96, 48, (1545, 777))[..., 0].astype(int)
    assert abs(np.asarray(small).astype(int) - whole).max() <= 8  # gray levels


@pytest.mark.parametrize(("width", "height"), [*SIZES, (2000, 3)])
def test_what_is_left_of_a_photo_has_its_proportions_too(width: int, height: int, tmp_path: Path) -> None:
    cut = encoded(gradient(width, height), "JPEG", quality=100)[:-60]
    rest = thumbnail_of_remains(sample(tmp_path, cut))
    assert rest
    assert rest.size == tuple(max(1, round(side * SIDE / max(width, height))) for side in (width, height))


def test_what_is_left_of_a_photo_that_was_taken_upright_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    rest = thumbnail_of_remains(sample(tmp_path, encoded(gradient(400, 300), "JPEG", exif=exif)[:-60]))
    assert rest
    assert rest.size == (72, 96)


@pytest.mark.parametrize(("shape", "size"), [((8, 8), (96, 96)), ((8, 8, 3), (96, 96)), ((28, 14, 1), (42, 84)), ((60, 40), (40, 60))])
def test_packed_pixels_are_enlarged_by_a_whole_number(shape: tuple[int, ...], size: tuple[int, int], how: Decode) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    small = thumbnail(Sample("file#0", "cat", ALL, pixels), 1, how)
    assert small
    assert small.size == size
    factor = size[0] // shape[1]
    np.testing.assert_array_equal(np.asarray(small)[::factor, ::factor], pixels.squeeze())


@pytest.mark.parametrize(("side", "drawn"), [(8, 96), (28, 84), (64, 64), (224, 96)])
def test_a_strip_is_of_squares(side: int, drawn: int) -> None:
    images = np.zeros((3, side, side, 3), np.uint8)
    assert strip(images).size == (3 * drawn + 2 * 4, drawn)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("kind", ["TIFF", "PNG", "JPEG"])
def test_what_is_left_is_turned_once_whatever_turns_it(kind: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((40, 60), np.uint8)
    stored[:, :20] = 255  # a bright left third: upright at the top (6), at the right (3), at the bottom (8)
    rest = thumbnail_of_remains(sample(tmp_path, encoded(Image.fromarray(stored), kind, exif=exif)))
    assert rest
    upright = np.asarray(rest.convert("L"))
    first = {1: upright[:, :10], 3: upright[:, -10:], 6: upright[:10], 8: upright[-10:]}[orientation]
    assert upright.shape == ((60, 40) if orientation > 4 else (40, 60))
    assert first.mean() > 240
