"""Filters and units with planted faults are reported as such, and no others."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.analysis.gradients import output_of
from pipeline.analysis.units import Activities, Activity, cosines, opposite, redundant
from tests.analysis import by_hand


def planted() -> nn.Sequential:
    """Return a convolution of 8 filters with a ReLU: 1 is dead, 2 always on, 4 a copy of 3 (twice as strong), 6 the negative of 5."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU()).eval()
    weight, bias = network[0].weight.data, network[0].bias.data
    bias.zero_()
    bias[1], bias[2] = -100, 100
    weight[4] = 2 * weight[3] + 0.1  # and another mean
    weight[6] = -weight[5]
    return network


def activity(network: nn.Module, layer: nn.Module, batches: list[tuple[Tensor, Tensor]], classes: int) -> Activity:
    found = Activities(classes)
    for images, labels in batches:
        found.add(output_of(network, layer, images, -1).detach(), labels)
    return found.so_far()


def batches(count: int = 3) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.randn(5, 1, 8, 8), torch.randint(3, (5,))) for _ in range(count)]


def test_dead_and_always_on_units_are_those_that_were_planted() -> None:
    network = planted()
    found = activity(network, network[1], batches(), classes=3)
    assert found.dead.nonzero().flatten().tolist() == [1]
    assert found.always_on.nonzero().flatten().tolist() == [2]


def test_the_share_of_zeros_is_counted_over_all_images_and_places() -> None:
    network, images = by_hand.network(), [by_hand.image(seed) for seed in range(6)]
    given = [(by_hand.batch(*images[:4]), torch.tensor([0, 1, 2, 0])), (by_hand.batch(*images[4:]), torch.tensor([1, 0]))]
    found = activity(network, network.relu2, given, classes=4)
    maps = np.stack([by_hand.forward(network, image).relu2 for image in images])
    np.testing.assert_allclose(found.zeros, (maps == 0).mean(axis=(0, 2, 3)))
    for label, members in enumerate(([0, 3, 5], [1, 4], [2])):
        np.testing.assert_allclose(found.class_means[label], maps[members].mean(axis=(0, 2, 3)))
    assert found.class_means[3].isnan().all()  # a class without images
    assert not found.selectivity.isnan().any()


def test_selectivity_is_0_for_all_alike_1_for_one_class_and_0_of_a_dead_unit() -> None:
    means = torch.tensor([[2.0, 6.0, 0.0, 3.0], [2.0, 0.0, 0.0, 1.0], [2.0, 0.0, 0.0, 2.0], [math.nan] * 4], dtype=torch.float64)
    assert Activity(torch.zeros(4), means).selectivity.tolist() == pytest.approx([0, 1, 0, 1.5 / 4.5])


def test_fully_connected_units_are_measured_too() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.ReLU())
    nn.init.constant_(network[1].bias, -100)
    assert activity(network, network[2], batches(1), classes=3).dead.all()


def test_no_images_are_told() -> None:
    with pytest.raises(ValueError, match="there are no images to measure units on"):
        Activities(3).so_far()


def test_a_copied_filter_is_redundant_and_its_negative_opposite_and_no_others_are() -> None:
    alike = cosines(planted()[0].weight)
    assert [(i, j) for i, j, _ in redundant(alike)] == [(3, 4)]
    assert [(i, j) for i, j, _ in opposite(alike)] == [(5, 6)]
    assert redundant(alike)[0][2] == pytest.approx(1)
    assert opposite(alike)[0][2] == pytest.approx(-1)


def test_cosines_are_those_of_the_filters_less_their_means() -> None:
    weight = planted()[0].weight.detach().numpy().astype(np.float64).reshape(8, 9)
    np.testing.assert_allclose(cosines(torch.from_numpy(weight).reshape(8, 1, 3, 3)), np.corrcoef(weight), atol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 3e-9])
def test_a_constant_filter_is_like_no_other(value: float) -> None:
    weight = torch.cat([torch.full((2, 1, 3, 3), value), torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0))])
    alike = cosines(weight)
    assert not alike[:2].any()
    assert not alike.isnan().any()
    assert alike[2, 2].item() == pytest.approx(1)


def test_the_most_alike_pairs_come_first() -> None:
    alike = torch.tensor([[1, 0.92, 0.5], [0.92, 1, 0.99], [0.5, 0.99, 1]])
    assert [pair[:2] for pair in redundant(alike)] == [(1, 2), (0, 1)]
    assert [pair[:2] for pair in opposite(-alike, 0.4)] == [(1, 2), (0, 1), (0, 2)]


def test_filters_of_different_groups_see_different_maps_and_are_not_compared() -> None:
    weight = torch.randn(2, 1, 3, 3, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)  # each twice
    assert sorted((i, j) for i, j, _ in redundant(cosines(weight))) == [(0, 2), (1, 3)]
    assert redundant(cosines(weight, groups=2)) == []
    assert cosines(weight, groups=2).diagonal().tolist() == pytest.approx([1] * 4)


def test_the_favourite_class_is_that_with_the_largest_mean() -> None:
    means = torch.tensor([[math.nan, math.nan], [1.0, 5.0], [3.0, 2.0]], dtype=torch.float64)
    assert Activity(torch.zeros(2), means).favourite.tolist() == [2, 1]
