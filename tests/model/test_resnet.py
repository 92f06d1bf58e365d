from typing import Any

import pytest
import torch
from torch import nn

from pipeline.config.errors import ConfigError
from pipeline.model.preact_resnet import PreActBlock
from pipeline.model.resnet import BasicBlock, Bottleneck, PaddedShortcut
from tests.conftest import Compose
from tests.model.measures import first_loss, measure, on_meta, option, without_gradient

IMAGENET = {  # parameters, buffers, MACs in G, receptive field; 224x224 and 1000 classes
    "resnet18": (11_689_512, 9_620, 1.814, 435),
    "resnet34": (21_797_672, 17_060, 3.664, 899),
    "resnet50": (25_557_032, 53_173, 4.089, 427),
    "resnet101": (44_549_160, 105_448, 7.801, 971),
    "resnet152": (60_192_808, 151_579, 11.514, 1451),
    "wide_resnet50_2": (68_883_240, 68_277, 11.398, 427),
}
CIFAR = {  # parameters with shortcut A and B, MACs in M with A, receptive field
    20: (269_722, 272_474, 40.55, 81),
    32: (464_154, 466_906, 68.86, 137),
    44: (658_586, 661_338, 97.17, 193),
    56: (853_018, 855_770, 125.49, 249),
    110: (1_727_962, 1_730_714, 252.89, 501),
}
WIDE = {
    (16, 4): 2_748_890,
    (16, 8): 10_961_370,
    (22, 8): 17_158_106,
    (28, 10): 36_479_194,
    (40, 1): 563_930,
    (40, 2): 2_243_546,
    (40, 4): 8_949_210,
    (28, 12): 52_517_850,
}
OF_EACH_KIND = ("resnet18", "resnet50", "resnet20", "preact_resnet18", "preact_resnet164", "wrn_16_4")
SHALLOW = {  # as deep as a test needs
    "resnet18": {"depths": [1, 1, 1, 1], "widths": [16, 32, 48, 64], "stem": 16},
    "resnet50": {"depths": [2, 1, 1, 1], "widths": [64, 128, 192, 256], "stem": 16},
    "resnet20": {},
    "preact_resnet18": {"depths": [1, 1, 1, 1], "widths": [16, 32, 48, 64], "stem": 16},
    "preact_resnet164": {"depths": [2, 1, 1]},
    "wrn_16_4": {"widening": 2, "dropout": 0.3},
}


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_resnets_are_the_paper_s_and_torchvision_s(name: str, composed: Compose) -> None:
    parameters, buffers, macs, field = IMAGENET[name]
    found = measure(on_meta(composed, name, 224, classes=1000), 224)
    assert (found.parameters, found.buffers, found.field) == (parameters, buffers, field)
    assert round(found.macs / 1e9, 3) == macs
    assert [found.sides[part] for part in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")] == [112, 56, 56, 28, 14, 7]
    widths = [64, 128, 256, 512] if name in ("resnet18", "resnet34") else [256, 512, 1024, 2048]
    assert [found.channels[f"layer{stage}"] for stage in (1, 2, 3, 4)] == widths


@pytest.mark.parametrize(("name", "field"), [("resnet50", 483), ("resnet101", 1027), ("resnet152", 1507)])
def test_with_the_stride_in_the_first_1x1_the_paper_s_bottlenecks_see_more_and_cost_less(name: str, field: int, composed: Compose) -> None:
    network = on_meta(composed, name, 224, classes=1000, stride_in="1x1")
    found = measure(network, 224)
    assert (found.parameters, found.field) == (IMAGENET[name][0], field)
    assert found.macs / 1e9 < IMAGENET[name][2] - 0.2
    assert [network.layer2[0].conv1.stride, network.layer2[0].conv2.stride] == [(2, 2), (1, 1)]


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [("resnet18", 10, 11_181_642), ("resnet18", 2, 11_177_538), ("resnet50", 10, 23_528_522), ("resnet50", 2, 23_512_130)],
)
def test_other_numbers_of_classes_change_the_last_layer_alone(name: str, classes: int, parameters: int, composed: Compose) -> None:
    network = on_meta(composed, name, 224, classes=classes)
    assert sum(weight.numel() for weight in network.parameters()) == parameters


def test_layers_bear_torchvision_s_names(composed: Compose) -> None:
    basic = on_meta(composed, "resnet18", 224).state_dict()
    assert list(basic)[:7] == [
        *(
            "conv1.weight",
            "bn1.weight",
            "bn1.bias",
            "bn1.running_mean",
            "bn1.running_var",
            "bn1.num_batches_tracked",
            "layer1.0.conv1.weight",
        )
    ]
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_mean", "layer4.1.bn2.bias", "fc.bias"} <= set(basic)
    assert not [name for name in basic if name.startswith("layer1") and "downsample" in name]
    assert len(basic) == 122
    assert {"layer1.0.downsample.0.weight", "layer3.5.conv3.weight"} <= set(on_meta(composed, "resnet50", 224).state_dict())


@pytest.mark.parametrize(
    ("name", "channels", "parameters", "macs"),
    [
        ("resnet18", 3, 11_173_962, 555),
        ("resnet18", 1, 11_172_810, 554),
        ("resnet34", 3, 21_282_122, 1159),
        ("resnet50", 3, 23_520_842, 1298),
    ],
)
def test_the_small_form_keeps_the_maps_of_the_first_stage_as_large_as_the_image(
    name: str, channels: int, parameters: int, macs: int, composed: Compose
) -> None:
    network = on_meta(composed, name, 32, channels)
    found = measure(network, 32, channels)
    assert (found.parameters, round(found.macs / 1e6)) == (parameters, macs)
    assert [found.sides[part] for part in ("conv1", "layer1", "layer2", "layer3", "layer4")] == [32, 32, 16, 8, 4]
    assert network.notes == [
        "small variant for images of 32x32 pixels: a 3x3 first convolution of stride 1, no pooling after it. "
        "model.variant=paper keeps the paper's layers"
    ]


def test_large_images_and_the_forms_that_are_the_paper_s_own_need_no_note(composed: Compose) -> None:
    assert on_meta(composed, "resnet18", 224).notes == []
    assert on_meta(composed, "resnet18", 32, variant="paper").notes == []
    assert all(on_meta(composed, name, 32).notes == [] for name in ("resnet20", "preact_resnet18", "wrn_16_4"))


@pytest.mark.parametrize("depth", CIFAR)
def test_cifar_resnets_are_the_paper_s(depth: int, composed: Compose) -> None:
    padded, projected, macs, field = CIFAR[depth]
    found = measure(on_meta(composed, f"resnet{depth}", 32), 32)
    assert (found.parameters, round(found.macs / 1e6, 2), found.field) == (padded, macs, field)
    assert [(found.channels[part], found.sides[part]) for part in ("layer1", "layer2", "layer3")] == [(16, 32), (32, 16), (64, 8)]
    assert measure(on_meta(composed, f"resnet{depth}", 32, shortcut="projection"), 32).parameters == projected
    assert measure(on_meta(composed, f"resnet{depth}", 28, 1), 28, 1).parameters == padded - 288


@pytest.mark.slow
def test_resnet_1202_is_a_number_away(composed: Compose) -> None:
    network = on_meta(composed, "resnet20", 32, depth=1202)
    assert sum(weight.numel() for weight in network.parameters()) == 19_421_274


@pytest.mark.parametrize(
    ("name", "changes", "parameters"),
    [
        ("preact_resnet18", {}, 11_171_146),
        ("preact_resnet110", {}, 1_727_962),
        ("preact_resnet164", {}, 1_703_258),
        pytest.param("preact_resnet164", {"depths": [111, 111, 111]}, 10_327_706, marks=pytest.mark.slow),
    ],
)
def test_pre_activation_resnets_have_their_parameters(name: str, changes: dict[str, Any], parameters: int, composed: Compose) -> None:
    network = on_meta(composed, name, 32, **changes)
    assert sum(weight.numel() for weight in network.parameters()) == parameters


@pytest.mark.parametrize(("depth", "widening"), WIDE)
def test_wide_resnets_are_two_numbers(depth: int, widening: int, composed: Compose) -> None:
    found = measure(on_meta(composed, "wrn_16_4", 32, depth=depth, widening=widening), 32)
    assert found.parameters == WIDE[depth, widening]
    assert [(found.channels[f"layer{stage}"], found.sides[f"layer{stage}"]) for stage in (1, 2, 3)] == [
        *((16 * widening, 32), (32 * widening, 16), (64 * widening, 8))
    ]


@pytest.mark.parametrize("name", ["wrn_16_4", "wrn_28_10", "wrn_40_4"])
def test_the_wide_files_say_the_numbers_of_their_names(name: str, composed: Compose) -> None:
    node = composed(f"model={name}")["model"]
    assert name == f"wrn_{node['depth']}_{node['widening']}"


def test_the_padded_shortcut_is_every_second_pixel_and_zeros() -> None:
    maps = torch.randn(2, 3, 7, 8)
    short = PaddedShortcut(3, 5, stride=2)(maps)
    assert torch.equal(short[:, :3], maps[:, :, ::2, ::2])
    assert short.shape == (2, 5, 4, 4)
    assert not short[:, 3:].any()


def test_blocks_add_their_residual_to_the_shortcut() -> None:
    maps = torch.randn(2, 16, 8, 8)
    for block in (BasicBlock(16, 16, 1, PaddedShortcut), Bottleneck(16, 16, 1, PaddedShortcut, 4, 2)):
        block.start_as_shortcut()
        assert torch.equal(block(maps), maps.relu())


@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_nothing_stands_on_the_identity_s_path_of_a_pre_activation_block(kind: str) -> None:
    block, maps = PreActBlock(16, 16, 1, kind, "padded", 0.0), torch.randn(2, 16, 8, 8)
    nn.init.zeros_([layer for layer in block.modules() if isinstance(layer, nn.Conv2d)][-1].weight)
    assert torch.equal(block(maps), maps)


def test_the_maps_of_the_last_pre_activation_block_pass_a_relu_before_their_mean(composed: Compose) -> None:
    network, given = option(composed, "wrn_16_4", 16, **SHALLOW["wrn_16_4"]), []
    network.avgpool.register_forward_hook(lambda _layer, maps, _means: given.append(maps[0]))
    network(torch.randn(4, 3, 16, 16))
    assert given[0].min() == 0
    assert given[0].max() > 0


def test_a_projection_gets_the_maps_after_batch_norm_and_relu_and_a_padded_shortcut_gets_them_as_they_are() -> None:
    maps = torch.randn(2, 4, 8, 8)
    for kind, given in (("projection", maps.relu()), ("padded", maps)):
        block = PreActBlock(4, 8, 2, "basic", kind, 0.0).eval()
        nn.init.zeros_(block.residual.conv2.weight)
        torch.testing.assert_close(block(maps), block.downsample(given), atol=1e-4, rtol=1e-4)  # batch norm divides by sqrt(1 + 1e-5)


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50"])
@pytest.mark.parametrize("zero", [True, False])
def test_residuals_begin_at_nothing_where_that_is_asked_for(name: str, zero: bool, composed: Compose) -> None:
    network = option(composed, name, 32, **SHALLOW[name], zero_init_residual=zero)
    blocks = [block for block in network.modules() if isinstance(block, BasicBlock | Bottleneck)]
    last = [block.bn3 if isinstance(block, Bottleneck) else block.bn2 for block in blocks]
    assert {float(norm.weight.detach().mean()) for norm in last} == {0.0 if zero else 1.0}
    assert all(block.bn1.weight.eq(1).all() for block in blocks)


def test_first_values_are_he_et_al_s_by_fan_out_and_small_for_the_scores(composed: Compose) -> None:
    torch.manual_seed(0)
    for name, place in (("resnet18", "layer3.0.conv1"), ("wrn_16_4", "layer3.0.residual.conv1")):
        network = option(composed, name, 32)
        layer = network.get_submodule(place)
        assert layer.weight.std().item() == pytest.approx((2 / (layer.out_channels * 9)) ** 0.5, rel=0.02)
        assert network.fc.weight.std().item() == pytest.approx(0.01, rel=0.05)
        assert not network.fc.bias.any()


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_the_first_step_of_training_changes_every_weight(name: str, composed: Compose) -> None:
    torch.manual_seed(0)
    network = option(composed, name, 16, **SHALLOW[name])
    images = torch.randn(10, 3, 16, 16)
    assert first_loss(network, images) == pytest.approx(2.3026, rel=0.1)
    assert without_gradient(network, images) == []


@pytest.mark.parametrize("side", [8, 28, 33, 1])
@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_images_of_any_size_give_one_score_per_class(name: str, side: int, composed: Compose) -> None:
    network = option(composed, name, side, 1, 7, **SHALLOW[name]).eval()
    assert network(torch.randn(2, 1, side, side)).shape == (2, 7)


def test_dropout_is_between_the_convolutions_of_a_wide_block(composed: Compose) -> None:
    network = on_meta(composed, "wrn_16_4", 32, dropout=0.3)
    names = [name for name, _ in network.layer1[0].residual.named_children()]
    assert names == ["conv1", "bn2", "relu2", "dropout", "conv2"]
    assert {layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)} == {0.3}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("resnet18", {"variant": "tiny"}, "variant is 'tiny', expected one of paper, small, auto"),
        ("resnet18", {"block": "basik"}, "block is 'basik', expected one of basic, bottleneck; did you mean basic?"),
        ("resnet18", {"shortcut": "none"}, "shortcut is 'none', expected one of padded, projection"),
        ("resnet18", {"stride_in": "5x5"}, "stride_in is '5x5', expected one of 1x1, 3x3"),
        ("resnet18", {"stride_in": "1x1"}, "block is basic, which has no 1x1 filters: reduction must be 1 and stride_in 3x3"),
        ("resnet18", {"reduction": 4}, "block is basic, which has no 1x1 filters: reduction must be 1 and stride_in 3x3"),
        ("resnet18", {"depths": [2, 2]}, "depths and widths must have one entry per stage each, but they have 2 and 4"),
        ("resnet50", {"reduction": 3}, "reduction must divide each of the widths, but it is 3 and one is 256"),
        (
            "preact_resnet164",
            {"widths": [2, 8, 8]},
            "widths must be 4 or more where block is bottleneck, but one is 2",
        ),
        (
            "preact_resnet110",
            {"widths": [64, 32, 16]},
            "shortcut is padded, which adds channels: widths must not shrink, but 64 become 32",
        ),
        ("resnet20", {"depth": 21}, "depth must be 6n + 2, such as 20, 32, 44, 56 or 110, but it is 21"),
        ("resnet20", {"depth": 2}, "depth must be 6n + 2, such as 20, 32, 44, 56 or 110, but it is 2"),
        ("preact_resnet18", {"block": "basik"}, "block is 'basik', expected one of basic, bottleneck; did you mean basic?"),
        ("preact_resnet18", {"shortcut": "none"}, "shortcut is 'none', expected one of padded, projection"),
        ("wrn_16_4", {"depth": 20}, "depth must be 6n + 4, such as 16, 22, 28 or 40, but it is 20"),
    ],
)
def test_what_can_t_be_built_is_refused(name: str, changes: dict[str, Any], message: str, composed: Compose) -> None:
    with pytest.raises(ConfigError) as told:
        on_meta(composed, name, 32, **changes)
    assert str(told.value).endswith(f"refused its options: {message}")
