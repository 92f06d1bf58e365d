import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.analysis.activations import Layer, feature_maps, label_of, layer_names, rows
from pipeline.model.layers import L2Pool2d, SumPool2d
from pipeline.model.lenet import Subsampling

IMAGE = torch.arange(64.0).reshape(1, 1, 8, 8) / 32 - 1  # (1, C, H, W)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential()
        self.layers.add_module("conv1", nn.Conv2d(1, 6, 3, padding=1))
        self.layers.add_module("norm1", nn.BatchNorm2d(6))
        self.layers.add_module("relu1", nn.ReLU())
        self.layers.add_module("pool1", nn.MaxPool2d(2))
        self.layers.add_module("conv2", nn.Conv2d(6, 4, 3))
        self.layers.add_module("dropout", nn.Dropout(0.5))
        self.layers.add_module("tanh2", nn.Tanh())
        self.layers.add_module("flatten", nn.Flatten())
        self.layers.add_module("fc", nn.Linear(16, 3))
        self.layers.add_module("relu3", nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


@pytest.fixture
def network() -> nn.Module:
    return Small().eval()


def test_layers_come_in_the_order_of_the_computation_less_what_has_no_maps(network: nn.Module) -> None:
    layers, _ = feature_maps(network, IMAGE, 16)
    assert [(layer.name, layer.family, layer.kind) for layer in layers] == [
        ("conv1", "convolution", "convolution 3×3"),
        ("relu1", "activation", "batch norm, ReLU"),  # the normalisation is no step of the tutorials, but it is told
        ("pool1", "pooling", "max pooling"),
        ("conv2", "convolution", "convolution 3×3"),
        ("tanh2", "activation", "tanh"),
    ]
    assert [(layer.channels, *layer.size) for layer in layers] == [(6, 8, 8), (6, 8, 8), (6, 4, 4), (4, 2, 2), (4, 2, 2)]


def test_maps_are_what_the_layers_made(network: nn.Module) -> None:
    layers, answer = feature_maps(network, IMAGE, 16)
    with torch.no_grad():
        convolved = network.layers.conv1(IMAGE)
        positive = network.layers.norm1(convolved).relu()
        pooled = nn.functional.max_pool2d(positive, 2)
        for layer, output in zip(layers, [convolved, positive, pooled], strict=False):
            np.testing.assert_allclose(layer.maps, output[0].numpy(), atol=1e-6)
        np.testing.assert_allclose(answer, network(IMAGE)[0].numpy(), atol=1e-6)


def test_an_activation_in_place_does_not_change_the_maps_before_it() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(inplace=True), nn.Flatten()).eval()
    [before, after], _ = feature_maps(network, IMAGE, 6)
    assert before.maps.min() < 0
    np.testing.assert_array_equal(after.maps, np.maximum(before.maps, 0))


def test_the_first_maps_are_kept_not_chosen_ones(network: nn.Module) -> None:
    every, few = feature_maps(network, IMAGE, 16)[0], feature_maps(network, IMAGE, 2)[0]
    for layer, short in zip(every, few, strict=True):
        np.testing.assert_array_equal(short.maps, layer.maps[:2])
        assert short.channels == layer.channels


def test_looking_leaves_the_network_as_it_was(network: nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    feature_maps(network, IMAGE, 4)
    assert not any(module._forward_hooks for module in network.modules())
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_a_network_that_fails_keeps_no_hooks(network: nn.Module) -> None:
    with pytest.raises(RuntimeError):
        feature_maps(network, torch.zeros(1, 5, 8, 8), 4)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_layer_used_twice_is_shown_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(1, 1, 1), nn.ReLU()

        def forward(self, images: Tensor) -> Tensor:
            return self.relu(self.conv(self.relu(self.conv(images)))).flatten(1)

    layers, _ = feature_maps(Twice().eval(), IMAGE, 4)
    assert [layer.name for layer in layers] == ["conv", "relu", "conv", "relu"]


def test_a_network_without_maps_still_answers() -> None:
    layers, answer = feature_maps(nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.ReLU()).eval(), IMAGE, 4)
    assert layers == []
    assert answer.shape == (3,)


def test_a_layer_of_ones_own_is_what_it_derives_from() -> None:
    class Mine(nn.Conv2d):
        pass

    layers, _ = feature_maps(nn.Sequential(Mine(1, 2, 3), nn.Flatten()).eval(), IMAGE, 4)
    assert [layer.family for layer in layers] == ["convolution"]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.Conv2d(1, 1, (3, 5)), "convolution 3×5"),
        (nn.MaxPool2d(2), "max pooling"),
        (nn.AdaptiveAvgPool2d(1), "average pooling"),
        (SumPool2d(2), "sum pooling"),
        (L2Pool2d(2), "L2 pooling"),
        (Subsampling(6), "subsampling"),
        (nn.LocalResponseNorm(5), "local response norm"),
        (nn.BatchNorm2d(1), "batch norm"),
        (nn.GELU(), "GELU"),
    ],
)
def test_kinds_are_told_label_of(layer: nn.Module, words: str) -> None:
    assert label_of(layer) == words


def test_names_lose_only_what_all_of_them_share() -> None:
    nested = nn.Sequential(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()), nn.Sequential(nn.Linear(1, 1)))
    assert list(layer_names(nested).values()) == ["0.0", "0.1", "1.0"]
    assert list(layer_names(nested[0]).values()) == ["0", "1"]
    assert list(layer_names(nn.Sequential(nn.Sequential(nn.Linear(1, 1)))).values()) == ["0"]


def deep(*blocks: tuple[int, int]) -> list[Layer]:
    """Return convolutions with a ReLU each: (how many, at which size), a pooling after each size."""
    layers = []
    for count, side in blocks:
        for i in range(count):
            maps = np.zeros((1, side, side), np.float32)
            layers += [Layer(f"{side}-{i}", "convolution", "", maps, 1), Layer(f"{side}-{i}", "activation", "", maps, 1)]
        layers.append(Layer(f"{side}", "pooling", "", np.zeros((1, side // 2, side // 2), np.float32), 1))
    return layers


def firsts(found: list[list[Layer]]) -> list[str]:
    assert all(row[0].family == "convolution" and "convolution" not in [layer.family for layer in row[1:]] for row in found)
    return [row[0].name for row in found]


def test_a_row_is_a_convolution_with_what_follows_it() -> None:
    found = rows(deep((2, 8), (1, 4)), most=6)
    assert [[layer.family for layer in row] for row in found] == [
        ["convolution", "activation"],
        ["convolution", "activation", "pooling"],
        ["convolution", "activation", "pooling"],
    ]
    assert firsts(found) == ["8-0", "8-1", "4-0"]


def test_of_a_deep_network_the_first_row_and_the_last_of_each_size_stay() -> None:
    found = rows(deep((2, 64), (2, 32), (3, 16), (3, 8), (3, 4)), most=6)  # VGG16
    assert firsts(found) == ["64-0", "64-1", "32-1", "16-2", "8-2", "4-2"]
    assert all(row[-1].family == "pooling" for row in found[1:])


def test_too_many_sizes_are_thinned_evenly() -> None:
    sizes = [(1, side) for side in range(40, 20, -2)]
    assert firsts(rows(deep(*sizes), most=4)) == ["40-0", "34-0", "28-0", "22-0"]


def test_layers_before_the_first_convolution_have_a_row() -> None:
    found = rows(deep((0, 8), (1, 4)), most=6)
    assert [[layer.family for layer in row] for row in found] == [["pooling"], ["convolution", "activation", "pooling"]]


def test_no_layers_make_no_rows() -> None:
    assert rows([], most=6) == []
