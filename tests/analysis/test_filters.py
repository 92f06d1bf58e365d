import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.analysis.filters import colour_limit, enlarged, filter_mosaic, largest, relative_change, slices, strip_steps, strongest


def weights(count: int, channels: int, size: int = 3) -> NDArray[np.float32]:
    torch.manual_seed(0)
    return nn.Conv2d(channels, count, size).weight.detach().numpy()


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (6, 2, 3), (7, 3, 3), (16, 4, 4), (17, 4, 5)])
def test_the_mosaic_is_nearly_square_with_a_white_line_around_each_filter(count: int, rows: int, columns: int) -> None:
    picture = filter_mosaic(weights(count, 1, 5), 1.0)
    assert picture.shape == (rows * 6 + 1, columns * 6 + 1)
    assert (picture[::6] == 1).all()
    assert (picture[:, ::6] == 1).all()


def test_every_filter_stands_whole_in_its_tile_with_gray_for_zero() -> None:
    weight = weights(5, 1)
    picture = filter_mosaic(weight, 0.5)
    for i in range(5):
        top, left = (i // 3) * 4 + 1, (i % 3) * 4 + 1
        np.testing.assert_allclose(picture[top : top + 3, left : left + 3], 0.5 + weight[i, 0] / (2 * 0.5), atol=1e-6)


def test_weights_beyond_the_limit_are_full_white_and_black() -> None:
    picture = filter_mosaic(np.array([[[[-9, 9]]]], np.float32), 0.5)
    assert picture[1, 1:3].tolist() == [0, 1]


def test_a_weight_looks_the_same_in_every_picture_of_a_training() -> None:
    first = weights(4, 1)
    limit = colour_limit(first)
    later = first.copy()
    later[3] *= 5  # one filter grows; the others stay as they look
    np.testing.assert_array_equal(filter_mosaic(first, limit)[:5], filter_mosaic(later, limit)[:5])


@pytest.mark.parametrize("size", [0.01, 1.0])
def test_the_scale_leaves_room_for_weights_to_grow_to_twice_the_largest_before_training(size: float) -> None:
    first = size * weights(4, 1)
    assert colour_limit(first) == pytest.approx(2 * np.abs(first).max())


def test_filters_of_three_channels_are_shown_in_colour() -> None:
    weight = np.zeros((1, 3, 3, 3), np.float32)
    weight[0, 2, 1, 1] = 0.3  # adds blue in the middle
    weight[0, 0, 0, 2] = -0.3  # takes red at the upper right
    picture = filter_mosaic(weight, 0.3)
    assert picture.shape == (5, 5, 3)
    np.testing.assert_allclose(picture[2, 2], [0.5, 0.5, 1.0])
    np.testing.assert_allclose(picture[1, 3], [0.0, 0.5, 0.5])
    np.testing.assert_allclose(picture[3, 1], [0.5, 0.5, 0.5])


def test_filters_of_other_channels_are_shown_by_their_mean() -> None:
    weight = weights(2, 4)
    picture = filter_mosaic(weight, 1.0)
    assert picture.shape == (5, 9)
    np.testing.assert_allclose(picture[1:4, 1:4], 0.5 + weight[0].mean(axis=0) / 2, atol=1e-6)
    assert largest(weight) == np.abs(weight.mean(axis=1)).max()


def test_filters_of_zeros_are_gray() -> None:
    weight = np.zeros((1, 1, 3, 3), np.float32)
    assert (filter_mosaic(weight, colour_limit(weight))[1:-1, 1:-1] == 0.5).all()


def test_an_enlarged_picture_has_sharp_squares_and_enough_pixels() -> None:
    picture = np.array([[0, 0.5, 1], [1, 0.25, 0]], np.float32)
    large = enlarged(picture, 7)
    assert large.shape == (8, 12)
    assert large.dtype == np.uint8
    for (row, column), value in np.ndenumerate(picture):
        assert (large[row * 4 : row * 4 + 4, column * 4 : column * 4 + 4] == round(255 * value)).all()


def test_a_strip_shows_the_wanted_epochs_that_were_kept_and_always_the_best_and_the_last() -> None:
    wanted = [0, 1, 2, 5, 10]
    assert strip_steps(list(range(31)), wanted, 27, 30) == [0, 1, 2, 5, 10, 27, 30]
    assert strip_steps(list(range(4)), wanted, 3, 3) == [0, 1, 2, 3]
    assert strip_steps([0, 2, 20], wanted, 7, 20) == [0, 2, 7, 20]
    assert strip_steps([0, 1], [], 1, 1) == [1]


def test_of_each_filter_the_slice_of_the_largest_norm_is_shown() -> None:
    weight = np.zeros((2, 3, 2, 2), np.float32)
    weight[0, 2], weight[0, 1] = -1, 0.5
    weight[1, 0, 0, 0], weight[1, 1] = 3, 1
    assert strongest(weight).tolist() == [2, 0]
    np.testing.assert_array_equal(slices(weight, strongest(weight)), weight[[0, 1], [2, 0]][:, None])


def test_how_far_weights_moved_is_a_share_of_their_first_length() -> None:
    first = np.array([[[[3.0, 4.0]]]], np.float32)
    assert relative_change(first, first) == 0
    assert relative_change(first, first * 1.5) == pytest.approx(0.5)
    assert relative_change(np.zeros_like(first), first) == 5
