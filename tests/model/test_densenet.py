from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.config.errors import ConfigError
from pipeline.model.densenet import DenseLayer, transition
from pipeline.model.forward_pass import TooSmallError
from tests.conftest import Compose
from tests.model.measures import first_loss, measure, on_meta, option, without_gradient

IMAGENET = {  # parameters, buffers, MACs in G, receptive field, channels at the end; 224x224 and 1000 classes
    "densenet121": (7_978_856, 83_769, 2.834, 2071, 1024),
    "densenet169": (14_149_480, 158_569, 3.360, 3351, 1664),
    "densenet201": (20_013_928, 229_257, 4.291, 3863, 1920),
    "densenet161": (28_681_000, 220_097, 7.728, 2967, 2208),
}
CIFAR = {
    "densenet_40_12": 1_019_722,
    "densenet_100_12": 6_979_642,
    "densenet_bc_100_12": 769_162,
    "densenet_bc_250_24": 15_324_406,
    "densenet_bc_190_40": 25_624_430,
}
DEEP = ("densenet169", "densenet201", "densenet_100_12", "densenet_bc_250_24", "densenet_bc_190_40")
SHALLOW = {
    "densenet121": {"depths": [2, 2, 2, 2], "growth_rate": 8, "stem": 16, "dropout": 0.1},
    "densenet_40_12": {"depth": 10},
    "densenet_bc_100_12": {"depth": 16},
}


def deep_ones_slow(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow if name in DEEP else ()) for name in names]


def part(layer: str) -> str:
    return layer.split(".")[1] if layer.startswith("features.") else layer


@pytest.mark.parametrize("name", deep_ones_slow(IMAGENET))
def test_imagenet_densenets_are_the_paper_s_and_torchvision_s(name: str, composed: Compose) -> None:
    parameters, buffers, macs, field, channels = IMAGENET[name]
    found = measure(on_meta(composed, name, 224, classes=1000), 224, part=part)
    assert (found.parameters, found.buffers, found.field) == (parameters, buffers, field)
    assert round(found.macs / 1e9, 3) == macs
    parts = ("conv0", "pool0", "denseblock1", "transition1", "denseblock2", "denseblock3", "denseblock4")
    assert [found.sides[part] for part in parts] == [112, 56, 56, 28, 28, 14, 7]
    assert found.channels["norm5"] == channels


def test_densenet_121_doubles_its_channels_in_blocks_and_halves_them_between(composed: Compose) -> None:
    found = measure(on_meta(composed, "densenet121", 224), 224, part=part)
    parts = ("pool0", "denseblock1", "transition1", "denseblock2", "transition2", "denseblock3", "transition3", "denseblock4")
    assert [found.channels[part] for part in parts] == [64, 256, 128, 512, 256, 1024, 512, 1024]


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [("densenet121", 10, 6_964_106), ("densenet121", 2, 6_955_906)],
)
def test_other_numbers_of_classes_change_the_last_layer_alone(name: str, classes: int, parameters: int, composed: Compose) -> None:
    network = on_meta(composed, name, 224, classes=classes)
    assert sum(weight.numel() for weight in network.parameters()) == parameters


def test_layers_bear_torchvision_s_names(composed: Compose) -> None:
    names = list(on_meta(composed, "densenet121", 224).state_dict())
    assert [name for name in names if name.endswith("weight")][:6] == [
        *("features.conv0.weight", "features.norm0.weight", "features.denseblock1.denselayer1.norm1.weight"),
        *("features.denseblock1.denselayer1.conv1.weight", "features.denseblock1.denselayer1.norm2.weight"),
        "features.denseblock1.denselayer1.conv2.weight",
    ]
    assert {"features.transition3.norm.running_var", "features.transition3.conv.weight", "features.norm5.bias"} <= set(names)
    assert names[-2:] == ["classifier.weight", "classifier.bias"]
    assert len(names) == 727


def test_the_small_form_keeps_the_maps_of_the_first_block_as_large_as_the_image(composed: Compose) -> None:
    network = on_meta(composed, "densenet121", 32)
    found = measure(network, 32, part=part)
    assert found.parameters == 6_956_298
    assert [found.sides[f"denseblock{place}"] for place in (1, 2, 3, 4)] == [32, 16, 8, 4]
    assert network.notes == [
        "small variant for images of 32x32 pixels: a 3x3 first convolution of stride 1, no pooling after it. "
        "model.variant=paper keeps the paper's layers"
    ]


@pytest.mark.parametrize("name", deep_ones_slow(CIFAR))
def test_cifar_densenets_have_the_paper_s_parameters(name: str, composed: Compose) -> None:
    network = on_meta(composed, name, 32)
    assert sum(weight.numel() for weight in network.parameters()) == CIFAR[name]
    assert network.notes == []


@pytest.mark.parametrize(("name", "stem"), [("densenet_40_12", 16), ("densenet_bc_100_12", 24)])
def test_cifar_densenets_have_three_blocks_at_32_16_and_8_pixels(name: str, stem: int, composed: Compose) -> None:
    found = measure(on_meta(composed, name, 32), 32, part=part)
    assert found.channels["conv0"] == stem
    assert [found.sides[f"denseblock{place}"] for place in (1, 2, 3)] == [32, 16, 8]
    assert "denseblock4" not in found.sides


def test_the_paper_s_form_of_large_images_needs_no_note(composed: Compose) -> None:
    assert on_meta(composed, "densenet121", 224).notes == []


@pytest.mark.parametrize("bottleneck", [True, False])
def test_a_dense_layer_passes_on_what_came_and_adds_as_many_maps_as_the_growth_rate(bottleneck: bool) -> None:
    maps = torch.randn(2, 5, 6, 6)
    made = DenseLayer(5, 3, bottleneck, dropout=0.0)(maps)
    assert made.shape == (2, 8, 6, 6)
    assert torch.equal(made[:, :5], maps)


def test_a_transition_ends_with_the_means_of_two_by_two_pixels() -> None:
    layers, maps = transition(5, 3, dropout=0.0), torch.randn(2, 5, 6, 6)
    convolved = layers[:-1](maps)
    torch.testing.assert_close(layers(maps), convolved.view(2, 3, 3, 2, 3, 2).mean(dim=(3, 5)))


def test_dropout_follows_every_convolution_but_the_first(composed: Compose) -> None:
    network = on_meta(composed, "densenet_40_12", 32, dropout=0.2)
    layers = [layer for layer in network.features.modules() if isinstance(layer, nn.Conv2d | nn.Dropout)]
    assert [type(layer) for layer in layers[:5]] == [nn.Conv2d, nn.Conv2d, nn.Dropout, nn.Conv2d, nn.Dropout]
    assert [layer.p for layer in layers if isinstance(layer, nn.Dropout)] == [0.2] * 38


def test_first_values_are_he_et_al_s(composed: Compose) -> None:
    torch.manual_seed(0)
    network = option(composed, "densenet121", 32, depths=[2, 2, 2, 2])
    convolution = network.features.denseblock2.denselayer1.conv2
    assert convolution.weight.std().item() == pytest.approx((2 / (128 * 9)) ** 0.5, rel=0.02)
    assert not network.classifier.bias.any()


@pytest.mark.parametrize("name", SHALLOW)
def test_the_first_step_of_training_changes_every_weight(name: str, composed: Compose) -> None:
    torch.manual_seed(0)
    network = option(composed, name, 16, **SHALLOW[name])
    images = torch.randn(10, 3, 16, 16)
    assert first_loss(network, images) == pytest.approx(2.3026, rel=0.1)
    assert without_gradient(network, images) == []


@pytest.mark.parametrize("side", [8, 28, 33])
@pytest.mark.parametrize("name", SHALLOW)
def test_images_of_any_size_give_one_score_per_class(name: str, side: int, composed: Compose) -> None:
    network = option(composed, name, side, 1, 7, **SHALLOW[name]).eval()
    assert network(torch.randn(2, 1, side, side)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "side", "variant", "layer"),
    [
        ("densenet121", 4, {}, r"features\.transition3\.pool"),
        ("densenet121", 16, {"variant": "paper"}, r"features\.transition3\.pool"),
        ("densenet_40_12", 2, {}, r"features\.transition2\.pool"),
    ],
)
def test_images_that_are_too_small_are_refused_by_the_pooling_that_meets_one_pixel(
    name: str, side: int, variant: dict[str, str], layer: str, composed: Compose
) -> None:
    with pytest.raises(ConfigError, match=rf"{layer}: the 1x1 maps before it are smaller than its 2x2 window") as told:
        on_meta(composed, name, side, **variant)
    assert isinstance(told.value.__cause__, TooSmallError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 41}, "depth must be 3n + 4, such as 40 or 100, but it is 41"),
        ({"depth": 4}, "depth must be 3n + 4, such as 40 or 100, but it is 4"),
        ({"depth": 43, "bottleneck": True}, "depth must be 6n + 4, such as 40 or 100, but it is 43"),
        ({"compression": 0}, "compression must be a number above 0, and 1 at most, but it is 0"),
        ({"compression": 1.5}, "compression must be a number above 0, and 1 at most, but it is 1.5"),
        ({"compression": 0.005}, "compression must leave a channel between two blocks, but 0.005 of 160 is none"),
    ],
)
def test_what_can_t_be_built_is_refused(changes: dict[str, Any], message: str, composed: Compose) -> None:
    with pytest.raises(ConfigError) as told:
        on_meta(composed, "densenet_40_12", 32, **changes)
    assert str(told.value).endswith(f"refused its options: {message}")


def test_an_unknown_form_is_refused(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="variant is 'tiny', expected one of paper, small, auto"):
        on_meta(composed, "densenet121", 32, variant="tiny")
