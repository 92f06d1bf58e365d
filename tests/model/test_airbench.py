import pytest
import torch
from torch import Tensor, nn

from pipeline.model.airbench import Airbench
from pipeline.model.summary import summarise
from tests.conftest import Compose
from tests.model.measures import layer_fields, layer_parameters, measure, on_meta, option, without_gradient

CIFAR_EPOCH = 50_000  # training images


def airbench(composed: Compose, name: str = "airbench94", side: int = 32, channels: int = 3) -> Airbench:
    network = option(composed, name, side, channels)
    assert isinstance(network, Airbench)
    return network


def correlated_images(count: int, channels: int = 3) -> Tensor:
    """Return (count, channels, 8, 8) images of mean 0 whose neighbours and colours go together."""
    noise = torch.randn(count, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    own = torch.randn(count, channels, 8, 8, generator=torch.Generator().manual_seed(1))
    return noise[:, :, :-1, :-1] + noise[:, :, 1:, :-1] + noise[:, :, :-1, 1:] + 0.5 * own


@pytest.mark.parametrize(
    ("name", "parameters", "trainable"),
    [("airbench94", 1_972_792, 1_971_352), ("airbench95", 4_606_520, 4_604_440)],  # counted on the author's own make_net()
)
def test_it_has_as_many_parameters_as_the_original_and_learns_as_many(
    name: str, parameters: int, trainable: int, composed: Compose
) -> None:
    network = on_meta(composed, name, 32)
    assert sum(weight.numel() for weight in network.parameters()) == parameters
    assert sum(weight.numel() for weight in network.parameters() if weight.requires_grad) == trainable


def test_airbench94_s_parameters_layer_by_layer(composed: Compose) -> None:
    assert layer_parameters(on_meta(composed, "airbench94", 32)) == {
        "whiten": 312,
        "block1.conv1": 13_824,
        "block1.norm1": 128,
        "block1.conv2": 36_864,
        "block1.norm2": 128,
        "block2.conv1": 147_456,
        "block2.norm1": 512,
        "block2.conv2": 589_824,
        "block2.norm2": 512,
        "block3.conv1": 589_824,
        "block3.norm1": 512,
        "block3.conv2": 589_824,
        "block3.norm2": 512,
        "head": 2_560,
    }


def test_ten_epochs_of_cifar10_take_the_published_0_36_petaflops(composed: Compose) -> None:
    measured = measure(on_meta(composed, "airbench94", 32), 32)
    assert 6 * measured.macs * 9.9 * CIFAR_EPOCH / 1e15 == pytest.approx(0.36, abs=0.01)  # forward, and twice that backward; a MAC is two


def test_its_maps_go_31_15_7_3_1_and_its_fields_to_67_pixels(composed: Compose) -> None:
    network = on_meta(composed, "airbench94", 32)
    measured = measure(network, 32)
    assert measured.sides == {"whiten": 31, "gelu": 31, "block1": 15, "block2": 7, "block3": 3, "pool": 1}
    assert measured.channels == {"whiten": 24, "gelu": 24, "block1": 64, "block2": 256, "block3": 256, "pool": 256}
    fields = layer_fields(network, 32)
    assert [fields[layer] for layer in ("whiten", "block1.conv2", "block2.conv2", "block3.conv2", "pool")] == [2, 9, 23, 51, 67]


def test_each_block_is_convolution_pooling_norm_gelu_convolution_norm_gelu(composed: Compose) -> None:
    network = on_meta(composed, "airbench94", 32)
    assert [name for name, _ in network.named_children()] == [*("whiten", "gelu", "block1", "block2", "block3", "pool", "flatten", "head")]
    for block in ("block1", "block2", "block3"):
        layers = [name for name, _ in network.get_submodule(block).named_children()]
        assert layers == ["conv1", "pool", "norm1", "gelu1", "conv2", "norm2", "gelu2"]


@pytest.mark.parametrize(("channels", "side"), [(1, 9), (1, 28), (3, 32), (3, 64)])
def test_other_images_take_the_same_blocks_and_a_last_pooling_of_their_own(channels: int, side: int, composed: Compose) -> None:
    network = airbench(composed, side=side, channels=channels)
    assert network.eval()(torch.randn(2, channels, side, side)).shape == (2, 10)
    assert network.whiten.weight.shape == (8 * channels, channels, 2, 2)
    last = (side - 1) // 8
    assert measure(network, side, channels).sides["block3"] == last
    told = [] if last == 3 else [f"the last pooling takes whole maps of {last}x{last} pixels; the original's are 3x3"]
    assert network.notes == told


def test_the_whitening_filters_and_the_scales_of_batch_norm_do_not_learn(composed: Compose) -> None:
    network = airbench(composed)
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    assert frozen == {"whiten.weight", *(f"block{block}.norm{norm}.weight" for block in (1, 2, 3) for norm in (1, 2))}
    assert set(without_gradient(network, torch.randn(8, 3, 32, 32))) == frozen


def test_the_table_counts_what_is_frozen_as_not_trained(composed: Compose) -> None:
    network = airbench(composed)
    summary = summarise(network, lambda side: airbench(composed, side=side), lambda weights: torch.optim.SGD(weights, 0.1), 3, 32)
    assert (summary.parameters, summary.trainable) == (1_972_792, 1_971_352)
    kinds = {row.name: row.kind for row in summary.rows}
    assert (kinds["whiten"], kinds["block1.conv1"], kinds["block1.norm1"], kinds["head"]) == (
        *("convolution", "convolution", "batch norm", "fully connected"),
    )


def test_batch_norm_follows_the_batches_as_the_original_s_does(composed: Compose) -> None:
    norms = [layer for layer in airbench(composed).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert [(layer.momentum, layer.eps) for layer in norms] == [(0.4, 1e-12)] * 6
    assert all(bool((layer.weight == 1).all()) and not layer.bias.any() for layer in norms)


@pytest.mark.parametrize(("name", "handed_on"), [("block1.conv1", 24), ("block1.conv2", 64), ("block3.conv2", 256)])
def test_a_convolution_begins_by_handing_its_maps_on(name: str, handed_on: int, composed: Compose) -> None:
    layer = airbench(composed).get_submodule(name)
    maps = torch.randn(1, handed_on, 5, 5)
    torch.testing.assert_close(layer(maps)[:, :handed_on], maps)


def test_more_maps_than_filters_are_handed_on_as_far_as_there_are_filters(composed: Compose) -> None:
    network = option(composed, "airbench94", 32, widths=[8, 4, 4])
    maps = torch.randn(1, 24, 5, 5)
    torch.testing.assert_close(network.get_submodule("block1.conv1")(maps), maps[:, :8])


def test_scores_are_a_ninth_of_those_of_the_linear_layer(composed: Compose) -> None:
    head = airbench(composed).head
    features = torch.randn(2, 256)
    torch.testing.assert_close(head(features), features @ head.weight.T / 9)


def test_filters_begin_as_those_of_independent_pixels(composed: Compose) -> None:
    weight = airbench(composed).whiten.weight.flatten(1)
    assert torch.equal(weight, torch.cat([torch.eye(12), -torch.eye(12)]))


@pytest.mark.parametrize("channels", [1, 3])
def test_what_comes_of_the_images_that_it_starts_from_has_the_identity_as_covariance(channels: int, composed: Compose) -> None:
    network = airbench(composed, side=9, channels=channels)
    images = correlated_images(250, channels)  # more than are looked at together, and not a whole number of times
    network.init_whitening(images)
    half = 4 * channels
    seen = network.whiten(images)[:, :half].transpose(0, 1).flatten(1)  # (directions, places)
    torch.testing.assert_close(seen @ seen.T / seen.shape[1], torch.eye(half), atol=0.01, rtol=0)
    assert torch.equal(network.whiten.weight[half:], -network.whiten.weight[:half])
    assert not network.whiten.weight.requires_grad


def test_a_direction_without_variance_is_not_blown_up(composed: Compose) -> None:
    network = airbench(composed)
    network.init_whitening(torch.zeros(2, 3, 8, 8))
    norms = network.whiten.weight.flatten(1).norm(dim=1)
    torch.testing.assert_close(norms, torch.full((24,), 0.0005**-0.5))


def test_filters_come_in_order_of_variance_each_with_a_sign_that_the_images_order_does_not_choose(composed: Compose) -> None:
    images = correlated_images(100)
    one, other = airbench(composed), airbench(composed)
    one.init_whitening(images)
    other.init_whitening(-images.flip(0))
    torch.testing.assert_close(one.whiten.weight, other.whiten.weight)
    filters = one.whiten.weight[:12].flatten(1)
    assert (filters.norm(dim=1).diff() > 0).all()  # the length is one over the square root of the variance
    for direction in filters:
        assert next(value for value in direction if value.abs() >= direction.abs().max() / 2) > 0
