import math
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.config.build import build
from pipeline.config.composition import compose
from pipeline.config.errors import ConfigError
from pipeline.model.cnn import CNN, KINDS
from tests.conftest import MakeConfig
from tests.samples import options

MODELS = options("model")


def network(config: MakeConfig, name: str, in_channels: int = 3, num_classes: int = 10, image_size: int = 32) -> nn.Module:
    torch.manual_seed(0)
    given = {"in_channels": in_channels, "num_classes": num_classes, "image_size": image_size}
    return build("model", config(f"model={name}").model, nn.Module, **given)


def cnn(in_channels: int = 3, num_classes: int = 5, image_size: int = 8, **layers: Any) -> CNN:
    return CNN(layers, in_channels, num_classes, image_size)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_model_gives_one_score_per_class(name: str, channels: int, config: MakeConfig) -> None:
    assert network(config, name, channels, 7)(torch.randn(2, channels, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_of_every_model_gets_a_gradient(name: str, config: MakeConfig) -> None:
    model = network(config, name)
    nn.functional.cross_entropy(model(torch.randn(16, 3, 32, 32)), torch.arange(16) % 10).backward()
    without = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum()]
    assert without == []


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_of_every_untrained_model_is_that_of_guessing(name: str, config: MakeConfig) -> None:
    model = network(config, name).eval()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(torch.randn(64, 3, 32, 32)), torch.arange(64) % 10)
    assert loss.item() == pytest.approx(math.log(10), rel=0.1)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_gives_the_same_scores_for_an_image_alone_and_in_a_batch(name: str, config: MakeConfig) -> None:
    model, images = network(config, name).eval(), torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(images[:1]), model(images)[:1], atol=1e-5, rtol=1e-4)


def test_the_classic_has_the_tutorial_s_layers_in_its_order_and_69610_parameters(config: MakeConfig) -> None:
    model = network(config, "classic")
    assert parameters(model) == 69_610
    assert [type(layer).__name__ for layer in model.layers] == [
        *("Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Flatten", "Linear")
    ]
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert [(layer.out_channels, layer.kernel_size, layer.padding) for layer in convolutions] == [
        (filters, (3, 3), "same") for filters in (32, 32, 64)
    ]
    assert [parameters(layer) for layer in model.layers if parameters(layer)] == [896, 9_248, 18_496, 40_970]


def test_layers_bear_the_names_of_the_config_and_keep_its_order(config: MakeConfig, conf: Any) -> None:
    names = [name for name, _ in network(config, "cnn").layers.named_children() if name != "flatten"]
    assert names == list(compose(conf, ["model=cnn"])["model"]["layers"])


def test_a_layer_set_to_null_is_left_out() -> None:
    model = cnn(relu=None, pool={"kind": "max_pool", "kernel": 2}, scores={"kind": "linear"})
    assert [name for name, _ in model.layers.named_children()] == ["pool", "flatten", "scores"]


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("conv", {"filters": 4, "kernel": 3}, (4, 6, 6)),
        ("conv", {"filters": 4, "kernel": 3, "padding": "same"}, (4, 8, 8)),
        ("conv", {"filters": 4, "kernel": 3, "padding": "valid", "bias": False}, (4, 6, 6)),
        ("conv", {"filters": 4, "kernel": 3, "padding": 2, "stride": 2}, (4, 5, 5)),
        ("max_pool", {"kernel": 2}, (3, 4, 4)),
        ("max_pool", {"kernel": 3, "stride": 1}, (3, 6, 6)),
        ("average_pool", {"kernel": 2}, (3, 4, 4)),
        ("average_pool", {"kernel": 3, "stride": 2}, (3, 3, 3)),
        ("batch_norm", {}, (3, 8, 8)),
        ("dropout", {"rate": 0.5}, (3, 8, 8)),
        ("relu", {}, (3, 8, 8)),
        ("tanh", {}, (3, 8, 8)),
        ("sigmoid", {}, (3, 8, 8)),
        ("linear", {"units": 6}, (6,)),
        ("linear", {"units": 6, "bias": False}, (6,)),
    ],
)
def test_every_kind_of_layer_gives_the_shape_that_its_options_say(kind: str, settings: dict, expected: tuple[int, ...]) -> None:
    model = cnn(layer={"kind": kind, **settings}, scores={"kind": "linear"})
    assert model.layers[:-1](torch.randn(2, 3, 8, 8)).flatten(1).shape == (2, math.prod(expected))
    if len(expected) == 3:
        assert model.layers[0](torch.randn(2, 3, 8, 8)).shape == (2, *expected)
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 5)


@pytest.mark.parametrize(("kind", "expected"), [("max_pool", 3), ("average_pool", 1.5)])
def test_pools_take_the_largest_or_the_mean_value(kind: str, expected: float) -> None:
    model = cnn(1, 5, 2, pool={"kind": kind, "kernel": 2}, scores={"kind": "linear"})
    assert model.layers.pool(torch.arange(4.0).reshape(1, 1, 2, 2)).item() == expected


def test_every_kind_is_tested_above() -> None:
    assert set(KINDS) == {"conv", "relu", "tanh", "sigmoid", "max_pool", "average_pool", "batch_norm", "dropout", "linear"}


def test_options_reach_the_layer() -> None:
    model = cnn(
        conv={"kind": "conv", "filters": 4, "kernel": 3, "bias": False},
        dropout={"kind": "dropout", "rate": 0.3},
        hidden={"kind": "linear", "units": 6},
        norm={"kind": "batch_norm"},
        scores={"kind": "linear"},
    )
    assert model.layers.conv.bias is None
    assert model.layers.dropout.p == 0.3
    assert isinstance(model.layers.norm, nn.BatchNorm1d)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"a": {"kind": "convv"}}, r"layers\.a\.kind is 'convv', expected one of conv, relu, .*linear; did you mean conv\?"),
        ({"a": {}}, r"layers\.a\.kind is None, expected one of conv, relu"),
        ({"a": "relu"}, r"layers\.a is 'relu', expected a mapping such as {kind: relu}"),
        (
            {"a": {"kind": "conv", "filters": 3, "kernels": 3}},
            r"layers\.a\.kernels is not an option of conv, which has filters, kernel, stride, padding, bias; did you mean kernel\?",
        ),
        ({"a": {"kind": "relu", "rate": 1}}, r"layers\.a\.rate is not an option of relu, which has none"),
        ({"a": {"kind": "conv", "filters": 3}}, r"layers\.a: conv missing 1 required positional argument: 'kernel'"),
        ({"a": {"kind": "conv", "filters": -3, "kernel": 3}}, r"layers\.a\.filters must be 1 or more, but it is -3"),
        ({"a": {"kind": "conv", "filters": 3, "kernel": 3, "stride": 0}}, r"layers\.a\.stride must be 1 or more, but it is 0"),
        ({"a": {"kind": "linear", "units": 0}}, r"layers\.a\.units must be 1 or more, but it is 0"),
        ({"a": {"kind": "max_pool", "kernel": 0}}, r"layers\.a\.kernel must be 1 or more, but it is 0"),
        ({"a": {"kind": "conv", "filters": "many", "kernel": 3}}, r"layers\.a: conv \w+"),
        ({"a": {"kind": "dropout", "rate": 2}}, r"layers\.a: dropout .*between 0 and 1"),
        ({"a": {"kind": "conv", "filters": 3, "kernel": 3, "padding": "some"}}, r"layers\.a: conv .*padding"),
        ({"a": {"kind": "conv", "filters": 3, "kernel": 9}}, r"layers\.a: the 8x8 maps before it are too small for it; raise resize\.size"),
        (
            {f"p{i}": {"kind": "max_pool", "kernel": 2} for i in range(4)},
            r"layers\.p3: the 1x1 maps before it are too small for it; raise resize\.size or leave out a pooling",
        ),
        ({"add_module": {"kind": "relu"}}, r"layers\.add_module: a layer can't have this name"),
        ({"flatten": {"kind": "relu"}}, r"layers\.flatten: a layer can't have this name"),
        ({"a.b": {"kind": "relu"}}, r"layers\.a\.b: a layer can't have this name"),
        ({"a": {"kind": "relu"}}, r"layers end with shape \(3, 8, 8\), but there are 5 classes; end with {kind: linear}"),
        ({}, r"layers end with shape \(3, 8, 8\), but there are 5 classes"),
        ({"a": {"kind": "linear", "units": 6}}, r"layers end with shape \(6,\), but there are 5 classes"),
    ],
)
def test_a_layer_that_can_t_be_is_refused_by_its_name(layers: dict, message: str) -> None:
    node = {"_target_": "pipeline.model.cnn.CNN", "layers": layers}
    with pytest.raises(ConfigError, match=rf"^model: pipeline\.model\.cnn\.CNN refused its options: {message}"):
        build("model", node, nn.Module, in_channels=3, num_classes=5, image_size=8)
