import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.config.errors import ConfigError
from pipeline.model.forward_pass import TooSmallError
from pipeline.model.layers import LocalResponseNorm
from tests.conftest import Compose
from tests.model.measures import first_loss, layer_fields, layer_parameters, measure, on_meta, option, without_gradient

VARIANTS = ["alexnet", "alexnet_ungrouped", "alexnet_one_tower"]


@pytest.mark.parametrize(
    ("name", "size", "classes", "total"),
    [
        ("alexnet", 227, 1000, 60_965_224),
        ("alexnet_ungrouped", 227, 1000, 62_378_344),
        ("alexnet_one_tower", 224, 1000, 61_100_840),
        ("alexnet_one_tower", 224, 10, 57_044_810),
        ("alexnet_one_tower", 224, 2, 57_012_034),
    ],
)
def test_each_form_has_the_parameters_that_are_known_of_it(name: str, size: int, classes: int, total: int, composed: Compose) -> None:
    measured = measure(on_meta(composed, name, size, classes=classes), size)
    assert (measured.parameters, measured.buffers) == (total, 0)


def test_parameters_of_the_two_towers_layer_by_layer(composed: Compose) -> None:
    assert layer_parameters(on_meta(composed, "alexnet", 227, classes=1000)) == {
        "conv1": 34_944,
        "conv2": 307_456,
        "conv3": 885_120,
        "conv4": 663_936,
        "conv5": 442_624,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "fc8": 4_097_000,
    }


@pytest.mark.parametrize(("name", "size", "billions"), [("alexnet", 227, 0.724), ("alexnet_one_tower", 224, 0.714)])
def test_macs(name: str, size: int, billions: float, composed: Compose) -> None:
    measured = measure(on_meta(composed, name, size, classes=1000), size)
    assert round(measured.macs / 1e9, 3) == billions


@pytest.mark.parametrize(
    ("name", "size", "channels"), [("alexnet", 227, (96, 256, 384, 384, 256)), ("alexnet_one_tower", 224, (64, 192, 384, 256, 256))]
)
def test_maps_go_55_27_13_6(name: str, size: int, channels: tuple[int, ...], composed: Compose) -> None:
    measured = measure(on_meta(composed, name, size), size)
    sides = {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13, "pool5": 6}
    assert {layer: measured.sides[layer] for layer in sides} == sides
    assert tuple(measured.channels[f"conv{number}"] for number in range(1, 6)) == channels


@pytest.mark.parametrize("name", VARIANTS)
def test_receptive_fields_go_from_11_to_195_pixels(name: str, composed: Compose) -> None:
    fields = layer_fields(on_meta(composed, name, 227), 227)
    assert fields == dict(zip(fields, [11, 19, 51, 67, 99, 131, 163, 195], strict=True))
    assert list(fields) == ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]


def test_what_stands_between_the_convolutions_is_as_in_the_paper(composed: Compose) -> None:
    assert [name for name, _ in on_meta(composed, "alexnet", 227).named_children()] == [
        *("conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2"),
        *("conv3", "relu3", "conv4", "relu4", "conv5", "relu5", "pool5"),
        *("flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"),
    ]


def test_dropout_stands_behind_fc6_and_fc7_in_2012_and_before_them_in_torchvision(composed: Compose) -> None:
    behind = ["flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
    before = ["flatten", "drop6", "fc6", "relu6", "drop7", "fc7", "relu7", "fc8"]
    for name, size, expected in (
        ("alexnet", 227, behind),
        ("alexnet_ungrouped", 227, behind),
        ("alexnet_one_tower", 224, before),
        ("alexnet_one_tower", 32, before),
        ("vgg11", 224, behind),
        ("zfnet", 224, behind),
    ):
        assert [layer for layer, _ in on_meta(composed, name, size).named_children()][-8:] == expected, name


def test_a_tower_sees_the_others_maps_in_conv3_only(composed: Compose) -> None:
    network = on_meta(composed, "alexnet", 227)
    assert {name: layer.groups for name, layer in network.named_children() if isinstance(layer, nn.Conv2d)} == {
        "conv1": 1,
        "conv2": 2,
        "conv3": 1,
        "conv4": 2,
        "conv5": 2,
    }


def test_the_one_tower_has_no_normalisation_and_takes_larger_images_with_the_same_weights(composed: Compose) -> None:
    network = on_meta(composed, "alexnet_one_tower", 256, classes=1000)
    assert not [layer for layer in network.modules() if isinstance(layer, LocalResponseNorm)]
    assert measure(network, 256).parameters == 61_100_840


def test_local_response_normalisation_is_the_papers_formula() -> None:
    maps = 20 * torch.rand(2, 7, 3, 3)
    expected = torch.empty_like(maps)
    for i in range(7):
        neighbours = maps[:, max(0, i - 2) : min(6, i + 2) + 1]
        expected[:, i] = maps[:, i] / (2 + 1e-4 * neighbours.pow(2).sum(1)) ** 0.75
    torch.testing.assert_close(LocalResponseNorm()(maps), expected)
    assert not torch.allclose(F.local_response_norm(maps, 5, 1e-4, 0.75, 2), expected)  # torch's own divides alpha by 5


def test_224_pixels_get_the_padding_that_the_paper_leaves_out_and_227_need_none(composed: Compose) -> None:
    assert on_meta(composed, "alexnet", 227).notes == []
    network = on_meta(composed, "alexnet", 224)
    assert network.notes == ["conv1 pads images of 224x224 pixels by 2: its stride of 4 fits 227x227 without"]
    assert measure(network, 224).sides["conv1"] == 55


def test_paper_weights_begin_normal_with_0_01_and_some_biases_at_1(composed: Compose) -> None:
    network = option(composed, "alexnet", 127)
    ones = {"conv2", "conv4", "conv5", "fc6", "fc7"}
    layers = {name: layer for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)}
    assert len(layers) == 8
    for name, layer in layers.items():
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03), name
        assert layer.weight.mean().item() == pytest.approx(0, abs=2e-4), name
        assert set(layer.bias.tolist()) == {1.0 if name in ones else 0.0}, name


def test_small_weights_of_convolutions_begin_with_hes_values(composed: Compose) -> None:
    network = option(composed, "alexnet", 32)
    layers = {name: layer for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)}
    assert len(layers) == 8
    for name, layer in layers.items():
        expected = 0.01 if name.startswith("fc") else (2 / layer.weight[0].numel()) ** 0.5
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05), name
        assert not layer.bias.any(), name


def test_dropout_is_what_conf_says(composed: Compose) -> None:
    network = on_meta(composed, "alexnet", 227, dropout=0.3, units=100)
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    assert [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)] == [100, 100, 10]


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("size", "last"), [(8, 1), (28, 4), (32, 4), (64, 8)])
def test_small_images_get_the_small_form_with_a_note(name: str, size: int, last: int, composed: Compose) -> None:
    network = on_meta(composed, name, size)
    measured = measure(network, size)
    assert (measured.sides["conv1"], measured.sides["pool5"]) == (size, last)
    [note] = network.notes
    assert note == (
        f"small variant for images of {size}x{size} pixels: conv1 has 5x5 filters with stride 1 (paper: 11x11, 4), poolings are padded, "
        "fc6 and fc7 have small_units=512 (in place of units=4096). model.variant=paper keeps the paper's layers"
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_one_step_of_the_small_form_reaches_every_parameter(name: str, composed: Compose) -> None:
    assert without_gradient(option(composed, name, 16), torch.randn(8, 3, 16, 16)) == []


@pytest.mark.parametrize("name", VARIANTS)
def test_the_small_form_begins_as_good_as_guessing(name: str, composed: Compose) -> None:
    assert first_loss(option(composed, name, 16), torch.randn(20, 3, 16, 16)) == pytest.approx(2.3026, rel=0.1)


def test_the_papers_form_refuses_small_images_with_the_layer(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="pool5: the 1x1 maps before it are smaller than its 3x3 window") as caught:
        on_meta(composed, "alexnet", 32, variant="paper")
    assert isinstance(caught.value.__cause__, TooSmallError)


def test_another_form_is_refused(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="variant is 'tiny', expected one of paper, small, auto"):
        on_meta(composed, "alexnet", 32, variant="tiny")


def test_towers_that_do_not_divide_the_maps_are_refused(composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"AlexNet refused its options: in_channels must be divisible by groups"):
        on_meta(composed, "alexnet", 32, groups=5)
