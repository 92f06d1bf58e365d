"""What the trace says of a network is what the network does."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline.model.forward_pass import TooSmallError
from pipeline.model.tracing import Call, Window, output_shape, trace


class Residual(nn.Module):
    """A block with a shortcut of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 8, 1, stride=2)

    def forward(self, maps: Tensor) -> Tensor:
        return self.conv2(self.conv1(maps)) + self.shortcut(maps)


def in_a_row() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 5), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3, dilation=2), nn.AvgPool2d(3, 2, padding=1))


def with_blocks() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), Residual(), nn.AvgPool2d(3, 2, ceil_mode=True), nn.Conv2d(8, 8, 2))


def with_gathered_maps() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3, stride=3), nn.AdaptiveAvgPool2d(4), nn.Conv2d(4, 4, 2))


def fields_of_gradients(network: nn.Sequential, side: int) -> list[int]:
    """Return height = width of the pixels on which the middle value of each layer depends."""
    positive = copy.deepcopy(network).double()
    for weight in positive.parameters():
        weight.data = torch.rand_like(weight) + 0.1  # nothing cancels
    found = []
    for depth in range(1, len(positive) + 1):
        image = torch.zeros(1, 1, side, side, dtype=torch.double, requires_grad=True)
        maps = positive[:depth](image)
        middle = maps.shape[-1] // 2
        maps[0, :, middle, middle].sum().backward()
        seen = image.grad[0, 0].nonzero()
        found.append(int((seen.max(dim=0).values - seen.min(dim=0).values).max()) + 1)
    return found


@pytest.mark.parametrize("network", [in_a_row(), with_blocks(), with_gathered_maps()])
def test_receptive_fields_are_the_pixels_that_have_a_gradient(network: nn.Sequential) -> None:
    side = 72
    last = {call.layer.partition(".")[0]: call for call in trace(network, 1, side)}
    assert [last[str(depth)].field.size for depth in range(len(network))] == fields_of_gradients(network, side)


def test_receptive_fields_follow_the_formula() -> None:
    # size += (kernel - 1) step, step *= stride (Dumoulin and Visin, arXiv:1603.07285)
    calls = trace(in_a_row(), 1, 72)
    assert [(call.field.size, call.field.step) for call in calls] == [(5, 1), (6, 2), (14, 2), (18, 4)]


def test_multiplications_are_those_of_the_positions_times_the_filters_weights() -> None:
    network = nn.Sequential(nn.Conv2d(4, 6, 5, groups=2), nn.Flatten(), nn.Linear(6 * 4 * 4, 10))
    assert [call.macs for call in trace(network, 4, 8)] == [6 * 4 * 4 * 2 * 25, 0, 96 * 10]


def test_calls_know_their_layer_and_which_calls_made_their_inputs() -> None:
    calls = trace(with_blocks(), 1, 32)
    assert [call.layer for call in calls] == ["0", "1.conv1", "1.conv2", "1.shortcut", "1", "2", "3"]
    assert [call.sources for call in calls] == [(-1,), (0,), (1,), (0,), (2, 3), (4,), (5,)]


@pytest.mark.parametrize(
    ("layer", "side", "unseen"),
    [
        (nn.MaxPool2d(2), 15, 1),
        (nn.MaxPool2d(2), 16, 0),
        (nn.MaxPool2d(2, ceil_mode=True), 15, 0),
        (nn.Conv2d(1, 1, 11, stride=4), 224, 1),  # AlexNet's first layer on the size that its paper prints
        (nn.Conv2d(1, 1, 11, stride=4), 227, 0),
        (nn.Conv2d(1, 1, 7, stride=2, padding=3), 224, 0),  # what is left over is padding
        (nn.Conv2d(1, 1, 1, stride=2), 56, 0),  # gaps of a stride larger than its window are meant
    ],
)
def test_rows_that_no_window_reaches_are_counted(layer: nn.Module, side: int, unseen: int) -> None:
    [call] = trace(nn.Sequential(layer), 1, side)
    assert call.unseen == unseen


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("side", range(3, 12))
def test_a_window_has_as_many_positions_as_torch_gives_a_pooling(side: int, kernel: int, padding: int, ceil_mode: bool) -> None:
    pool = nn.MaxPool2d(kernel, 2, padding, ceil_mode=ceil_mode)
    assert Window(kernel, 2, padding, ceil_mode=ceil_mode).positions(side) == pool(torch.zeros(1, 1, side, side)).shape[-1]


@pytest.mark.parametrize(
    ("layers", "side", "message"),
    [
        ({"conv1": nn.Conv2d(1, 2, 3), "pool1": nn.MaxPool2d(2)}, 3, "pool1: the 1x1 maps before it are smaller than its 2x2 window$"),
        (
            {"conv1": nn.Conv2d(1, 2, 5, padding=1)},
            2,
            "conv1: the 2x2 maps before it are smaller than its 5x5 window, even with 1 pixel of padding",
        ),
        ({"conv1": nn.Conv2d(1, 2, 3, dilation=2)}, 4, "conv1: the 4x4 maps before it are smaller than its 5x5 window"),
        ({"pool1": nn.AvgPool2d(3)}, 2, "pool1: the 2x2 maps before it are smaller than its 3x3 window"),
        ({"pool1": nn.LPPool2d(2, 3)}, 2, "pool1: the 2x2 maps before it are smaller than its 3x3 window"),
    ],
)
def test_maps_that_would_shrink_to_nothing_are_refused_with_the_layer(layers: dict[str, nn.Module], side: int, message: str) -> None:
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    with pytest.raises(TooSmallError, match=message):
        output_shape(network, (1, side, side))


def test_a_pooling_that_may_end_beyond_its_maps_takes_smaller_ones() -> None:
    assert output_shape(nn.MaxPool2d(3, 2, ceil_mode=True), (1, 2, 2)) == (1, 1, 1)


class Viewing(nn.Module):
    """Can't do with no image, as torch doesn't know then what -1 stands for."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.layer = nn.Linear(9, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps, _ = self.pool(images)
        return self.layer(maps.view(len(maps), -1))


class Deciding(Viewing):
    """Can't do without values either."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(-images if images.max() > 1 else images)


@pytest.mark.parametrize("network", [Viewing(), Deciding()])
def test_a_network_that_needs_images_is_traced_too(network: nn.Module) -> None:
    calls = [call for call in trace(network, 1, 6) if call.function in ("max_pool2d_with_indices", "linear")]
    assert [(call.layer, call.output, call.macs) for call in calls] == [("pool", (1, 3, 3), 0), ("layer", (3,), 27)]


def test_tracing_leaves_mode_weights_statistics_and_chance_as_they_were() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
    network[1].eval()
    before, state = {name: value.clone() for name, value in network.state_dict().items()}, torch.get_rng_state()
    trace(network, 1, 8)
    assert [layer.training for layer in network] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_of_the_meta_device_is_traced() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Flatten(), nn.Linear(64 * 222 * 222, 1000))
    last: Call = trace(network, 3, 224)[-1]
    assert last.macs == 64 * 222 * 222 * 1000
