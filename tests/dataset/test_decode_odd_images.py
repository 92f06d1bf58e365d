"""Awkward files that others collected: each is decoded as explicit steps would do it, or refused with its reason."""

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Transpose

from pipeline.config.schema import Decode
from pipeline.dataset.decode import Refused, decode

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.*")  # Pillow's remarks on some of the references

REASONS = {
    "pillow/truncated_jpeg.jpg": "damaged: Premature end of JPEG file",
    "pillow/truncated_end_chunk.png": "damaged: Truncated File Read",
    "pillow/broken_data_stream.png": "damaged: unrecognized data stream contents when reading image file",
    "pillow/decompression_bomb.gif": "its header promises more than twice decode.max_pixels=50000000; raise it if you trust the file",
    "pillow/zero_width.gif": "damaged: its header is broken or of an unknown kind",
    "pillow/test-ole-file.doc": "not an image",
    "pngsuite/xs1n0g01.png": "not an image",  # its signature is broken
    "pngsuite/xc1n0g08.png": "damaged: its header is broken or of an unknown kind",
    "pngsuite/xhdn0g08.png": "damaged: its header is broken or of an unknown kind",
    "pngsuite/xdtn0g01.png": "damaged: cannot load this image",  # it has no data
}
TURNS = {"3": Transpose.ROTATE_180, "6": Transpose.ROTATE_270, "8": Transpose.ROTATE_90}
LUMA = (0.299, 0.587, 0.114)


@pytest.fixture(scope="session")
def listed(odd_images: Path) -> dict[str, dict[str, str]]:
    rows = csv.DictReader(io.StringIO((odd_images / "MANIFEST.tsv").read_text()), delimiter="\t")
    return {f"{row['source']}/{row['file']}": row for row in rows}


def reference(data: bytes, row: dict[str, str]) -> NDArray[np.float64]:
    """Return (H, W, 3) by the steps that a file's mode and orientation call for, as the list of the files names them."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return colours(data, image.transpose(TURNS[row["exif_orientation"]]) if row["exif_orientation"] in TURNS else image)


def colours(data: bytes, image: Image.Image) -> NDArray[np.float64]:
    values = np.asarray(image).astype(float)
    if image.format == "PNG" and data[24] == 16:
        return np.floor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1] / 256.0)
    if image.mode == "I;16":
        return gray(np.floor(values / 256))
    if image.mode == "CMYK":
        return (255 - values[..., :3]) * (255 - values[..., 3:]) / 255
    if image.mode in ("1", "L"):
        values = values * 255 if image.mode == "1" else values
        return on_white(gray(values), values != image.info.get("transparency", -1))
    if image.mode == "LA":
        return on_white(gray(values[..., 0]), values[..., 1] / 255)
    if image.mode == "RGBA":
        return on_white(values[..., :3], values[..., 3] / 255)
    if image.mode == "P":
        return palette(image)
    shade = image.info.get("transparency")
    return values if shade is None else on_white(values, (values != shade).any(axis=2))


def palette(image: Image.Image) -> NDArray[np.float64]:
    indices = np.asarray(image)
    shades = np.array(image.getpalette("RGB"), float).reshape(-1, 3)
    opaque, shade = np.ones(256), image.info.get("transparency", b"")
    if isinstance(shade, int):
        opaque[shade] = 0
    else:
        opaque[: len(shade)] = np.frombuffer(shade, np.uint8) / 255
    return on_white(shades[indices], opaque[indices])


def gray(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.repeat(values[..., None], 3, axis=2)


def on_white(shades: NDArray[np.float64], opaque: NDArray[np.generic]) -> NDArray[np.float64]:
    return shades * opaque[..., None] + 255 * (1 - opaque[..., None].astype(float))


def lossless(row: dict[str, str]) -> bool:
    return row["pillow_format"] in ("PNG", "BMP", "GIF", "TIFF") and "JPEG-compressed" not in row["what"]


def test_every_odd_file_has_its_reason_or_its_picture(odd_images: Path, listed: dict[str, dict[str, str]], how: Decode) -> None:
    reasons = {}
    for path in listed:
        try:
            assert decode((odd_images / path).read_bytes(), 3, how).pixels.size
        except Refused as reason:
            reasons[path] = str(reason)
    assert reasons == REASONS
    assert len(listed) == 55


def test_what_is_decoded_has_the_right_colours_and_stands_upright(odd_images: Path, listed: dict[str, dict[str, str]], how: Decode) -> None:
    for path in listed.keys() - REASONS:
        data, row = (odd_images / path).read_bytes(), listed[path]
        picture, expected = decode(data, 3, how), np.rint(reference(data, row))
        assert picture.pixels.shape == expected.shape, path
        difference = abs(picture.pixels - expected)
        assert difference.mean() <= (0 if lossless(row) else 2), path
        assert difference.max() <= (0 if lossless(row) else 16), path
        assert (picture.format, picture.frames) == (row["pillow_format"], int(row["frames"])), path
        assert (picture.height, picture.width) == expected.shape[:2], path


def test_as_gray_it_has_the_luma_of_its_colours(odd_images: Path, listed: dict[str, dict[str, str]], how: Decode) -> None:
    for path in listed.keys() - REASONS:
        data, row = (odd_images / path).read_bytes(), listed[path]
        difference = abs(decode(data, 1, how).pixels[..., 0] - reference(data, row) @ LUMA)
        assert difference.max() <= (1.01 if lossless(row) else 16), path  # both are rounded
        assert difference.mean() <= (0.6 if lossless(row) else 2), path


def test_a_file_without_an_extension_or_with_a_wrong_one_is_known_by_its_content(odd_images: Path, how: Decode) -> None:
    assert decode((odd_images / "catbreeds" / "Cat1035.png").read_bytes(), 3, how).format == "WEBP"
    assert decode((odd_images / "catbreeds" / "Cat1018.png").read_bytes(), 3, how).format == "PNG"
