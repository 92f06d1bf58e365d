import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.config.schema import Decode
from pipeline.dataset.decode import FORMATS, MOST_FRAMES, Refused, decode
from tests.dataset.pictures import ADAM7, GRAY, GRAY_ALPHA, RGB, RGBA, gif, png, progressive, tiff
from tests.samples import colour, encoded

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8))
WHITE, BLACK = [255, 255, 255], [0, 0, 0]
LOSSY = ("JPEG", "WEBP", "AVIF")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_becomes_height_width_channels(kind: str, channels: int, how: Decode) -> None:
    picture = decode(encoded(colour(4, 6), kind), channels, how)
    assert (picture.pixels.shape, picture.pixels.dtype) == ((6, 4, channels), np.uint8)
    assert (picture.width, picture.height, picture.format, picture.frames, picture.reduced) == (4, 6, kind, 1, 1)
    expected = [200, 100, 50] if channels == 3 else [124]  # 0.299 R + 0.587 G + 0.114 B
    np.testing.assert_allclose(picture.pixels[2, 2], expected, atol=12 if kind in LOSSY else 0)


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - {*LOSSY, "GIF"}))
def test_lossless_pixels_stay_as_they_are(kind: str, how: Decode) -> None:
    np.testing.assert_array_equal(decode(encoded(NOISE, kind), 3, how).pixels, np.asarray(NOISE))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_gray_image_has_three_equal_channels_as_colour(kind: str, how: Decode) -> None:
    pixels = decode(encoded(Image.new("L", (4, 6), 77), kind), 3, how).pixels
    assert (pixels == 77).all()
    assert pixels.shape == (6, 4, 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_every_mode_of_a_white_image_is_white(mode: str, how: Decode) -> None:
    assert (decode(encoded(colour(3, 3, (255, 255, 255)).convert(mode), "PNG"), 3, how).pixels == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_inks_become_colours(kind: str, channels: int, how: Decode) -> None:
    pixels = decode(encoded(Image.new("CMYK", (16, 16), (200, 10, 20, 30)), kind), channels, how).pixels
    expected = [225 * 55 / 255, 225 * 245 / 255, 225 * 235 / 255]
    np.testing.assert_allclose(pixels[8, 8], expected if channels == 3 else np.dot(expected, (0.299, 0.587, 0.114)), atol=3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_show_the_background_and_opaque_ones_keep_their_colour(mode: str, how: Decode) -> None:
    layer = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    layer.putpixel((1, 0), (0, 0, 0, 255))
    layer.putpixel((2, 0), (0, 0, 0, 0 if mode == "PA" else 100))
    data = encoded(layer.convert("P") if mode == "PA" else layer.convert(mode), "PNG")
    [row] = decode(data, 3, replace(how, background=[255, 50, 0])).pixels.tolist()
    half = [255, 50, 0] if mode == "PA" else [155, 30, 0]  # (255 - 100) / 255 of the background
    assert row == [[255, 50, 0], BLACK, half]


def test_a_palette_with_a_transparent_colour_is_white_there(how: Decode) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([*BLACK, 10, 20, 30])
    image.putpixel((1, 0), 1)
    assert decode(encoded(image, "PNG", transparency=0), 3, how).pixels[0].tolist() == [WHITE, [10, 20, 30]]


@pytest.mark.parametrize(
    ("depth", "kind", "row", "transparent", "expected"),
    [
        (1, GRAY, b"\x40", b"\0\1", [0, 9, 0]),
        (2, GRAY, b"\x1b", b"\0\2", [0, 85, 9]),
        (4, GRAY, b"\x5a\xf0", b"\0\x0a", [85, 9, 255]),
        (8, GRAY, b"\x05\x0a\xff", b"\0\x0a", [5, 9, 255]),
        (16, GRAY, b"\x12\x34\x56\x78\xff\xff", b"\x56\x78", [0x12, 9, 0xFF]),
        (16, RGB, bytes(range(18)), bytes(range(6, 12)), [[0, 2, 4], 9, [12, 14, 16]]),
    ],
)
def test_the_transparent_shade_of_every_depth_shows_the_background(
    depth: int, kind: int, row: bytes, transparent: bytes, expected: list, how: Decode
) -> None:
    found = decode(png(3, 1, depth, kind, b"\0" + row, transparent), 3, replace(how, background=[9, 9, 9])).pixels
    assert found[0].tolist() == [shade if isinstance(shade, list) else [shade] * 3 for shade in expected]


VALUES = np.array([[0, 255, 256, 300], [32768, 40000, 65279, 65535]], np.uint16)
HIGH = [[0, 0, 1, 1], [128, 156, 254, 255]]


def rows(values: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)


@pytest.mark.parametrize(
    "data",
    [
        png(4, 2, 16, GRAY, rows(VALUES)),
        png(4, 2, 16, RGB, rows(np.repeat(VALUES, 3, axis=1))),
        png(4, 2, 16, GRAY_ALPHA, rows(np.stack([VALUES, VALUES * 0 + 65535], axis=2).reshape(2, -1))),
        png(4, 2, 16, RGBA, rows(np.stack([VALUES, VALUES, VALUES, VALUES * 0 + 65535], axis=2).reshape(2, -1))),
        tiff(4, 2, 16, VALUES.tobytes()),
        tiff(4, 2, 16, (65535 - VALUES).tobytes(), photometric=0),
        encoded(Image.fromarray(VALUES), "PPM"),
    ],
    ids=["png gray", "png rgb", "png gray alpha", "png rgba", "tiff", "tiff white is zero", "pgm"],
)
def test_of_sixteen_bits_the_high_byte_is_kept_or_the_file_refused(data: bytes, how: Decode) -> None:
    np.testing.assert_array_equal(decode(data, 3, how).pixels, np.repeat(np.array(HIGH)[..., None], 3, axis=2))
    with pytest.raises(Refused, match=r"^16 bits per channel, refused by decode\.sixteen_bit=refuse$"):
        decode(data, 3, replace(how, sixteen_bit="refuse"))


def test_twelve_bits_fill_the_whole_range_too(how: Decode) -> None:
    packed = bytes([0x00, 0x0F, 0xFF])  # 0x000, 0xFFF
    assert decode(tiff(2, 1, 12, packed), 1, how).pixels[..., 0].tolist() == [[0, 255]]


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.new("F", (4, 4), 0.5), "TIFF"),
        encoded(Image.new("I", (4, 4), 5), "TIFF"),
        tiff(4, 2, 16, VALUES.tobytes(), sample_format=2),
        tiff(4, 2, 8, bytes(8), sample_format=2),
        b"Pf\n1 1\n-1.0\n" + np.float32(0.5).tobytes(),
    ],
    ids=["float tiff", "32-bit tiff", "signed 16-bit tiff", "signed 8-bit tiff", "float pfm"],
)
def test_numbers_of_no_known_range_are_refused(data: bytes, how: Decode) -> None:
    with pytest.raises(Refused, match="^its pixels are signed, floating-point or 32-bit numbers, whose range is unknown; expected 8 or 16"):
        decode(data, 3, how)


def test_colour_profiles_are_ignored(how: Decode) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert (decode(encoded(NOISE, "PNG", icc_profile=profile), 3, how).pixels == np.asarray(NOISE)).all()


@pytest.mark.parametrize(("kind", "frames"), [("GIF", 3), ("WEBP", 3), ("PNG", 3), ("TIFF", 3), ("AVIF", 3), ("MPO", 3)])
def test_of_a_file_with_several_pictures_the_first_is_taken(kind: str, frames: int, how: Decode) -> None:
    first, *others = [colour(32, 32, rgb) for rgb in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    picture = decode(encoded(first, kind, save_all=True, append_images=others), 3, how)
    np.testing.assert_allclose(picture.pixels, np.full((32, 32, 3), [250, 0, 0]), atol=4)
    assert (picture.frames, picture.format) == (frames, kind)


def test_pages_are_counted_up_to_a_limit(how: Decode) -> None:
    assert decode(tiff(1, 1, 8, b"\7", pages=40), 1, how).frames == 40
    assert decode(tiff(1, 1, 8, b"\7", pages=3 * MOST_FRAMES), 1, how).frames == MOST_FRAMES


def test_a_later_page_that_cannot_be_read_does_not_spoil_the_first(how: Decode) -> None:
    depth = struct.pack("<HHII", 258, 3, 1, 8)  # bits per channel, a tag of each page
    head, *pages = tiff(1, 1, 8, b"\7", pages=3).split(depth)
    data = head + depth + struct.pack("<HHII", 258, 3, 1, 77).join(pages)
    picture = decode(data, 1, how)
    assert (picture.pixels.tolist(), picture.frames) == ([[[7]]], 1)


HEADS = "damaged: its header is broken or of an unknown kind"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "^the file is empty$"),
        (b" \n<!doctype html><html></html>", "^a web page, not an image$"),
        (b'<?xml version="1.0"?>\n<svg xmlns="a"/>', "^an SVG drawing without pixels; export it as PNG$"),
        (b"a shopping list", "^not an image$"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "^a PostScript drawing without pixels; export it as PNG$"),
        (b"%PDF-1.7\n", "^a PDF document, not an image$"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "^a HEIC photo, which is not supported; export it as JPEG$"),
        (b"PK\x03\x04....", "^an archive, not an image; unpack it$"),
        (encoded(NOISE, "JPEG")[:4], "^damaged: "),
        (encoded(NOISE, "PNG")[:10], f"^{HEADS}$"),
        (encoded(NOISE, "TIFF", compression="tiff_lzw")[:60], f"^{HEADS}$"),
        (encoded(NOISE, "AVIF")[:40], f"^{HEADS}$"),
        (gif(0, 5, 0), f"^{HEADS}$"),
        (progressive(100), "^more than 100 scans: no camera or program writes such a JPEG$"),
        (png(4, 4, 8, GRAY, b"\0\1\1\1\1" * 2), "^damaged: it holds fewer rows than its header promises$"),
        (png(4, 4, 8, GRAY, b"\0\1", interlaced=1), "^damaged: it holds fewer rows than its header promises$"),
    ],
)
def test_what_is_no_usable_image_is_refused_with_the_reason(data: bytes, reason: str, how: Decode) -> None:
    with pytest.raises(Refused, match=reason):
        decode(data, 3, how)


@pytest.mark.parametrize("level", [0, 9])
def test_a_png_whose_pixels_were_changed_after_it_was_written_is_refused(level: int, how: Decode) -> None:
    whole = bytearray(encoded(NOISE, "PNG", compress_level=level))
    whole[whole.index(b"IDAT") + 40] ^= 1
    with pytest.raises(Refused, match="^damaged: "):
        decode(bytes(whole), 3, how)


@pytest.mark.parametrize(("depth", "kind", "bits"), [(1, GRAY, 1), (8, GRAY, 8), (8, RGB, 24), (16, GRAY_ALPHA, 32), (16, RGBA, 64)])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 3), (8, 8), (9, 17)])
def test_a_black_png_has_all_its_rows(depth: int, kind: int, bits: int, width: int, height: int, how: Decode) -> None:
    row = b"\0" * (1 + -(-width * bits // 8))
    assert decode(png(width, height, depth, kind, row * height), 3, how).height == height
    with pytest.raises(Refused, match="^damaged: "):
        decode(png(width, height, depth, kind, row * (height - 1)), 3, how)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 3), (8, 8), (9, 17)])
def test_a_black_interlaced_png_has_all_its_rows(width: int, height: int, how: Decode) -> None:
    passes = np.tile(ADAM7, (3, 2))[:height, :width]
    rows = bytes(width * height + sum(len(set(row)) for row in passes))  # a filter byte for each pass that a row has a part in
    assert decode(png(width, height, 8, GRAY, rows, interlaced=1), 3, how).height == height
    with pytest.raises(Refused, match="^damaged: "):
        decode(png(width, height, 8, GRAY, rows[:-1], interlaced=1), 3, how)


PHOTO = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 56, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_refused_and_never_filled_up(kind: str, share: float, how: Decode) -> None:
    whole = encoded(PHOTO, kind)
    with pytest.raises(Refused, match=r"^(damaged: |not an image$)"):
        decode(whole[: int(len(whole) * share)], 3, how)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_cut_short_and_closed_with_its_end_marker_is_refused(mode: str, options: dict[str, bool], how: Decode) -> None:
    whole = encoded(PHOTO.convert(mode), "JPEG", **options)
    for side in (None, 4):
        with pytest.raises(Refused, match="^damaged: Corrupt JPEG data: premature end of data segment$"):
            decode(whole[: len(whole) * 2 // 3] + b"\xff\xd9", 3, how, side)


def test_bytes_between_a_jpegs_parts_do_no_harm(how: Decode) -> None:
    whole = encoded(PHOTO, "JPEG")
    tables = whole.index(b"\xff\xdb")
    picture = decode(whole[:tables] + b"\0\0\0" + whole[tables:] + b"a video follows", 3, how)
    np.testing.assert_array_equal(picture.pixels, decode(whole, 3, how).pixels)


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(how: Decode) -> None:
    with pytest.raises(Refused, match=r"^4 x 6 pixels are more than decode\.max_pixels=23; raise it if you trust the file$"):
        decode(encoded(NOISE, "PNG")[:60], 3, replace(how, max_pixels=23))


@pytest.mark.parametrize("data", [gif(60_000, 60_000, 1), png(60_000, 60_000, 8, GRAY, b""), tiff(60_000, 60_000, 8, b"\0")])
def test_a_bomb_is_refused_by_what_its_header_promises(data: bytes, how: Decode) -> None:
    with pytest.raises(Refused, match=r"^its header promises more than twice decode\.max_pixels=50000000; raise it if you trust the file$"):
        decode(data, 3, how)


def test_an_image_with_too_short_a_side_is_refused(how: Decode) -> None:
    assert decode(encoded(NOISE, "PNG"), 3, replace(how, smallest_side=4)).width == 4
    with pytest.raises(Refused, match=r"^4 x 6 pixels, and decode\.smallest_side=5$"):
        decode(encoded(NOISE, "PNG"), 3, replace(how, smallest_side=5))


def test_more_than_a_megabyte_of_metadata_is_no_reason_to_refuse(how: Decode) -> None:
    profile = np.random.default_rng(0).bytes(2_000_000)
    assert decode(encoded(NOISE, "PNG", icc_profile=profile), 3, how).pixels.shape == (6, 4, 3)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "BMP"])
def test_whatever_byte_is_wrong_the_file_is_read_or_refused(kind: str, how: Decode) -> None:
    good, outcomes = encoded(Image.fromarray(np.asarray(NOISE)[:4]), kind), set()
    for place, value in itertools.product(range(min(len(good), 200)), (2, 5, 16, 255)):
        damaged = bytearray(good)
        damaged[place] = value
        try:
            outcomes.add(f"an image of {decode(bytes(damaged), 3, how).pixels.shape[2]} channels")
        except Refused as reason:
            outcomes.add("refused" if str(reason) else "refused without a word")
    assert outcomes == {"an image of 3 channels", "refused"}
