import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.analysis.activations import feature_maps
from pipeline.config.errors import ConfigError
from pipeline.model.forward_pass import TooSmallError
from pipeline.model.layers import ScaledTanh
from pipeline.model.lenet import RBF, TABLE, LeNet, Subsampling, TableConv2d, bitmaps
from pipeline.model.tracing import trace
from tests.conftest import Compose
from tests.model.measures import layer_fields, layer_parameters, measure, on_meta, option, without_gradient

VARIANTS = ["lenet", "lenet5", "lenet5_softmax", "lenet5_modern", "lenet_harley"]
TUTORIAL = {"connections": "full", "activation": "relu", "pooling": "max", "output": "linear"}


def test_lenet5_of_1998_has_60000_parameters_layer_by_layer_as_the_paper_says(composed: Compose) -> None:
    network = on_meta(composed, "lenet5", 32, channels=1)
    assert layer_parameters(network) == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert measure(network, 32, channels=1).parameters == 60_000


def connections(layer: nn.Module, shape: tuple[int, ...]) -> int:
    """Count which inputs change which outputs, one by one, and a bias for each output as the paper does."""
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    with torch.no_grad():
        nothing = layer(torch.zeros(1, *shape))
        links = layer(torch.eye(math.prod(shape)).unflatten(1, shape)) != nothing
    return int(links.sum()) + (nothing.numel() if hasattr(layer, "bias") else 0)


def test_lenet5_of_1998_has_340908_connections(composed: Compose) -> None:
    network = option(composed, "lenet5", 32, channels=1)
    shapes = {"c1": (1, 32, 32), "s2": (6, 28, 28), "c3": (6, 14, 14), "s4": (16, 10, 10), "c5": (400,), "f6": (120,), "output": (84,)}
    counted = {name: connections(network.get_submodule(name), shape) for name, shape in shapes.items()}
    assert counted == {"c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120, "f6": 10_164, "output": 840}
    assert sum(counted.values()) == 340_908


@pytest.mark.parametrize(
    ("name", "channels", "total", "products"),
    [
        ("lenet", 1, 63_802, 418_600),
        ("lenet_harley", 1, 62_902, 328_600),
        ("lenet5_modern", 1, 61_706, 416_520),
        ("lenet5_modern", 3, 62_006, 416_520 + 2 * 28 * 28 * 150),
        ("lenet5_softmax", 1, 60_850, 326_520),
    ],
)
def test_the_other_forms_have_the_parameters_and_macs_that_are_known_of_them(
    name: str, channels: int, total: int, products: int, composed: Compose
) -> None:
    measured = measure(on_meta(composed, name, 32, channels=channels), 32, channels)
    assert (measured.parameters, measured.macs) == (total, products)


@pytest.mark.parametrize("name", VARIANTS)
def test_maps_go_28_14_10_5_and_receptive_fields_5_6_14_16_32(name: str, composed: Compose) -> None:
    network = on_meta(composed, name, 32, channels=1)
    measured = measure(network, 32, channels=1)
    assert {layer: measured.sides[layer] for layer in ("c1", "s2", "c3", "s4")} == {"c1": 28, "s2": 14, "c3": 10, "s4": 5}
    assert {layer: measured.channels[layer] for layer in ("c1", "s2", "c3", "s4")} == {"c1": 6, "s2": 6, "c3": 16, "s4": 16}
    assert layer_fields(network, 32, channels=1) == {"c1": 5, "s2": 6, "c3": 14, "s4": 16}
    assert next(call.field.size for call in trace(network, 1, 32) if call.layer == "c5") == 32


def test_the_tutorials_network_has_relu_max_pooling_and_units_120_100_10(composed: Compose) -> None:
    network = option(composed, "lenet", 32, channels=1)
    assert list(dict(network.named_children())) == [
        *("c1", "relu1", "s2", "c3", "relu3", "s4", "flatten", "c5", "relu5", "f6", "relu6", "output")
    ]
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(400, 120), (120, 100), (100, 10)]
    assert all(isinstance(network.get_submodule(name), nn.MaxPool2d) for name in ("s2", "s4"))


def test_its_sizes_are_settings() -> None:
    network = LeNet(3, 4, 40, filters=[5, 7], units=[20, 30], **TUTORIAL)
    assert network(torch.zeros(2, 3, 40, 40)).shape == (2, 4)
    assert [layer.out_channels for layer in network.modules() if isinstance(layer, nn.Conv2d)] == [5, 7]
    assert [layer.out_features for layer in network.modules() if isinstance(layer, nn.Linear)] == [20, 30, 4]


def test_c3_is_a_full_convolution_whose_missing_links_are_zero() -> None:
    layer, maps = TableConv2d(), torch.randn(2, 6, 14, 14)
    full, links = torch.zeros(16, 6, 5, 5), iter(layer.weight)
    for map_of_c3, seen in enumerate(TABLE):
        for source in seen:
            full[map_of_c3, int(source)] = next(links)
    torch.testing.assert_close(layer(maps), F.conv2d(maps, full, layer.bias))


def test_c3_sees_of_s2_what_the_papers_table_1_marks() -> None:
    marks = ["X...XXX..XXXX.XX", "XX...XXX..XXXX.X", "XXX...XXX..X.XXX", ".XXX..XXXX..X.XX", "..XXX..XXXX.XX.X", "...XXX..XXXX.XXX"]
    assert [tuple(column) for column in TABLE] == [
        tuple(str(source) for source in range(6) if marks[source][map_of_c3] == "X") for map_of_c3 in range(16)
    ]


def test_subsampling_scales_the_sum_of_2x2_pixels_and_adds_a_bias_of_the_map() -> None:
    layer = Subsampling(2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 0.5]).reshape(2, 1, 1))
        layer.bias.copy_(torch.tensor([0.0, 3.0]).reshape(2, 1, 1))
    block = torch.tensor([[1.0, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
    expected = [[[13.0, 21], [8, 8]], [[9.5, 13.5], [7, 7]]]
    assert layer(torch.stack([block, block])[None])[0].tolist() == expected


def test_every_layer_of_1998_before_the_output_ends_in_the_scaled_tanh(composed: Compose) -> None:
    layers = list(option(composed, "lenet5", 32, channels=1).named_children())
    followed = [name for (name, _), (_, after) in pairwise(layers) if isinstance(after, ScaledTanh)]
    assert followed == ["c1", "s2", "c3", "s4", "c5", "f6"]


def test_the_bitmaps_are_ten_drawings_of_plus_and_minus_one_and_no_two_are_near() -> None:
    drawn = bitmaps()
    assert drawn.shape == (10, 84)
    assert set(drawn.flatten().tolist()) == {-1.0, 1.0}
    assert (drawn[:, None] != drawn).sum(2)[~torch.eye(10, dtype=torch.bool)].min() >= 9  # pixels; 3 and 8, 8 and 9 are alike
    one = drawn[1].reshape(12, 7)
    assert one[3].tolist() == [-1, -1, -1, 1, 1, -1, -1]
    assert one[9].tolist() == [-1, 1, 1, 1, 1, 1, 1]


def test_scores_of_1998_are_minus_the_squared_distance_from_each_drawing() -> None:
    output, eight = RBF(), bitmaps()[8]
    scores = output(torch.stack([eight, 0.5 * eight]))
    assert scores[:, 8].tolist() == [0, pytest.approx(-84 * 0.25)]
    assert scores.argmax(1).tolist() == [8, 8]
    assert scores[0, 3].item() == -4 * (bitmaps()[3] != eight).sum()


def test_the_drawings_stay_as_they_are_while_the_rest_learns(composed: Compose) -> None:
    network = option(composed, "lenet5", 32, channels=1)
    assert not list(network.get_submodule("output").parameters())
    assert without_gradient(network, torch.randn(2, 1, 32, 32)) == []


def test_harleys_scores_are_squashed_as_well(composed: Compose) -> None:
    network = option(composed, "lenet_harley", 32, channels=1)
    assert network(1e6 * torch.randn(8, 1, 32, 32)).abs().max() <= 1.7159


@pytest.mark.parametrize("name", ["lenet5", "lenet5_softmax", "lenet_harley"])
def test_weights_of_1998_begin_uniform_within_2_4_by_the_inputs_of_a_unit(name: str, composed: Compose) -> None:
    network = option(composed, name, 32, channels=1)
    c3 = network.get_submodule("c3")
    assert isinstance(c3, TableConv2d)
    drawn = [(network.get_submodule("c1").weight, 25), (network.get_submodule("c5").weight, 400), (network.get_submodule("f6").weight, 120)]
    drawn += [(c3_filters(c3, maps), maps * 25) for maps in (3, 4, 6)]
    for weight, fan_in in drawn:
        uniform_within(weight, 2.4 / fan_in)
    assert all(not value.any() for key, value in network.named_parameters() if key.endswith("bias"))


def c3_filters(c3: TableConv2d, maps: int) -> Tensor:
    """Return the filters of all maps that see so many."""
    return torch.cat([filters for filters in c3.filters() if filters.shape[1] == maps])


def uniform_within(weight: Tensor, bound: float) -> None:
    assert weight.abs().max().item() == pytest.approx(bound, rel=0.05)
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15)


def test_relu_forms_begin_with_torchs_values_in_c3_too() -> None:
    network = LeNet(1, 10, 32, [6, 16], [120, 84], **TUTORIAL | {"connections": "table"})
    for maps in (3, 4, 6):
        uniform_within(c3_filters(network.get_submodule("c3"), maps), 1 / math.sqrt(maps * 25))


@pytest.mark.parametrize("name", VARIANTS)
def test_one_step_reaches_every_parameter(name: str, composed: Compose) -> None:
    assert without_gradient(option(composed, name, 32, channels=1), torch.randn(2, 1, 32, 32)) == []


def test_the_maps_of_c3_and_of_both_poolings_can_be_looked_at(composed: Compose) -> None:
    layers, _ = feature_maps(option(composed, "lenet5", 32, channels=1).eval(), torch.randn(1, 1, 32, 32), most=16)
    assert [(layer.name, layer.family, layer.channels) for layer in layers] == [
        *(("c1", "convolution", 6), ("scaled_tanh1", "activation", 6), ("s2", "pooling", 6), ("scaled_tanh2", "activation", 6)),
        *(("c3", "convolution", 16), ("scaled_tanh3", "activation", 16), ("s4", "pooling", 16), ("scaled_tanh4", "activation", 16)),
    ]


def test_images_of_mnists_size_get_a_border_of_two_pixels_like_those_beside_it(composed: Compose) -> None:
    network, images = option(composed, "lenet", 28, channels=1), torch.randn(2, 1, 28, 28)
    framed = network.get_submodule("border")(images)
    assert torch.equal(framed, F.pad(images, (2, 2, 2, 2), mode="replicate"))
    measured = measure(network, 28, channels=1)
    assert (measured.sides["s4"], measured.parameters) == (5, 63_802)
    assert network.notes == ["images of 28x28 pixels are padded to 32x32 by replicating their edges"]


@pytest.mark.parametrize("size", [29, 30, 31])
def test_sizes_a_little_larger_are_filled_up_to_32_pixels_too(size: int, composed: Compose) -> None:
    assert measure(on_meta(composed, "lenet", size, channels=1), size, channels=1).sides["c1"] == 28


@pytest.mark.parametrize("size", [16, 17, 21, 27, 32, 40])
def test_images_of_other_sizes_get_no_border(size: int, composed: Compose) -> None:
    network = option(composed, "lenet5", size, channels=1)
    assert network.notes == []
    assert network(torch.zeros(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize(("size", "words"), [(15, "s4: the 1x1 maps before it are smaller than its 2x2 window"), (8, "c3: the 2x2 maps")])
def test_smaller_images_are_refused_with_the_layer(size: int, words: str, composed: Compose) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        option(composed, "lenet", size, channels=1)
    assert isinstance(caught.value.__cause__, TooSmallError)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"connections": "some"}, "connections is 'some', expected one of full, table"),
        ({"activation": "gelu"}, "activation is 'gelu', expected one of relu, scaled_tanh"),
        ({"pooling": "l2"}, "pooling is 'l2', expected one of max, average, trainable"),
        ({"output": "svm"}, "output is 'svm', expected one of linear, scaled_tanh, rbf"),
        ({"filters": [6, 20]}, r"filters must be \[6, 16\] where connections is table, which is the paper's; but they are \[6, 20\]"),
        ({"units": [120, 100]}, r"takes 10 classes and 84 as the last of units, but there are 10 classes and 100 units"),
    ],
)
def test_options_that_do_not_go_together_are_refused_with_what_does(options: dict, words: str, composed: Compose) -> None:
    with pytest.raises(ConfigError, match=words):
        option(composed, "lenet5", 32, channels=1, **options)


def test_the_drawn_digits_take_no_other_number_of_classes(composed: Compose) -> None:
    with pytest.raises(ConfigError, match="but there are 3 classes and 84 units; choose model=lenet5_softmax or model.output=linear"):
        option(composed, "lenet5", 32, channels=1, classes=3)
