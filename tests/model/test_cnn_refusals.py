"""What a CNN written in YAML can't be, told by the key that is wrong."""

import pytest
from torch import nn

from pipeline.config.build import build
from pipeline.config.errors import ConfigError
from pipeline.model.forward_pass import TooSmallError
from tests.model.test_cnn import CONV, SCORES, SHRINKING, block, cnn

OF_BLOCKS = [
    (
        block(kind="residual", layers={"conv": SHRINKING}),
        r"layers\.block\.shortcut gives 3x8x8, which can't be added to the layers' 6x3x3; "
        r"give shortcut: {conv: {kind: conv, filters: 6, kernel: 1, stride: 3}}$",
    ),
    (
        block(kind="residual", layers={"conv": CONV | {"padding": "valid"}}),
        r"layers\.block\.shortcut gives 3x8x8, which can't be added to the layers' 4x6x6; give the layers' convolutions padding: same$",
    ),
    (
        block(kind="residual", layers={"conv": CONV}, shortcut={"conv": CONV | {"filters": 5}}),
        r"layers\.block\.shortcut gives 5x8x8, which can't be added to the layers' 4x8x8",
    ),
    (block(kind="residual"), r"layers\.block\.layers is missing, which residual needs"),
    (block(kind="residual", layers=3), r"layers\.block\.layers is 3, expected a mapping of layers such as {relu1: {kind: relu}}"),
    (
        block(kind="residual", layers={"conv": CONV | {"kernel": 0}}),
        r"layers\.block\.layers\.conv\.kernel must be a whole number of at least 1, but it is 0",
    ),
    (block(kind="residual", layers={"conv": {"kind": "cnov"}}), r"layers\.block\.layers\.conv\.kind is 'cnov', .*did you mean conv\?"),
    (
        block(kind="residual", layers={}, shortcut={"pool": {"kind": "max_pool", "kernel": 9}}),
        r"layers\.block\.shortcut\.pool: the 8x8 maps before it are smaller than its 9x9 window; raise resize\.size or leave out a pooling",
    ),
    (
        block(kind="parallel", branches={"a": {"conv": CONV}, "b": {"conv": SHRINKING}}),
        r"layers\.block\.branches can't be joined, as their maps differ in size: a makes 4x8x8, b makes 6x3x3",
    ),
    (block(kind="parallel", branches={}), r"layers\.block\.branches is {}, expected a mapping of branches, each a mapping of layers"),
    (block(kind="parallel", branches={"a": None}), r"layers\.block\.branches is {'a': None}, expected a mapping of branches"),
    (block(kind="parallel", branches=[CONV]), r"layers\.block\.branches is \[.*\], expected a mapping of branches"),
    (block(kind="parallel", branches={"a": 3}), r"layers\.block\.branches\.a is 3, expected a mapping of layers"),
    (block(kind="parallel", branches={"keys": {}}), r"layers\.block\.branches\.keys: a layer can't have this name"),
    (
        block(kind="parallel", branches={"a": {"conv": CONV | {"strde": 1}}}),
        r"layers\.block\.branches\.a\.conv\.strde is not an option of conv, which has .*; did you mean stride\?",
    ),
]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            {"a": {"kind": "convv"}},
            r"layers\.a\.kind is 'convv', expected one of conv, relu, .*linear, against_zero, residual, parallel; did you mean conv\?",
        ),
        (
            {"pool": {"kind": "global_average_pool"}, "norm": {"kind": "group_norm", "groups": 3}},
            r"layers\.norm: group_norm normalises one value by itself in each of 3 groups, which leaves nothing; give fewer groups",
        ),
        (
            {"flat": {"kind": "linear", "units": 8}, "norm": {"kind": "group_norm", "groups": 8}},
            r"layers\.norm: group_norm normalises one value by itself in each of 8 groups",
        ),
        ({"a": {}}, r"layers\.a\.kind is None, expected one of conv, relu"),
        ({"a": {"kind": ["conv"]}}, r"layers\.a\.kind is \['conv'\], expected one of conv, relu"),
        (
            {"a": {"kind": "conv", "filters": 3, "kernels": 3}},
            r"layers\.a\.kernels is not an option of conv, which has filters, kernel, stride, padding, dilation, groups, bias, max_rms, "
            r"init; did you mean kernel\?",
        ),
        ({"a": {"kind": "relu", "rate": 1}}, r"layers\.a\.rate is not an option of relu, which has none"),
        ({"a": {"kind": "relu", "init": "he"}}, r"layers\.a\.init is not an option of relu"),
        ({"a": {"kind": "conv", "filters": 3}}, r"layers\.a\.kernel is missing, which conv needs"),
        ({"a": {"kind": "conv", "filters": -3, "kernel": 3}}, r"layers\.a\.filters must be a whole number of at least 1, but it is -3"),
        (
            {"a": {"kind": "conv", "filters": 3, "kernel": 3, "stride": 0}},
            r"layers\.a\.stride must be a whole number of at least 1, but it is 0",
        ),
        ({"a": {"kind": "conv", "filters": 3, "kernel": 3, "padding": -1}}, r"layers\.a\.padding must be 0 or more, but it is -1"),
        ({"a": {"kind": "conv", "filters": 4, "kernel": 3, "groups": 2}}, r"layers\.a: conv .*in_channels must be divisible by groups"),
        ({"a": CONV | {"max_rms": 0}}, r"layers\.a: conv max_rms must be a number above 0, but it is 0"),
        ({"a": CONV | {"stride": 2}}, r"layers\.a: conv padding='same' is not supported for strided convolutions"),
        ({"a": {"kind": "linear", "units": 0}}, r"layers\.a\.units must be a whole number of at least 1, but it is 0"),
        ({"a": {"kind": "max_pool", "kernel": 0}}, r"layers\.a\.kernel must be a whole number of at least 1, but it is 0"),
        ({"a": {"kind": "max_pool", "kernel": 2, "padding": 2}}, r"layers\.a: max_pool pad should be at most half of effective kernel"),
        ({"a": {"kind": "group_norm", "groups": 2}}, r"layers\.a: group_norm num_channels .*must be divisible by num_groups"),
        (
            {"a": {"kind": "conv", "filters": "many", "kernel": 3}},
            r"layers\.a\.filters must be a whole number of at least 1, but it is 'many'",
        ),
        ({"a": {"kind": "dropout", "rate": 2}}, r"layers\.a\.rate must be a share from 0 to below 1, but it is 2"),
        ({"a": {"kind": "dropout", "rate": 1}}, r"layers\.a\.rate must be a share from 0 to below 1, but it is 1"),
        ({"a": {"kind": "dropout2d", "rate": "some"}}, r"layers\.a\.rate must be a share from 0 to below 1, but it is 'some'"),
        ({"a": CONV | {"kernel": 2.5}}, r"layers\.a\.kernel must be a whole number of at least 1, but it is 2\.5"),
        ({"a": {"kind": "conv", "filters": 3, "kernel": 3, "padding": "some"}}, r"layers\.a: conv .*padding"),
        (
            {"a": {"kind": "conv", "filters": 3, "kernel": 9}},
            r"layers\.a: the 8x8 maps before it are smaller than its 9x9 window; raise resize\.size or leave out a pooling",
        ),
        (
            {f"p{i}": {"kind": "max_pool", "kernel": 2} for i in range(4)},
            r"layers\.p3: the 1x1 maps before it are smaller than its 2x2 window; raise resize\.size or leave out a pooling",
        ),
        (
            {"a": {"kind": "linear", "units": 9}, "b": CONV},
            r"layers\.b: conv needs feature maps, but a linear layer before it flattens them; put it before the first linear layer",
        ),
        (
            {"a": SCORES, "b": {"kind": "against_zero"}},
            r"layers\.b: against_zero takes one value of an image, but gets \(5,\); put {kind: linear, units: 1} before it",
        ),
        ({"a": SCORES | {"units": 1}, "b": {"kind": "against_zero"}}, r"layers end with shape \(2,\), but there are 5 classes"),
        ({"add_module": {"kind": "relu"}}, r"layers\.add_module: a layer can't have this name"),
        ({"flatten": {"kind": "relu"}}, r"layers\.flatten: a layer can't have this name"),
        ({"a.b": {"kind": "relu"}}, r"layers\.a\.b: a layer can't have this name"),
        ({"": {"kind": "relu"}}, r"layers\.: a layer can't have this name"),
        ({"a": {"kind": "relu"}}, r"layers end with shape \(3, 8, 8\), but there are 5 classes; end with {kind: linear}"),
        ({}, r"layers end with shape \(3, 8, 8\), but there are 5 classes"),
        ({"a": {"kind": "linear", "units": 6}}, r"layers end with shape \(6,\), but there are 5 classes"),
        (
            {"a": CONV | {"init": "hee"}},
            r"layers\.a\.init is 'hee', expected one of he, he_fan_out, xavier, lecun, normal, .*zeros; did you mean he\?",
        ),
        ({"a": CONV | {"init": 3}}, r"layers\.a\.init is 3, expected one of he, "),
        ({"a": CONV | {"init": {"std": 1}}}, r"layers\.a\.init\.kind is None, expected one of he, "),
        (
            {"a": CONV | {"init": {"kind": "normal", "sd": 1}}},
            r"layers\.a\.init\.sd is not an option of normal, which has std, bias; did you mean std\?",
        ),
        ({"a": CONV | {"init": {"kind": "normal", "std": -1}}}, r"layers\.a\.init\.std must be 0 or more, but it is -1"),
        ({"a": CONV | {"init": {"kind": "he", "bias": "b"}}}, r"layers\.a\.init\.bias must be a number, but it is 'b'"),
        *OF_BLOCKS,
    ],
)
def test_a_layer_that_can_t_be_is_refused_by_its_name(layers: dict, message: str) -> None:
    node = {"_target_": "pipeline.model.cnn.CNN", "layers": layers}
    with pytest.raises(ConfigError, match=rf"^model: pipeline\.model\.cnn\.CNN refused its options: {message}"):
        build("model", node, nn.Module, in_channels=3, num_classes=5, image_size=8)


def test_first_values_of_the_network_are_refused_by_their_own_key() -> None:
    node = {"_target_": "pipeline.model.cnn.CNN", "layers": {"a": SCORES}, "init": "javier"}
    with pytest.raises(ConfigError, match=r"init is 'javier', expected one of he, .*; did you mean xavier\?") as told:
        build("model", node, nn.Module, in_channels=3, num_classes=5, image_size=8)
    assert told.value.key == "model.init"


def test_a_refusal_s_key_is_the_option_s_own_also_in_a_block() -> None:
    node = {"_target_": "pipeline.model.cnn.CNN", "layers": block(kind="residual", layers={"conv": CONV | {"kernel": 0}})}
    with pytest.raises(ConfigError) as told:
        build("model", node, nn.Module, in_channels=3, num_classes=5, image_size=8)
    assert told.value.key == "model.layers.block.layers.conv.kernel"


def test_images_too_small_are_told_from_other_mistakes() -> None:
    with pytest.raises(TooSmallError):
        cnn(a={"kind": "conv", "filters": 3, "kernel": 9})


def test_a_layer_that_is_no_mapping_is_refused_by_its_key() -> None:
    node = {"_target_": "pipeline.model.cnn.CNN", "layers": {"a": "relu"}}
    with pytest.raises(ConfigError, match=r'^model\.layers\.a must be a mapping or null, but it is "relu"'):
        build("model", node, nn.Module, in_channels=3, num_classes=5, image_size=8)
