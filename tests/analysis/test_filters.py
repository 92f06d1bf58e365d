import numpy as np
import pytest
import torch
from torch import nn

from pipeline.analysis.filters import filter_mosaic, first_convolution


def convolution(count: int, channels: int, size: int = 3) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(channels, count, size)


def test_the_first_convolution_is_found_wherever_it_lies() -> None:
    wanted = convolution(2, 1)
    assert first_convolution(nn.Sequential(nn.Sequential(nn.ReLU(), wanted), convolution(2, 2))) is wanted


def test_a_network_without_convolutions_has_none() -> None:
    assert first_convolution(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))) is None


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (6, 2, 3), (7, 3, 3), (16, 4, 4), (17, 4, 5)])
def test_the_mosaic_is_nearly_square_with_a_white_line_around_each_filter(count: int, rows: int, columns: int) -> None:
    picture = filter_mosaic(convolution(count, 1, 5))
    assert picture.shape == (rows * 6 + 1, columns * 6 + 1)
    assert (picture[::6] == 1).all()
    assert (picture[:, ::6] == 1).all()


def test_every_filter_stands_whole_in_its_tile_on_one_scale_with_gray_for_zero() -> None:
    layer = convolution(5, 1)
    weight = layer.weight.detach().numpy()[:, 0]
    picture = filter_mosaic(layer)
    for i in range(5):
        top, left = (i // 3) * 4 + 1, (i % 3) * 4 + 1
        tile = picture[top : top + 3, left : left + 3]
        np.testing.assert_allclose(tile, 0.5 + weight[i] / (2 * np.abs(weight).max()), atol=1e-6)
    assert 0 <= picture.min() < picture.max() <= 1


def test_filters_of_three_channels_are_shown_in_colour() -> None:
    layer = convolution(1, 3)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 2, 1, 1] = 0.3  # adds blue in the middle
    picture = filter_mosaic(layer)
    assert picture.shape == (5, 5, 3)
    assert picture[2, 2].tolist() == [0.5, 0.5, 1.0]


def test_filters_of_other_channels_are_shown_by_their_mean() -> None:
    layer = convolution(2, 4)
    assert filter_mosaic(layer).shape == (5, 9)


def test_filters_of_zeros_are_gray() -> None:
    layer = convolution(1, 1)
    nn.init.zeros_(layer.weight)
    assert (filter_mosaic(layer)[1:-1, 1:-1] == 0.5).all()


def test_looking_at_filters_does_not_change_them() -> None:
    layer = convolution(4, 3)
    before = layer.weight.detach().clone()
    filter_mosaic(layer)
    assert torch.equal(layer.weight, before)
