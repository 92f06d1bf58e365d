import pytest
import torch
from torch import nn

from pipeline.config.errors import ConfigError
from pipeline.model.forward_pass import TooSmallError
from pipeline.model.layers import CappedConv2d, constrain
from tests.conftest import Compose
from tests.model.measures import first_loss, layer_fields, layer_parameters, measure, on_meta, option, without_gradient


def test_zfnet_has_62357608_parameters_layer_by_layer_as_known(composed: Compose) -> None:
    network = on_meta(composed, "zfnet", 224, classes=1000)
    assert layer_parameters(network) == {
        "conv1": 14_208,
        "conv2": 614_656,
        "conv3": 885_120,
        "conv4": 1_327_488,
        "conv5": 884_992,
        "fc6": 37_752_832,
        "fc7": 16_781_312,
        "fc8": 4_097_000,
    }
    measured = measure(network, 224)
    assert (measured.parameters, measured.buffers, round(measured.macs / 1e9, 3)) == (62_357_608, 0, 1.168)


def test_its_maps_go_110_55_26_13_6(composed: Compose) -> None:
    measured = measure(on_meta(composed, "zfnet", 224), 224)
    sides = {"conv1": 110, "pool1": 55, "conv2": 26, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13, "pool5": 6}
    assert {layer: measured.sides[layer] for layer in sides} == sides
    assert [measured.channels[f"conv{number}"] for number in range(1, 6)] == [96, 256, 384, 384, 256]


def test_its_receptive_fields_go_from_7_to_171_pixels(composed: Compose) -> None:
    assert layer_fields(on_meta(composed, "zfnet", 224), 224) == {
        "conv1": 7,
        "pool1": 11,
        "conv2": 27,
        "pool2": 43,
        "conv3": 75,
        "conv4": 107,
        "conv5": 139,
        "pool5": 171,
    }


def test_contrast_is_normalised_after_the_pooling(composed: Compose) -> None:
    assert [name for name, _ in on_meta(composed, "zfnet", 224).named_children()] == [
        *("conv1", "relu1", "pool1", "norm1", "conv2", "relu2", "pool2", "norm2"),
        *("conv3", "relu3", "conv4", "relu4", "conv5", "relu5", "pool5"),
        *("flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"),
    ]


@pytest.mark.parametrize("size", [32, 224])
def test_every_convolution_is_capped_and_the_linear_layers_are_not(size: int, composed: Compose) -> None:
    network = on_meta(composed, "zfnet", size)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [type(layer) for layer in convolutions] == [CappedConv2d] * 5


def test_a_filter_that_grew_past_a_root_mean_square_of_0_1_is_scaled_back_and_the_others_are_left(composed: Compose) -> None:
    network = option(composed, "zfnet", 16)
    conv, linear = network.get_submodule("conv2"), network.get_submodule("fc7")
    with torch.no_grad():
        conv.weight[0] *= 100
        linear.weight *= 100
    grown, others, units = conv.weight[0].clone(), conv.weight[1:].clone(), linear.weight.clone()
    constrain(network)
    assert conv.weight[0].pow(2).mean().sqrt().item() == pytest.approx(0.1)
    torch.testing.assert_close(conv.weight[0] / conv.weight[0].norm(), grown / grown.norm())
    assert torch.equal(conv.weight[1:], others)
    assert torch.equal(linear.weight, units)


def test_paper_weights_begin_normal_with_0_01_and_biases_at_0(composed: Compose) -> None:
    network = option(composed, "zfnet", 112)
    layers = {name: layer for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)}
    assert len(layers) == 8
    for name, layer in layers.items():
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03), name
        assert not layer.bias.any(), name


def test_small_weights_of_convolutions_begin_with_hes_values_below_their_cap(composed: Compose) -> None:
    network = option(composed, "zfnet", 32)
    layers = {name: layer for name, layer in network.named_children() if isinstance(layer, nn.Conv2d | nn.Linear)}
    assert len(layers) == 8
    for name, layer in layers.items():
        expected = 0.01 if name.startswith("fc") else min(0.1, (2 / layer.weight[0].numel()) ** 0.5)
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05), name
        assert not layer.bias.any(), name


@pytest.mark.parametrize(("size", "last"), [(8, 1), (28, 4), (32, 4), (64, 8)])
def test_small_images_get_the_small_form_with_a_note(size: int, last: int, composed: Compose) -> None:
    network = on_meta(composed, "zfnet", size)
    measured = measure(network, size)
    assert (measured.sides["conv1"], measured.sides["pool5"]) == (size, last)
    [note] = network.notes
    assert note == (
        f"small variant for images of {size}x{size} pixels: conv1 has 3x3 filters with stride 1 (paper: 7x7, 2), conv2 stride 1 (2), "
        "poolings are padded, fc6 and fc7 have small_units=512 (in place of units=4096). model.variant=paper keeps the paper's layers"
    )


def test_the_paper_s_form_has_no_note(composed: Compose) -> None:
    assert on_meta(composed, "zfnet", 224).notes == []


def test_one_step_of_the_small_form_reaches_every_parameter(composed: Compose) -> None:
    assert without_gradient(option(composed, "zfnet", 16), torch.randn(8, 3, 16, 16)) == []


def test_the_small_form_begins_as_good_as_guessing(composed: Compose) -> None:
    assert first_loss(option(composed, "zfnet", 16), torch.randn(20, 3, 16, 16)) == pytest.approx(2.3026, rel=0.1)


def test_dropout_and_units_are_what_conf_says(composed: Compose) -> None:
    network = on_meta(composed, "zfnet", 32, dropout=0.3, small_units=100, filters=[8, 8, 16, 16, 8])
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    assert [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)] == [100, 100, 10]
    assert [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)] == [8, 8, 16, 16, 8]


def test_the_papers_form_refuses_small_images_with_the_layer(composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"(conv2|pool2|pool5): the \dx\d maps before it are smaller than its \dx\d window") as caught:
        on_meta(composed, "zfnet", 16, variant="paper")
    assert isinstance(caught.value.__cause__, TooSmallError)
