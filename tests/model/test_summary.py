"""The table of a network: its rows, what they add up to, the warnings at the layers, the memory that a training needs."""

import json
from collections.abc import Callable
from dataclasses import asdict
from itertools import accumulate

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import ProfilerActivity, profile

from pipeline.analysis.figures.network import parts
from pipeline.analysis.layer_table import layer_table
from pipeline.model.forward_pass import TooSmallError
from pipeline.model.layer_rows import Row, Summary
from pipeline.model.summary import optimizer_slots, saved_for_backward, summarise
from tests.conftest import Compose
from tests.model.measures import on_meta, option


def table(network: nn.Module, channels: int = 1, side: int = 32) -> Summary:
    return summarise(network, lambda _: network, torch.optim.Adam, channels, side)


def named(**layers: nn.Module) -> nn.Sequential:
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    return network


def row(summary: Summary, name: str) -> Row:
    [found] = [row for row in summary.rows if row.name == name]
    return found


class Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return self.relu(self.conv2(self.relu(self.conv1(maps))) + maps)


def blocks(count: int) -> nn.Sequential:
    many = nn.Sequential(*(Block(4) for _ in range(count)))
    return named(stem=nn.Conv2d(1, 4, 3), norm=nn.BatchNorm2d(4), body=many, flatten=nn.Flatten(), scores=nn.Linear(4 * 30 * 30, 10))


def test_a_row_has_a_layers_weights_biases_shape_window_and_computation() -> None:
    found = row(table(named(conv=nn.Conv2d(4, 6, 3, 2, 1, groups=2, bias=True)), 4, 8), "conv")
    assert (found.kind, found.output, found.window) == ("convolution", (6, 4, 4), "3×3 stride 2 padding 1 groups 2")
    assert (found.weights, found.biases, found.macs, found.field, found.step) == (108, 6, 6 * 16 * 2 * 9, 3, 2)


def test_a_function_that_a_block_applies_has_a_row_and_a_layer_used_twice_has_its_weights_once() -> None:
    summary = table(blocks(1))
    assert [row.kind for row in summary.rows if row.name == "body.0"] == ["addition"]
    shared = nn.Linear(9, 9)
    twice = table(nn.Sequential(nn.Flatten(), shared, nn.ReLU(), shared), 1, 3)
    assert [row.parameters for row in twice.rows] == [0, 90, 0, 0]
    assert [row.macs for row in twice.rows] == [0, 81, 0, 81]


def test_rows_add_up_to_the_networks_parameters_and_multiplications(composed: Compose) -> None:
    summary = table(on_meta(composed, "resnet20", 32), 3)
    assert sum(row.parameters for row in summary.rows) == summary.parameters == 269_722
    assert sum(row.macs for row in summary.rows) == summary.macs == 40_551_040


def test_frozen_weights_are_counted_and_not_trained() -> None:
    network = named(conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2))
    network[0].requires_grad_(False)
    summary = table(network)
    assert (summary.parameters, summary.trainable, summary.buffers) == (24, 4, 5)
    assert summary.memory(10).gradients == 16


def test_the_beginning_that_all_names_share_is_left_out() -> None:
    summary = table(named(layers=named(conv=nn.Conv2d(1, 2, 3), pool=nn.MaxPool2d(7))))
    assert [row.name for row in summary.rows] == ["conv", "pool"]
    assert summary.warnings[0].startswith("pool: ")


def test_a_table_comes_back_from_json() -> None:
    summary = table(blocks(2))
    assert Summary.from_dict(json.loads(json.dumps(asdict(summary)))) == summary


def test_layers_that_only_training_uses_are_counted_and_told_apart(composed: Compose) -> None:
    network = on_meta(composed, "googlenet", 224, classes=1000)
    assert "6,379,728 of the parameters are in layers used only in training" in layer_table(table(network, 3, 224), 1)


@pytest.mark.parametrize(("name", "kinds"), [("lenet5", ["border", "subsampling"]), ("resnet20", ["average pooling", "border"])])
def test_layers_are_called_by_what_they_do(name: str, kinds: list[str], composed: Compose) -> None:
    found = [row.kind for row in table(on_meta(composed, name, 28, channels=1), 1, 28).rows]
    assert [kind for kind in found if kind in ("border", "subsampling", "average pooling")][:2] == kinds


# Warnings


def test_each_layer_with_rows_that_no_window_reaches_is_told_with_the_nearest_sizes_that_divide_evenly() -> None:
    network = named(pool1=nn.MaxPool2d(2), pool2=nn.MaxPool2d(2), pool3=nn.MaxPool2d(4))
    assert table(network, 1, 31).warnings == (
        "pool1: rounded down, no window reaches the last row and column of its 31×31 maps; images of 16 or 32 pixels divide evenly",
        "pool2: rounded down, no window reaches the last row and column of its 15×15 maps; images of 16 or 32 pixels divide evenly",
        "pool3: rounded down, no window reaches the last 3 rows and columns of its 7×7 maps; images of 16 or 32 pixels divide evenly",
    )
    assert table(network, 1, 32).warnings == ()


def test_windows_that_end_beyond_the_maps_are_told_as_rounded_up() -> None:
    network = named(conv=nn.Conv2d(1, 2, 1), pool1=nn.MaxPool2d(3, 2, ceil_mode=True), pool2=nn.AvgPool2d(4, 4, 1, ceil_mode=True))
    assert table(network, 1, 12).warnings == (
        "pool1: rounded up, the last windows end 1 pixel beyond its 12×12 maps; images of 7 or 13 pixels divide evenly",
    )
    assert table(network, 1, 9).warnings == (
        "pool2: rounded up, the last windows end 2 pixels beyond its 4×4 maps; images of 7 or 13 pixels divide evenly",
    )
    assert table(network, 1, 13).warnings == ()


class TwoForms(nn.Sequential):
    """Pools of two pixels, below twenty pixels of three."""

    def __init__(self, side: int) -> None:
        torch.rand(1, device="cpu")
        window = 3 if side < 20 else 2
        super().__init__(nn.Conv2d(1, 2, 1), nn.MaxPool2d(window), nn.MaxPool2d(window))


def test_a_size_at_which_the_network_has_other_layers_is_suggested_only_where_it_divides_those_evenly() -> None:
    network = TwoForms(21)
    assert [warning.partition("; ")[2] for warning in summarise(network, TwoForms, torch.optim.Adam, 1, 21).warnings[:2]] == [
        "images of 20 or 24 pixels divide evenly"
    ]
    [warning, *_] = summarise(TwoForms(19), TwoForms, torch.optim.Adam, 1, 19).warnings
    assert warning.endswith("; images of 18 pixels divide evenly")  # 27 would with the windows of three, which it has no more


def test_trying_another_size_draws_no_random_number() -> None:
    network = TwoForms(21)
    before = torch.get_rng_state()
    assert "24 pixels" in summarise(network, TwoForms, torch.optim.Adam, 1, 21).warnings[0]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_size_that_the_network_refuses_is_not_suggested() -> None:
    def make(side: int) -> nn.Module:
        if side > 31:
            raise ValueError("31 pixels at most")
        return network

    network = named(pool1=nn.MaxPool2d(2), pool2=nn.MaxPool2d(2))
    [first, _] = summarise(network, make, torch.optim.Adam, 1, 31).warnings
    assert first.endswith("; images of 28 pixels divide evenly")


def test_filters_on_maps_of_one_pixel_are_told_with_the_size_from_which_the_maps_are_larger() -> None:
    network = named(pool=nn.MaxPool2d(8), conv=nn.Conv2d(1, 2, 3, padding=1), again=nn.Conv2d(2, 2, 3, padding=1))
    warnings = table(network, 1, 8).warnings
    assert warnings[0] == (
        "conv: the maps before it are 1×1, so one weight of its 3×3 meets the image (and so in 1 more); "
        "from 16 pixels on the maps are larger"
    )
    assert not any("1×1" in warning for warning in table(network, 1, 16).warnings)


def test_the_first_layer_that_sees_the_whole_image_is_told() -> None:
    network = named(conv1=nn.Conv2d(1, 2, 5, padding=2), conv2=nn.Conv2d(2, 2, 5, padding=2), conv3=nn.Conv2d(2, 2, 5, padding=2))
    assert table(network, 1, 8).notes == ("conv2: from here on a value may depend on the whole image; its field is 9 of 8 pixels",)
    assert table(network, 1, 13).notes == ()


def test_maps_that_would_reach_zero_are_refused_at_the_layer() -> None:
    with pytest.raises(TooSmallError, match="pool2: the 1x1 maps before it are smaller than its 2x2 window"):
        table(named(pool1=nn.MaxPool2d(2), pool2=nn.MaxPool2d(2)), 1, 3)


def test_what_a_network_says_of_itself_is_in_its_table() -> None:
    network = named(conv=nn.Conv2d(1, 2, 3))
    network.notes = ["small variant"]
    assert table(network).notes == ("small variant",)


# Parts


def test_layers_that_follow_each_other_are_told_one_by_one_with_what_changes_values_only() -> None:
    conv, fc = nn.Conv2d(1, 2, 3), nn.Linear(2 * 15 * 15, 3)
    found = parts(table(named(conv=conv, norm=nn.BatchNorm2d(2), relu=nn.ReLU(), pool=nn.MaxPool2d(2), flat=nn.Flatten(), fc=fc)), 25)
    assert [(part.name, part.kind, part.output) for part in found] == [
        ("conv", "convolution 3×3, batch norm, ReLU", (2, 30, 30)),
        ("pool", "max pooling 2×2 stride 2", (2, 15, 15)),
        ("fc", "fully connected", (3,)),
    ]
    assert found[0].parameters == 20 + 4


def test_what_branches_is_told_as_a_block_and_many_blocks_as_one() -> None:
    summary = table(blocks(3))
    assert [part.name for part in parts(summary, 25)] == ["stem", "body.0", "body.1", "body.2", "scores"]
    few = parts(summary, 4)
    assert [(part.name, part.kind) for part in few[:2]] == [("stem", "convolution 3×3, batch norm"), ("body", "3 × block")]
    assert sum(part.parameters for part in few) == summary.parameters


@pytest.mark.parametrize("name", ["lenet", "vgg16", "googlenet", "resnet18", "resnet152", "densenet121"])
def test_known_networks_have_25_parts_or_fewer_with_all_their_parameters(name: str, composed: Compose) -> None:
    channels = 1 if name == "lenet" else 3
    summary = table(on_meta(composed, name, 32, channels), channels, 32)
    found = parts(summary, 25)
    assert 5 < len(found) <= 25
    assert sum(part.parameters for part in found) == sum(row.parameters for row in summary.rows)


# Memory


def peak(network: nn.Module, images: Tensor) -> int:
    """Return the bytes that the first step of Adam takes at most, beside images and weights, by torch's own count of each tensor."""
    optimizer = torch.optim.Adam(network.parameters())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        network(images).sum().backward()
        optimizer.step()
    events = profiled.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return max(accumulate(change for _, change in changes))


@pytest.mark.parametrize(("name", "channels"), [("lenet", 1), ("resnet20", 3)])
def test_memory_is_what_a_training_step_is_seen_to_use(name: str, channels: int, composed: Compose) -> None:
    batch, side = 64, 32
    network = option(composed, name, side, channels)
    estimated = table(network, channels, side).memory(batch)
    images = torch.zeros(batch, channels, side, side)
    assert peak(network, images) == pytest.approx(estimated.total - estimated.weights - images.nbytes, rel=0.15)


def test_what_batch_norm_keeps_is_counted_and_their_statistics_stay() -> None:
    conv, norm = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2)
    maps = 2 * 8 * 8 * 4  # bytes
    image = maps // 2
    assert saved_for_backward(named(conv=conv), 1, 8) == 2 * image  # the filters' gradient needs the image
    network = named(conv=conv, norm=norm, relu=nn.ReLU())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert saved_for_backward(network, 1, 8) == image + maps + maps + maps  # the norm's input, ReLU's output, a gradient
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


class Viewed(nn.Module):
    """Flattens by a view, which no images at all do not allow."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.view(len(maps), -1)


def test_a_network_that_needs_images_to_be_followed_keeps_as_much_as_one_that_does_not() -> None:
    conv, scores = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(2 * 8 * 8, 2)  # two filters, as many as the images it gets
    expected = saved_for_backward(named(conv=conv, relu=nn.ReLU(), flatten=nn.Flatten(), scores=scores), 1, 8)
    assert expected > 0
    assert saved_for_backward(named(conv=conv, relu=nn.ReLU(), flatten=Viewed(), scores=scores), 1, 8) == expected


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (lambda weights: torch.optim.SGD(weights, lr=0.1), 0),
        (lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9), 1),
        (torch.optim.Adam, 2),
        (torch.optim.AdamW, 2),
        (lambda weights: torch.optim.Adam(weights, amsgrad=True), 3),
    ],
)
def test_an_optimizer_is_asked_what_it_remembers_of_each_weight(make: Callable[..., Optimizer], values: int) -> None:
    assert optimizer_slots(make) == values
