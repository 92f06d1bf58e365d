from typing import Any

import pytest
import torch
from torch import nn

from pipeline.config.errors import ConfigError
from pipeline.model.forward_pass import TooSmallError
from pipeline.model.googlenet import Inception
from pipeline.model.layers import LocalResponseNorm
from tests.conftest import Compose
from tests.model.measures import first_loss, measure, on_meta, option, without_gradient

FULL = {  # parameters with and without the auxiliary classifiers, buffers with them, MACs in G, receptive field; 224x224, 1000 classes
    "googlenet": (13_378_280, 6_998_552, 0, 1.583, 715),
    "googlenet_bn": (13_385_816, 7_005_832, 15_131, 1.583, 715),
    "googlenet_torchvision": (13_004_888, 6_624_904, 15_131, 1.498, 379),
}
MODULES = {  # channels out of each (table 1)
    "inception3a": 256,
    "inception3b": 480,
    "inception4a": 512,
    "inception4b": 512,
    "inception4c": 512,
    "inception4d": 528,
    "inception4e": 832,
    "inception5a": 832,
    "inception5b": 1024,
}


@pytest.mark.parametrize("name", FULL)
def test_each_form_has_its_parameters_computation_and_receptive_field(name: str, composed: Compose) -> None:
    both, alone, buffers, macs, field = FULL[name]
    found = measure(on_meta(composed, name, 224, classes=1000), 224)
    assert found.parameters == both
    assert (found.buffers, round(found.macs / 1e9, 3), found.field) == (buffers, macs, field)
    without = on_meta(composed, name, 224, classes=1000, auxiliary_weight=0)
    assert sum(weight.numel() for weight in without.parameters()) == alone


def test_the_maps_are_those_of_the_paper_s_table(composed: Compose) -> None:
    found = measure(on_meta(composed, "googlenet", 224), 224)
    parts = ("conv1", "maxpool1", "conv2", "conv3", "maxpool2", "maxpool3", "maxpool4")
    assert [(found.channels[part], found.sides[part]) for part in parts] == [
        *((64, 112), (64, 56), (64, 56), (192, 56), (192, 28), (480, 14), (832, 7))
    ]
    assert {name: found.channels[name] for name in MODULES} == MODULES
    assert [found.sides[name] for name in MODULES] == [28, 28, 14, 14, 14, 14, 14, 7, 7]


def test_the_auxiliary_classifiers_are_the_paper_s(composed: Compose) -> None:
    network = on_meta(composed, "googlenet", 224, classes=1000)
    assert [sum(weight.numel() for weight in head.parameters()) for head in (network.aux1, network.aux2)] == [3_188_840, 3_190_888]
    assert (network.aux1.avgpool.kernel_size, network.aux1.avgpool.stride, network.aux1.fc1.in_features) == (5, 3, 4 * 4 * 128)
    assert (network.auxiliary_weight, network.aux1.dropout.p, network.dropout.p) == (0.3, 0.7, 0.4)


@pytest.mark.parametrize(("classes", "parameters"), [(10, 5_610_154), (2, 5_601_954)])
def test_other_numbers_of_classes_change_the_last_layers_alone(classes: int, parameters: int, composed: Compose) -> None:
    network = on_meta(composed, "googlenet_torchvision", 224, classes=classes, auxiliary_weight=0)
    assert sum(weight.numel() for weight in network.parameters()) == parameters


def test_layers_bear_torchvision_s_names(composed: Compose) -> None:
    names = list(on_meta(composed, "googlenet_torchvision", 224).state_dict())
    assert names[:2] == ["conv1.conv.weight", "conv1.bn.weight"]
    assert {
        *("conv3.bn.running_var", "inception3a.branch1.conv.weight", "inception3a.branch2.1.bn.bias"),
        *("inception4e.branch3.1.conv.weight", "inception5b.branch4.1.conv.weight", "aux2.conv.bn.weight", "aux1.fc1.bias", "fc.weight"),
    } <= set(names)
    assert len([name for name in names if not name.startswith("aux")]) == 344


def test_local_response_norm_stands_around_the_first_two_convolutions_of_the_paper_s_form_alone(composed: Compose) -> None:
    norms = [name for name, layer in on_meta(composed, "googlenet", 224).named_modules() if isinstance(layer, LocalResponseNorm)]
    assert norms == ["norm1", "norm2"]
    network = on_meta(composed, "googlenet_bn", 224)
    assert not [layer for layer in network.modules() if isinstance(layer, LocalResponseNorm)]
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.bias for layer in convolutions] == (9 * 6 + 3 + 2) * [None]  # in modules, before them, in auxiliary heads


@pytest.mark.parametrize(("third_branch", "kernels"), [("5x5", [5]), ("3x3", [3]), ("two_3x3", [3, 3])])
def test_the_third_branch_has_the_filters_that_are_asked_for(third_branch: str, kernels: list[int], composed: Compose) -> None:
    network = on_meta(composed, "googlenet", 224, third_branch=third_branch)
    found = [
        [layer.kernel_size[0] for layer in module.branch3.modules() if isinstance(layer, nn.Conv2d)]
        for module in network.modules()
        if isinstance(module, Inception)
    ]
    assert found == 9 * [[1, *kernels]]


@pytest.mark.parametrize("name", FULL)
def test_the_small_form_is_the_field_s(name: str, composed: Compose) -> None:
    network = on_meta(composed, name, 32)
    found = measure(network, 32)
    assert found.parameters == 6_166_250
    assert [found.sides[part] for part in ("conv1", "inception3b", "inception4a", "inception4e", "inception5b")] == [32, 32, 16, 16, 8]
    assert network.auxiliary_weight == 0
    assert network.notes == [
        "small variant for images of 32x32 pixels: one 3x3 convolution of 192 filters as the stem, two padded max poolings in place of "
        "four, batch norm, two 3x3 convolutions for each 5x5, no auxiliary classifiers. model.variant=paper keeps the paper's layers"
    ]


@pytest.mark.parametrize("name", FULL)
def test_poolings_and_batch_norm_are_those_of_each_form_s_source(name: str, composed: Compose) -> None:
    def found(size: int) -> tuple[list[tuple[int, int, int, bool]], set[float]]:
        network = on_meta(composed, name, size)
        pools = [(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode) for pool in (network.maxpool3, network.maxpool4)]
        return pools, {layer.eps for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)}

    assert found(32) == ([(3, 2, 1, False)] * 2, {1e-5})  # kuangliu/pytorch-cifar, models/googlenet.py
    last = 2 if name == "googlenet_torchvision" else 3
    assert found(224) == ([(3, 2, 0, True), (last, 2, 0, True)], set() if name == "googlenet" else {1e-3})


def test_auxiliary_scores_are_given_in_training_alone(composed: Compose) -> None:
    network, images = option(composed, "googlenet", 96, 1, 7, variant="paper"), torch.randn(2, 1, 96, 96)
    assert [scores.shape for scores in network.train()(images)] == [(2, 7), (2, 7), (2, 7)]
    assert network.eval()(images).shape == (2, 7)
    assert network.notes == []


def test_without_their_weight_there_are_no_auxiliary_classifiers(composed: Compose) -> None:
    network = option(composed, "googlenet", 64, variant="paper", auxiliary_weight=0)
    assert network.train()(torch.randn(2, 3, 64, 64)).shape == (2, 10)
    assert not [name for name in network.state_dict() if name.startswith("aux")]


@pytest.mark.parametrize("name", FULL)
def test_the_first_step_of_training_changes_every_weight(name: str, composed: Compose) -> None:
    torch.manual_seed(0)
    network = option(composed, name, 96, variant="paper")
    images = torch.randn(4, 3, 96, 96)
    assert first_loss(network, images) == pytest.approx(2.3026, rel=0.1)
    assert without_gradient(network, images) == []


def test_the_first_step_of_training_changes_every_weight_of_the_small_form(composed: Compose) -> None:
    torch.manual_seed(0)
    network, images = option(composed, "googlenet", 16), torch.randn(4, 3, 16, 16)
    assert first_loss(network, images) == pytest.approx(2.3026, rel=0.1)
    assert without_gradient(network, images) == []


def test_first_values_are_caffe_s_without_batch_norm_and_he_et_al_s_with_it(composed: Compose) -> None:
    torch.manual_seed(0)
    plain, normed = option(composed, "googlenet", 128), option(composed, "googlenet_bn", 128)
    weight = plain.inception5b.branch2[1].conv.weight  # (384, 192, 3, 3)
    bound = (6 / (9 * (384 + 192))) ** 0.5
    assert weight.abs().max().item() == pytest.approx(bound, rel=0.001)
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert all(layer.bias.eq(0.2).all() for layer in plain.modules() if isinstance(layer, nn.Conv2d))
    assert normed.inception5b.branch2[1].conv.weight.std().item() == pytest.approx((2 / (192 * 9)) ** 0.5, rel=0.01)
    for scores in (plain.fc, plain.aux1.fc2, normed.aux2.fc2):
        assert scores.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert not scores.bias.any()


@pytest.mark.parametrize("side", [8, 28, 33])
def test_small_images_of_any_size_give_one_score_per_class(side: int, composed: Compose) -> None:
    network = option(composed, "googlenet", side, 1, 7).eval()
    assert network(torch.randn(2, 1, side, side)).shape == (2, 7)


@pytest.mark.parametrize(
    ("side", "changes", "message"),
    [
        (64, {}, r"aux1\.avgpool: the 4x4 maps before it are smaller than its 5x5 window; auxiliary_weight=0 leaves this classifier out"),
        (8, {"auxiliary_weight": 0}, r"maxpool3: the 1x1 maps before it are smaller than its 3x3 window"),
        (16, {"auxiliary_weight": 0}, r"maxpool4: the 1x1 maps before it are smaller than its 3x3 window"),
    ],
)
def test_images_that_are_too_small_are_refused_with_the_layer(side: int, changes: dict[str, Any], message: str, composed: Compose) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        on_meta(composed, "googlenet", side, variant="paper", **changes)
    assert isinstance(told.value.__cause__, TooSmallError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variant": "tiny"}, "variant is 'tiny', expected one of paper, small, auto"),
        ({"third_branch": "none"}, "third_branch is 'none', expected one of 5x5, 3x3, two_3x3"),
    ],
)
def test_what_can_t_be_built_is_refused(changes: dict[str, Any], message: str, composed: Compose) -> None:
    with pytest.raises(ConfigError) as told:
        on_meta(composed, "googlenet", 32, **changes)
    assert str(told.value).endswith(f"refused its options: {message}")


def test_an_inception_module_puts_its_four_branches_side_by_side() -> None:
    def plain(in_channels: int, out_channels: int, kernel: int) -> nn.Module:
        return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)

    module, maps = Inception(6, (1, 2, 3, 4, 5, 6), (5,), plain), torch.randn(2, 6, 8, 8)
    made = module(maps)
    assert made.shape == (2, 1 + 3 + 5 + 6, 8, 8)
    for branch, channels in ((module.branch1, slice(0, 1)), (module.branch2, slice(1, 4)), (module.branch4, slice(9, 15))):
        assert torch.equal(made[:, channels], branch(maps))
