"""The kinds of layers of a CNN written in YAML: shapes, values by their formulas, and first values by their authors' rules."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.model import init
from pipeline.model.cnn import make_layer
from pipeline.model.init import read_init
from pipeline.model.layers import KINDS, CappedConv2d, constrain
from pipeline.model.tracing import output_shape

MAPS = (4, 8, 8)  # what comes in, where nothing else is said


def layer(kind: str, shape: tuple[int, ...] = MAPS, **options: Any) -> nn.Module:
    return make_layer("layers.layer", {"kind": kind, **options}, shape, {})


def of(values: Any) -> Tensor:
    """Return one image of one map."""
    return torch.tensor(values, dtype=torch.float32)[None, None]


SHAPES = [
    ("conv", {"filters": 6, "kernel": 3}, (6, 6, 6)),
    ("conv", {"filters": 6, "kernel": 3, "padding": "valid", "bias": False}, (6, 6, 6)),
    ("conv", {"filters": 6, "kernel": 3, "padding": "same"}, (6, 8, 8)),
    ("conv", {"filters": 6, "kernel": 4, "padding": "same"}, (6, 8, 8)),
    ("conv", {"filters": 6, "kernel": 3, "padding": "full"}, (6, 10, 10)),
    ("conv", {"filters": 6, "kernel": 4, "padding": "full"}, (6, 11, 11)),
    ("conv", {"filters": 6, "kernel": 3, "padding": 2, "stride": 2}, (6, 5, 5)),
    ("conv", {"filters": 6, "kernel": 3, "dilation": 2}, (6, 4, 4)),
    ("conv", {"filters": 6, "kernel": 3, "dilation": 2, "padding": "full"}, (6, 12, 12)),
    ("conv", {"filters": 6, "kernel": 1, "groups": 2}, (6, 8, 8)),
    ("conv", {"filters": 6, "kernel": 2, "padding": "same", "max_rms": 0.1}, (6, 8, 8)),
    ("relu", {}, MAPS),
    ("leaky_relu", {"slope": 0.1}, MAPS),
    ("elu", {}, MAPS),
    ("gelu", {}, MAPS),
    ("silu", {}, MAPS),
    ("tanh", {}, MAPS),
    ("scaled_tanh", {}, MAPS),
    ("sigmoid", {}, MAPS),
    *((pool, {"kernel": 2}, (4, 4, 4)) for pool in ("max_pool", "average_pool", "sum_pool", "l2_pool")),
    *((pool, {"kernel": 3, "stride": 2}, (4, 3, 3)) for pool in ("max_pool", "average_pool", "sum_pool", "l2_pool")),
    *((pool, {"kernel": 3, "stride": 2, "padding": 1}, (4, 4, 4)) for pool in ("max_pool", "average_pool", "sum_pool", "l2_pool")),
    ("global_average_pool", {}, (4, 1, 1)),
    ("global_max_pool", {}, (4, 1, 1)),
    ("batch_norm", {}, MAPS),
    ("group_norm", {"groups": 2}, MAPS),
    ("local_response_norm", {}, MAPS),
    ("local_response_norm", {"neighbours": 3, "alpha": 0.1, "beta": 0.5, "k": 1}, MAPS),
    ("dropout", {"rate": 0.5}, MAPS),
    ("dropout2d", {"rate": 0.5}, MAPS),
]


@pytest.mark.parametrize(("kind", "options", "expected"), SHAPES)
def test_every_kind_of_layer_gives_the_shape_that_its_options_say(kind: str, options: dict, expected: tuple[int, ...]) -> None:
    made = layer(kind, **options)
    assert made(torch.randn(2, *MAPS)).shape == (2, *expected)
    assert output_shape(made, MAPS) == expected


@pytest.mark.parametrize(
    ("kind", "options", "shape", "expected"),
    [
        ("linear", {"units": 6}, (9,), (6,)),
        ("batch_norm", {}, (9,), (9,)),
        ("group_norm", {"groups": 3}, (9,), (9,)),
        ("dropout", {"rate": 0.5}, (9,), (9,)),
        ("against_zero", {}, (1,), (2,)),
    ],
)
def test_after_a_linear_layer_the_kinds_without_windows_work_too(kind: str, options: dict, shape: tuple, expected: tuple) -> None:
    assert layer(kind, shape, **options)(torch.randn(2, *shape)).shape == (2, *expected)


def test_every_kind_is_tested_above() -> None:
    assert set(KINDS) == {kind for kind, _, _ in SHAPES} | {"linear", "against_zero"}


# The binary image and filter of the tutorials' animation (Karn, figure 5, after Stanford's UFLDL).
BINARY = of([[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]])
CROSS = of([[1, 0, 1], [0, 1, 0], [1, 0, 1]])


def convolved(padding: Any) -> list[list[float]]:
    made = layer("conv", (1, 5, 5), filters=1, kernel=3, padding=padding, bias=False)
    assert isinstance(made, nn.Conv2d)
    with torch.no_grad():
        made.weight.copy_(CROSS)
        return made(BINARY)[0, 0].tolist()


def test_convolutions_are_those_of_the_tutorials_by_every_padding() -> None:
    same = [[2, 2, 3, 1, 1], [1, 4, 3, 4, 1], [1, 2, 4, 3, 3], [1, 2, 3, 4, 1], [0, 2, 2, 1, 1]]
    assert convolved("valid") == [row[1:-1] for row in same[1:-1]] == [[4, 3, 4], [2, 4, 3], [2, 3, 4]]
    assert convolved("same") == convolved(1) == same
    assert [row[1:-1] for row in convolved("full")[1:-1]] == same
    assert convolved("full") == convolved(2)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch's of its own
@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (4, 1), (2, 3), (2, 2)])
def test_even_kernels_keep_the_size_as_torch_has_it_without_its_warning(kernel: int, dilation: int) -> None:
    made = layer("conv", filters=3, kernel=kernel, padding="same", dilation=dilation)
    convolution = next(module for module in made.modules() if isinstance(module, nn.Conv2d))
    maps = torch.randn(2, *MAPS)
    expected = F.conv2d(maps, convolution.weight, convolution.bias, padding="same", dilation=dilation)
    torch.testing.assert_close(made(maps), expected)


def test_an_even_kernel_fits_maps_of_one_pixel() -> None:
    assert output_shape(layer("conv", (1, 1, 1), filters=2, kernel=2, padding="same"), (1, 1, 1)) == (2, 1, 1)


# The block of CS231n; the 4x4 map of the tutorials' Keras page.
BLOCK = of([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])
PHOTO = of([[429, 505, 686, 856], [261, 792, 412, 640], [633, 653, 851, 751], [608, 913, 713, 657]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("max_pool", [[6, 8], [3, 4]]),
        ("average_pool", [[3.25, 5.25], [2, 2]]),
        ("sum_pool", [[13, 21], [8, 8]]),
        ("l2_pool", [[7.9373, 11.5326], [4.2426, 5.0990]]),
    ],
)
def test_pools_take_the_largest_value_the_mean_the_sum_or_the_root_of_the_squares(kind: str, expected: list[list[float]]) -> None:
    pooled = layer(kind, (1, 4, 4), kernel=2)(BLOCK)
    torch.testing.assert_close(pooled, of(expected), atol=1e-4, rtol=0)


def test_the_largest_values_of_the_tutorial_s_photo() -> None:
    assert layer("max_pool", (1, 4, 4), kernel=2)(PHOTO)[0, 0].tolist() == [[792, 856], [913, 851]]


@pytest.mark.parametrize(("kind", "corner"), [("max_pool", 6), ("average_pool", 13 / 9), ("sum_pool", 13), ("l2_pool", math.sqrt(63))])
def test_windows_may_overlap_and_reach_over_the_border(kind: str, corner: float) -> None:
    pooled = layer(kind, (1, 4, 4), kernel=3, stride=1, padding=1)(BLOCK)
    assert pooled.shape == (1, 1, 4, 4)
    assert pooled[0, 0, 0, 0].item() == pytest.approx(corner)


def test_global_pools_take_one_value_of_each_map() -> None:
    maps = torch.stack([BLOCK[0, 0], -BLOCK[0, 0]])[None]
    assert layer("global_average_pool", (2, 4, 4))(maps).flatten().tolist() == [3.125, -3.125]
    assert layer("global_max_pool", (2, 4, 4))(maps).flatten().tolist() == [8, 0]


def test_an_l2_pool_of_zeros_has_a_gradient() -> None:
    maps = torch.zeros(1, 1, 4, 4, requires_grad=True)
    layer("l2_pool", (1, 4, 4), kernel=2)(maps).sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "options", "formula"),
    [
        ("relu", {}, lambda x: max(0, x)),
        ("leaky_relu", {"slope": 0.2}, lambda x: x if x > 0 else 0.2 * x),
        ("elu", {}, lambda x: x if x > 0 else math.exp(x) - 1),
        ("gelu", {}, lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
        ("silu", {}, lambda x: x / (1 + math.exp(-x))),
        ("tanh", {}, math.tanh),
        ("scaled_tanh", {}, lambda x: 1.7159 * math.tanh(2 * x / 3)),
        ("sigmoid", {}, lambda x: 1 / (1 + math.exp(-x))),
    ],
)
def test_activations_follow_their_formulas(kind: str, options: dict, formula: Any) -> None:
    values = [-15.0, -1.0, -0.3, 0.0, 0.5, 1.0, 20.0]
    assert layer(kind, **options)(torch.tensor(values)).tolist() == pytest.approx([formula(x) for x in values], abs=1e-5)


def test_the_scaled_tanh_maps_1_to_1() -> None:
    assert layer("scaled_tanh")(torch.tensor([1.0, -1.0])).tolist() == pytest.approx([1, -1], abs=1e-4)


def test_local_response_norm_is_the_paper_s_formula() -> None:
    maps = torch.randn(2, 7, 3, 3) * 10
    expected = torch.empty_like(maps)
    for i in range(7):
        near = maps[:, max(0, i - 1) : i + 2]  # the map and one neighbour on either side
        expected[:, i] = maps[:, i] / (2 + 0.3 * near.square().sum(dim=1)) ** 0.75
    normed = layer("local_response_norm", (7, 3, 3), neighbours=3, alpha=0.3, beta=0.75, k=2)
    torch.testing.assert_close(normed(maps), expected)


def test_norms_give_mean_0_and_variance_1_over_a_map_s_batch_or_an_image_s_group() -> None:
    maps = torch.randn(16, *MAPS) * 3 + 5
    batch = layer("batch_norm")(maps).transpose(0, 1).flatten(1)  # (4, -1)
    group = layer("group_norm", groups=2)(maps).reshape(32, -1)
    for normed in (batch, group):
        torch.testing.assert_close(normed.mean(dim=1), torch.zeros(len(normed)), atol=1e-5, rtol=0)
        torch.testing.assert_close(normed.var(dim=1, correction=0), torch.ones(len(normed)), atol=1e-4, rtol=0)


def test_dropout_leaves_out_values_and_dropout2d_whole_maps_in_training_alone() -> None:
    torch.manual_seed(0)
    ones = torch.ones(64, *MAPS)
    values, maps = layer("dropout", rate=0.25), layer("dropout2d", rate=0.25)
    assert (values(ones) == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    shares = (maps(ones) == 0).float().mean(dim=(2, 3)).flatten()
    assert set(shares.tolist()) == {0, 1}
    assert shares.mean().item() == pytest.approx(0.25, abs=0.08)
    assert torch.equal(values.eval()(ones), ones)
    assert torch.equal(maps.eval()(ones), ones)


def test_groups_of_maps_do_not_see_each_other() -> None:
    made = layer("conv", filters=4, kernel=1, groups=2, bias=False)
    maps = torch.randn(1, *MAPS)
    changed = maps.clone()
    changed[:, 2:] += 1
    assert torch.equal(made(maps)[:, :2], made(changed)[:, :2])
    assert not torch.equal(made(maps)[:, 2:], made(changed)[:, 2:])


def rms(convolution: nn.Conv2d) -> Tensor:
    return convolution.weight.square().mean(dim=(1, 2, 3)).sqrt()


def test_the_constraint_scales_filters_back_that_grew_and_no_others() -> None:
    made = layer("conv", filters=3, kernel=3, max_rms=0.1)
    assert isinstance(made, CappedConv2d)
    with torch.no_grad():
        made.weight[0] = 5 * torch.randn(4, 3, 3)
        made.weight[1] = 0.01
        made.weight[2] = 0
    before = made.weight.detach().clone()
    constrain(nn.Sequential(made))
    assert rms(made).tolist() == pytest.approx([0.1, 0.01, 0])
    torch.testing.assert_close(F.cosine_similarity(made.weight[0].flatten(), before[0].flatten(), dim=0), torch.tensor(1.0))
    assert torch.equal(made.weight[1:], before[1:])


def test_a_convolution_without_the_constraint_stays_as_it_is() -> None:
    made = layer("conv", filters=3, kernel=3, init={"kind": "normal", "std": 5})
    before = made.weight.detach().clone()  # type: ignore[union-attr, operator]
    constrain(made)
    assert torch.equal(made.weight, before)  # type: ignore[arg-type]


def test_one_output_against_zero_is_a_sigmoid_and_its_cross_entropy_the_binary_one() -> None:
    outputs, labels = torch.tensor([[-2.0], [0.0], [3.0]]), torch.tensor([0, 1, 1])
    scores = layer("against_zero", (1,))(outputs)
    torch.testing.assert_close(scores.softmax(dim=1)[:, 1], outputs.sigmoid()[:, 0])
    expected = F.binary_cross_entropy_with_logits(outputs[:, 0], labels.float())
    torch.testing.assert_close(F.cross_entropy(scores, labels), expected)


def drawn(given: Any, filters: int = 64) -> nn.Conv2d:
    """Return a convolution of 5x5x3, or of more inputs where the statistics need them."""
    torch.manual_seed(0)
    made = nn.Conv2d(3 if filters == 10 else 64, filters, 5)
    read_init("init", given)(made)
    return made


def test_xavier_s_bound_for_ten_filters_of_5x5x3_is_0_13587() -> None:
    weight = drawn("xavier", filters=10).weight
    assert weight.abs().max().item() == pytest.approx(0.13587, rel=0.01)
    assert weight.abs().max() <= 0.13587 + 1e-5
    assert weight.std().item() == pytest.approx(0.13587 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(
    ("given", "std"),
    [
        ("he", math.sqrt(2 / (64 * 25))),
        ("he_fan_out", math.sqrt(2 / (64 * 25))),
        ("lecun", math.sqrt(1 / (64 * 25))),
        ("normal", 0.01),
        ({"kind": "normal", "std": 1}, 1),
    ],
)
def test_first_values_are_spread_as_their_rules_say(given: Any, std: float) -> None:
    made = drawn(given)
    assert made.weight.mean().item() == pytest.approx(0, abs=0.02 * std)
    assert made.weight.std().item() == pytest.approx(std, rel=0.02)
    assert made.bias is not None
    assert not made.bias.any()


def test_he_counts_what_comes_in_or_what_goes_out() -> None:
    torch.manual_seed(0)
    one, other = nn.Linear(100, 400), nn.Linear(100, 400)
    read_init("init", "he")(one)
    read_init("init", "he_fan_out")(other)
    assert one.weight.std().item() == pytest.approx(math.sqrt(2 / 100), rel=0.02)
    assert other.weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.02)


def test_zeros_and_biases_are_what_they_say() -> None:
    made = drawn({"kind": "zeros", "bias": 0.5})
    assert not made.weight.any()
    assert made.bias is not None
    assert (made.bias == 0.5).all()


def test_every_rule_is_tested_above() -> None:
    assert set(init.INITIALIZERS) == {"xavier", "he", "he_fan_out", "lecun", "normal", "zeros"}
