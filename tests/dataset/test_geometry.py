import cv2
import numpy as np
import pytest

from pipeline.dataset.geometry import fit


def halves(height: int, width: int) -> np.ndarray:
    """An image whose left half is 0 and right half 200, in two channels and in none."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :, :2] = 200
    return image


@pytest.mark.parametrize("method", ["stretch", "letterbox", "crop"])
@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (5, 5), (1, 40), (40, 1), (3, 7)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_method_gives_squares_of_the_size(method: str, shape: tuple[int, int], channels: int) -> None:
    image = fit(halves(*shape)[..., :channels], 16, method)
    assert image.shape == (16, 16, channels)
    assert image.dtype == np.uint8


def test_stretch_fills_the_square_with_the_whole_image() -> None:
    np.testing.assert_array_equal(fit(halves(8, 32), 8, "stretch"), halves(8, 8))


def test_letterbox_keeps_the_proportions_between_black_bars() -> None:
    image = fit(np.full((8, 32, 1), 200, np.uint8), 16, "letterbox")[..., 0]
    assert (image[6:10] == 200).all()
    assert (image[:6] == 0).all()
    assert (image[10:] == 0).all()


def test_crop_keeps_the_middle_square() -> None:
    image = np.zeros((8, 32, 1), np.uint8)
    image[:, 12:20] = 200
    assert (fit(image, 16, "crop") == 200).all()
    assert (fit(image.transpose(1, 0, 2), 16, "crop") == 200).all()


@pytest.mark.parametrize("method", ["stretch", "letterbox", "crop"])
def test_a_last_column_that_stands_for_less_counts_for_less(method: str) -> None:
    """127 x 129 pixels at half their size are 64 x 65, whose last row and column stand for half a pixel."""
    ramp = np.add.outer(np.arange(127) * 1.0, np.arange(129) * 0.9)
    whole = ramp.astype(np.uint8)[..., None]
    padded = np.pad(ramp, ((0, 1), (0, 1)), mode="edge")
    half = padded.reshape(64, 2, 65, 2).mean(axis=(1, 3)).astype(np.uint8)[..., None]
    expected = fit(whole, 16, method).astype(int)
    assert abs(fit(half, 16, method, (63.5, 64.5)) - expected).max() <= 1
    assert abs(fit(half, 16, method) - expected).max() > 1 or method == "crop"


def test_shrinking_averages_so_that_fine_stripes_become_gray() -> None:
    stripes = np.zeros((32, 32, 1), np.uint8)
    stripes[:, ::4] = 200  # which bilinear sampling would miss
    assert (fit(stripes, 8, "stretch") == 50).all()


def test_an_image_of_the_right_size_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for method in ("stretch", "letterbox", "crop"):
        np.testing.assert_array_equal(fit(image, 8, method), image)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("length", [256, 60])
def test_fine_stripes_become_gray_also_where_the_other_side_grows(length: int, turned: bool) -> None:
    stripes = np.zeros((8, length, 1), np.uint8)
    stripes[:, ::4] = 200
    image = stripes.transpose(1, 0, 2) if turned else stripes
    found = fit(image, 16, "stretch")[..., 0]
    assert abs((found.T if turned else found).mean(axis=0) - 50).max() <= 20
    assert found.mean() == pytest.approx(50, abs=2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("shape", "how"),
    [((40, 50), cv2.INTER_AREA), ((16, 50), cv2.INTER_AREA), ((9, 12), cv2.INTER_LINEAR), ((16, 7), cv2.INTER_LINEAR)],
)
def test_what_shrinks_both_ways_is_averaged_and_what_grows_both_ways_is_interpolated(
    shape: tuple[int, int], how: int, channels: int
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, channels), dtype=np.uint8)
    expected = cv2.resize(image, (16, 16), interpolation=how).reshape(16, 16, channels)
    np.testing.assert_array_equal(fit(image, 16, "stretch"), expected)
