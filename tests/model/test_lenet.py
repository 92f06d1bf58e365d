import pytest
import torch
from torch import nn

from pipeline.model.lenet import LeNet


def test_lenet_has_63802_parameters() -> None:
    assert sum(parameter.numel() for parameter in LeNet(1, 10).parameters()) == 63_802


def test_its_maps_go_28_14_10_5() -> None:
    maps, sides = torch.zeros(1, 1, 32, 32), []
    for layer in LeNet(1, 10).features:
        maps = layer(maps)
        if not isinstance(layer, nn.ReLU):
            sides.append((maps.shape[1], maps.shape[2]))
    assert sides == [(6, 28), (6, 14), (16, 10), (16, 5)]


def test_its_fully_connected_layers_have_120_100_and_10_units() -> None:
    linear = [layer for layer in LeNet(1, 10).classifier if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(400, 120), (120, 100), (100, 10)]


def test_its_sizes_are_settings() -> None:
    network = LeNet(3, 4, 28, filters=[5, 7], units=[20, 30])
    assert network(torch.zeros(2, 3, 28, 28)).shape == (2, 4)
    assert [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)] == [5, 7]
    assert [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)] == [20, 30, 4]


@pytest.mark.parametrize("size", [16, 17, 21])
def test_from_16_pixels_on_images_are_large_enough(size: int) -> None:
    assert LeNet(1, 3, size)(torch.zeros(2, 1, size, size)).shape == (2, 3)


@pytest.mark.parametrize("size", [4, 8, 15])
def test_smaller_images_are_refused_with_the_smallest_size(size: int) -> None:
    with pytest.raises(ValueError, match=rf"{size}x{size} images shrink to nothing; resize\.size must be 16 or more"):
        LeNet(1, 3, size)
