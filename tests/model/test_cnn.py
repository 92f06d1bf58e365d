"""CNNs written in YAML: those of conf/model, blocks of layers, first values."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.config.build import build
from pipeline.config.compose import compose, read_yaml
from pipeline.model.cnn import CNN
from pipeline.model.tracing import trace
from tests.conftest import MakeConfig
from tests.samples import CONF, TWO_CLASSES, options

CONV = {"kind": "conv", "filters": 4, "kernel": 3, "padding": "same"}
SCORES = {"kind": "linear"}
SHRINKING = {"kind": "conv", "filters": 6, "kernel": 3, "stride": 2}


def written_in_yaml(name: str) -> bool:
    tree = read_yaml(CONF / "model" / f"{name}.yaml")
    if "_target_" in tree:
        return tree["_target_"] == "pipeline.model.cnn.CNN"
    return any(written_in_yaml(base) for base in tree["defaults"] if base != "_self_")


MODELS = [name for name in options("model") if written_in_yaml(name)]


def network(config: MakeConfig, name: str, in_channels: int = 3, num_classes: int | None = None, image_size: int = 32) -> Any:
    torch.manual_seed(0)
    classes = num_classes or (2 if name in TWO_CLASSES else 10)
    given = {"in_channels": in_channels, "num_classes": classes, "image_size": image_size}
    return build("model", config(f"model={name}").model, nn.Module, **given)


def cnn(in_channels: int = 3, num_classes: int = 5, image_size: int = 8, **layers: Any) -> CNN:
    return CNN(layers, in_channels, num_classes, image_size)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def of_convolutions_and_pools(model: nn.Module, side: int, channels: int = 3) -> list[Any]:
    with torch.device("meta"):
        return [call for call in trace(model.to("meta"), channels, side) if call.window]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_one_gives_one_score_per_class(name: str, channels: int, config: MakeConfig) -> None:
    classes = 2 if name in TWO_CLASSES else 7
    assert network(config, name, channels, classes)(torch.randn(2, channels, 32, 32)).shape == (2, classes)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_of_every_one_gets_a_gradient(name: str, config: MakeConfig) -> None:
    model = network(config, name)
    scores = model(torch.randn(16, 3, 32, 32))
    nn.functional.cross_entropy(scores, torch.arange(16) % scores.shape[1]).backward()
    without = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum()]
    assert without == []


@pytest.mark.parametrize("name", sorted({*MODELS} - {"keras", "keras_one_output", "mlp"}))  # whose first values give scores a spread of 1
def test_the_loss_of_every_untrained_one_is_that_of_guessing(name: str, config: MakeConfig) -> None:
    model = network(config, name).eval()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(torch.randn(64, 3, 32, 32)), torch.arange(64) % 10)
    assert loss.item() == pytest.approx(math.log(10), rel=0.1)


@pytest.mark.parametrize("name", MODELS)
def test_every_one_gives_the_same_scores_for_an_image_alone_and_in_a_batch(name: str, config: MakeConfig) -> None:
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


@pytest.mark.parametrize(
    ("name", "fields", "sides"),
    [("classic", [3, 5, 6, 10, 12], [32, 32, 16, 16, 8]), ("classic_5x5", [5, 9, 10, 18, 20], [28, 24, 12, 8, 4])],
)
def test_the_classic_s_layers_see_ever_more_of_the_image(name: str, fields: list[int], sides: list[int], config: MakeConfig) -> None:
    calls = of_convolutions_and_pools(network(config, name), 32)
    assert [call.field.size for call in calls] == fields
    assert [call.output[1] for call in calls] == sides


def test_the_classic_s_relu_after_its_pooling_changes_nothing(config: MakeConfig) -> None:
    model, images = network(config, "classic"), torch.randn(2, 3, 32, 32)
    scores = model(images)
    model.layers.relu3 = nn.Identity()
    assert torch.equal(model(images), scores)


def test_the_first_picture_s_network_goes_from_one_channel_to_3_and_6_maps_and_four_classes(config: MakeConfig) -> None:
    model = network(config, "four_class", in_channels=1, num_classes=4)
    assert [call.output[0] for call in of_convolutions_and_pools(model, 32, channels=1)] == [3, 3, 6, 6]
    assert model.layers.conv1.weight.shape == (3, 1, 5, 5)
    assert model.layers.conv2.weight.shape == (6, 3, 5, 5)  # one map for each filter, not for each filter and map
    assert model.layers.fc.out_features == 4
    assert parameters(network(config, "four_class", num_classes=4)) == 1_288


def test_the_keras_network_has_438842_parameters_and_219801_with_the_one_output_that_its_text_counts(config: MakeConfig) -> None:
    with torch.device("meta"):
        two, one = (network(config, name, num_classes=2, image_size=300) for name in ("keras", "keras_one_output"))
    assert [parameters(layer) for layer in two.layers if parameters(layer)] == [760, 438_082]
    assert [parameters(layer) for layer in one.layers if parameters(layer)] == [760, 219_041]
    calls = trace(two, 3, 300)
    assert [call.output for call in calls if call.window] == [(10, 296, 296), (10, 148, 148)]
    assert sum(call.macs for call in calls) == 66_150_080


def test_keras_networks_begin_with_xavier_s_bound_and_biases_of_zero(config: MakeConfig) -> None:
    model = network(config, "keras")
    assert model.layers.conv.weight.abs().max().item() == pytest.approx(0.13587, rel=0.01)
    assert not model.layers.conv.bias.any()
    assert not model.layers.scores.bias.any()


@pytest.mark.parametrize(("name", "side", "count"), [("mlp", 28, 266_610), ("mlp_small", 8, 2_410), ("nielsen", 28, 85_670)])
def test_mlps_and_nielsen_s_network_have_the_parameters_of_their_sizes(name: str, side: int, count: int, config: MakeConfig) -> None:
    assert parameters(network(config, name, 1, 10, side)) == count


def test_layers_bear_the_names_of_the_config_and_keep_its_order(config: MakeConfig, conf: Any) -> None:
    names = [name for name, _ in network(config, "cnn").layers.named_children() if name != "flatten"]
    assert names == list(compose(conf, ["model=cnn"])["model"]["layers"])


def test_a_layer_set_to_null_is_left_out() -> None:
    model = cnn(relu=None, pool={"kind": "max_pool", "kernel": 2}, scores=SCORES)
    assert [name for name, _ in model.layers.named_children()] == ["pool", "flatten", "scores"]


def test_options_reach_the_layer() -> None:
    model = cnn(
        conv={"kind": "conv", "filters": 4, "kernel": 3, "bias": False},
        dropout={"kind": "dropout", "rate": 0.3},
        hidden={"kind": "linear", "units": 6, "bias": False},
        norm={"kind": "batch_norm"},
        scores=SCORES,
    )
    assert model.layers.conv.bias is None
    assert model.layers.dropout.p == 0.3
    assert model.layers.hidden.bias is None
    assert isinstance(model.layers.norm, nn.BatchNorm1d)


def test_a_network_can_be_all_convolution() -> None:
    layers = {"conv": CONV | {"filters": 5}, "pool": {"kind": "global_average_pool"}, "scores": SCORES}
    assert cnn(**layers)(torch.randn(2, 3, 8, 8)).shape == (2, 5)


def weights(model: CNN, name: str) -> Tensor:
    return model.get_parameter(f"layers.{name}.weight")


def test_first_values_of_the_network_are_those_of_its_entries_where_they_say_nothing() -> None:
    torch.manual_seed(0)
    layers = {"first": CONV, "second": CONV | {"init": {"kind": "normal", "std": 5, "bias": 2}}, "scores": SCORES}
    model = CNN(layers, 3, 5, 8, init="zeros")
    assert not weights(model, "first").any()
    assert not weights(model, "scores").any()
    assert weights(model, "second").std().item() == pytest.approx(5, rel=0.2)
    assert model.layers.second.bias.tolist() == [2, 2, 2, 2]


def test_first_values_of_null_are_torch_s_own() -> None:
    def made(init: str | None) -> CNN:
        torch.manual_seed(0)
        return CNN({"conv": CONV | {"init": None}, "scores": SCORES}, 3, 5, 8, init)

    torch.manual_seed(0)
    expected = nn.Conv2d(3, 4, 3).weight
    assert torch.equal(weights(made(None), "conv"), expected)
    assert torch.equal(weights(made("zeros"), "conv"), expected)


def test_first_values_reach_the_layers_in_blocks() -> None:
    layers = {"block": {"kind": "residual", "layers": {"conv": CONV | {"filters": 3}}}, "scores": SCORES}
    assert not CNN(layers, 3, 5, 8, init="zeros").get_parameter("layers.block.layers.conv.weight").any()


def block(**options: Any) -> dict[str, Any]:
    return {"block": options, "scores": SCORES}


def test_a_residual_block_adds_its_input_to_what_its_layers_make_of_it() -> None:
    model = cnn(**block(kind="residual", layers={"conv": CONV | {"filters": 3}, "relu": {"kind": "relu"}}))
    maps = torch.randn(2, 3, 8, 8)
    made = model.layers.block
    torch.testing.assert_close(made(maps), made.layers.conv(maps).relu() + maps)
    with torch.no_grad():
        made.layers.conv.weight.zero_()
        made.layers.conv.bias.zero_()
    assert torch.equal(made(maps), maps)


def test_the_shortcut_that_a_refusal_suggests_fits() -> None:
    suggested = {"conv": {"kind": "conv", "filters": 6, "kernel": 1, "stride": 3}}
    assert cnn(**block(kind="residual", layers={"conv": SHRINKING}, shortcut=suggested))(torch.randn(2, 3, 8, 8)).shape == (2, 5)


def test_a_shortcut_of_its_own_brings_the_input_to_the_layers_shape() -> None:
    shortcut = {"conv": {"kind": "conv", "filters": 6, "kernel": 1, "stride": 2}}
    layers = {"conv": {"kind": "conv", "filters": 6, "kernel": 3, "padding": 1, "stride": 2}, "norm": {"kind": "batch_norm"}}
    model = cnn(**block(kind="residual", layers=layers, shortcut=shortcut)).eval()
    maps, made = torch.randn(2, 3, 8, 8), model.layers.block
    assert made(maps).shape == (2, 6, 4, 4)
    torch.testing.assert_close(made(maps), made.layers(maps) + made.shortcut.conv(maps))


def test_parallel_branches_stand_one_after_the_other_and_an_empty_one_hands_its_input_on() -> None:
    branches = {
        "narrow": {"conv": CONV | {"kernel": 1}},
        "kept": {},
        "left_out": None,
        "wide": {"conv": CONV | {"kernel": 5, "filters": 2}},
    }
    model = cnn(**block(kind="parallel", branches=branches))
    maps, made = torch.randn(2, 3, 8, 8), model.layers.block
    joined = made(maps)
    assert joined.shape == (2, 4 + 3 + 2, 8, 8)
    torch.testing.assert_close(joined[:, :4], made.branches.narrow(maps))
    assert torch.equal(joined[:, 4:7], maps)
    torch.testing.assert_close(joined[:, 7:], made.branches.wide(maps))


def test_weights_are_named_as_the_config_nests_them() -> None:
    inner = {"kind": "residual", "layers": {"conv": CONV | {"filters": 3}}}
    model = cnn(**block(kind="parallel", branches={"a": {"inner": inner}}))
    assert [key for key, _ in model.named_parameters()][:2] == [
        "layers.block.branches.a.inner.layers.conv.weight",
        "layers.block.branches.a.inner.layers.conv.bias",
    ]


def test_nested_blocks_train() -> None:
    inner = {"kind": "residual", "layers": {"conv": CONV | {"filters": 3}}}
    model = cnn(
        **block(
            kind="parallel", branches={"a": {"inner": inner}, "b": {"pool": {"kind": "max_pool", "kernel": 3, "stride": 1, "padding": 1}}}
        )
    )
    model(torch.randn(2, 3, 8, 8)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
