import math

import pytest
import torch
from torch import nn

from pipeline.config.errors import ConfigError
from pipeline.model.forward_pass import TooSmallError
from tests.conftest import Compose
from tests.model.measures import first_loss, layer_fields, layer_parameters, measure, on_meta, option, without_gradient

DEPTHS = {"vgg11": (1, 1, 2, 2, 2), "vgg13": (2, 2, 2, 2, 2), "vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


@pytest.mark.parametrize(
    ("name", "total", "buffers", "billions"),
    [
        ("vgg11", 132_863_336, 0, 7.609),
        ("vgg13", 133_047_848, 0, 11.308),
        ("vgg16", 138_357_544, 0, 15.470),
        ("vgg19", 143_667_240, 0, 19.632),
        ("vgg11_bn", 132_868_840, 5_512, 7.609),
        ("vgg13_bn", 133_053_736, 5_898, 11.308),
        ("vgg16_bn", 138_365_992, 8_461, 15.470),
        ("vgg19_bn", 143_678_248, 11_024, 19.632),
    ],
)
def test_each_depth_has_the_parameters_buffers_and_macs_that_are_known_of_it(
    name: str, total: int, buffers: int, billions: float, composed: Compose
) -> None:
    measured = measure(on_meta(composed, name, 224, classes=1000), 224)
    assert (measured.parameters, measured.buffers, round(measured.macs / 1e9, 3)) == (total, buffers, billions)


@pytest.mark.parametrize(
    ("name", "classes", "total"),
    [("vgg11", 10, 128_807_306), ("vgg16", 10, 134_301_514), ("vgg11", 2, 128_774_530), ("vgg16", 2, 134_268_738)],
)
def test_other_numbers_of_classes_change_the_last_layer_alone(name: str, classes: int, total: int, composed: Compose) -> None:
    assert measure(on_meta(composed, name, 224, classes=classes), 224).parameters == total


@pytest.mark.parametrize("name", DEPTHS)
def test_parameters_layer_by_layer(name: str, composed: Compose) -> None:
    expected, channels = {}, 3
    for block, (width, count) in enumerate(zip(WIDTHS, DEPTHS[name], strict=True), 1):
        for number in range(1, count + 1):
            expected[f"conv{block}_{number}"] = 9 * channels * width + width
            channels = width
    expected |= {"fc6": 102_760_448 + 4096, "fc7": 16_781_312, "fc8": 4_097_000}
    assert layer_parameters(on_meta(composed, name, 224, classes=1000)) == expected


@pytest.mark.parametrize("name", DEPTHS)
def test_blocks_end_with_maps_of_112_56_28_14_7(name: str, composed: Compose) -> None:
    measured = measure(on_meta(composed, name, 224), 224)
    ends = [(measured.channels[f"pool{block}"], measured.sides[f"pool{block}"]) for block in range(1, 6)]
    assert ends == list(zip(WIDTHS, (112, 56, 28, 14, 7), strict=True))


@pytest.mark.parametrize(("name", "pixels"), [("vgg11", 150), ("vgg13", 156), ("vgg16", 212), ("vgg19", 268)])
def test_receptive_fields(name: str, pixels: int, composed: Compose) -> None:
    fields = layer_fields(on_meta(composed, name, 224), 224)
    assert list(fields)[-1] == "pool5"
    assert fields["pool5"] == pixels


def test_batch_norm_stands_between_convolution_and_relu(composed: Compose) -> None:
    names = [name for name, _ in on_meta(composed, "vgg16_bn", 224).named_children()]
    assert names[:8] == ["conv1_1", "bn1_1", "relu1_1", "conv1_2", "bn1_2", "relu1_2", "pool1", "conv2_1"]
    assert names[-9:] == ["pool5", "flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]


@pytest.mark.parametrize(
    ("name", "total"), [("vgg11_bn", 9_231_114), ("vgg13_bn", 9_416_010), ("vgg16_bn", 14_728_266), ("vgg19_bn", 20_040_522)]
)
@pytest.mark.parametrize(("size", "side"), [(28, 1), (32, 1), (64, 2)])
def test_the_small_form_has_one_linear_layer_on_the_mean_of_each_map(
    name: str, total: int, size: int, side: int, composed: Compose
) -> None:
    network = on_meta(composed, name, size)
    measured = measure(network, size)
    assert (measured.parameters, measured.sides["pool5"], measured.sides["average"]) == (total, side, 1)
    assert [name for name, _ in network.named_children()][-4:] == ["pool5", "average", "flatten", "fc"]


def test_the_small_form_says_what_it_changed_and_the_papers_has_no_note(composed: Compose) -> None:
    assert on_meta(composed, "vgg16", 224).notes == []
    [note] = on_meta(composed, "vgg16", 32).notes
    assert note == (
        "small variant for images of 32x32 pixels: one linear layer on the mean of each map in place of fc6, fc7 and fc8, "
        "whose units and dropout are ignored. model.variant=paper keeps the paper's layers"
    )


@pytest.mark.parametrize("size", [112, 160, 256, 300])
def test_other_sizes_keep_the_weights_that_fc6_has_at_224_pixels_as_in_torchvision(size: int, composed: Compose) -> None:
    network = on_meta(composed, "vgg11", size, classes=1000)
    assert measure(network, size).parameters == 132_863_336
    assert network.notes == [f"the last maps of {size // 32}x{size // 32} pixels are averaged to 7x7 for fc6"]
    own = on_meta(composed, "vgg11", size, final_side=None)
    assert own.fc6.in_features == 512 * (size // 32) ** 2
    assert own.notes == []


def test_maps_that_are_smaller_are_repeated_as_torchvision_s_average_does(composed: Compose) -> None:
    network = option(composed, "vgg11", 32, variant="paper", units=8).eval()
    assert network.average(torch.arange(4.0).reshape(1, 1, 2, 2))[0, 0, :, 0].tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_images_of_mnists_size_get_a_border_so_that_five_poolings_fit(composed: Compose) -> None:
    network = on_meta(composed, "vgg11", 28, channels=1)
    assert network.notes[0] == "images of 28x28 pixels are padded to 32x32 by replicating their edges"
    assert measure(network, 28, channels=1).sides["conv1_1"] == 32


def test_convolutions_begin_with_hes_values_and_linear_layers_with_the_papers(composed: Compose) -> None:
    network = option(composed, "vgg11", 32, variant="paper", units=512)
    layers = {name: layer for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)}
    assert len(layers) == 11
    for name, layer in layers.items():
        expected = math.sqrt(2 / layer.weight[0].numel()) if name.startswith("conv") else 0.01
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05), name
        assert not layer.bias.any(), name


@pytest.mark.parametrize("name", DEPTHS)
def test_the_small_form_begins_as_good_as_guessing_without_batch_norm_too(name: str, composed: Compose) -> None:
    torch.manual_seed(0)
    assert first_loss(option(composed, name, 32), torch.randn(4, 3, 32, 32)) == pytest.approx(2.3026, rel=0.1)


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_one_step_of_the_small_form_reaches_every_parameter(name: str, composed: Compose) -> None:
    assert without_gradient(option(composed, name, 32), torch.randn(4, 3, 32, 32)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg13", "vgg16", "vgg19", "vgg13_bn", "vgg16_bn", "vgg19_bn"])
def test_one_step_of_the_deeper_small_forms_reaches_every_parameter(name: str, composed: Compose) -> None:
    assert without_gradient(option(composed, name, 32), torch.randn(4, 3, 32, 32)) == []


def test_filters_units_and_dropout_are_what_conf_says(composed: Compose) -> None:
    network = on_meta(composed, "vgg11", 224, filters=[4, 4, 8, 8, 8], units=30, dropout=0.2)
    assert [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)] == [4, 4, 8, 8, 8, 8, 8, 8]
    assert [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)] == [30, 30, 10]
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.2, 0.2]


def test_filters_and_convolutions_of_different_numbers_of_blocks_are_refused(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="filters has 3 blocks and convolutions has 5; they need one number per block"):
        on_meta(composed, "vgg11", 32, filters=[4, 4, 8])


@pytest.mark.parametrize(("size", "layer"), [(8, "pool4"), (16, "pool5"), (27, "pool5")])
@pytest.mark.parametrize("variant", ["auto", "paper"])
def test_images_that_five_poolings_shrink_to_nothing_are_refused_with_the_layer(
    size: int, layer: str, variant: str, composed: Compose
) -> None:
    with pytest.raises(ConfigError, match=f"{layer}: the 1x1 maps before it are smaller than its 2x2 window") as caught:
        on_meta(composed, "vgg16", size, variant=variant)
    assert isinstance(caught.value.__cause__, TooSmallError)
