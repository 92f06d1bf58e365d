"""The most exciting images by brute force, and their crops: outside of its crop an image has no say in the unit's value."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.analysis.exciting import Exciting, more_exciting
from pipeline.analysis.gradients import output_of
from pipeline.analysis.receptive_field import reaches
from tests.analysis import by_hand


def most_exciting(network: nn.Module, layer: nn.Module, batches: list[Tensor], count: int) -> Exciting:
    best, first = None, 0
    for images in batches:
        best = more_exciting(best, output_of(network, layer, images, -1), first, count)
        first += len(images)
    assert best is not None
    return best


def test_the_nine_images_of_each_unit_are_those_of_its_largest_values_one_place_each() -> None:
    network, images = by_hand.network(), [by_hand.image(seed) for seed in range(30)]
    found = most_exciting(network, network.conv2, [by_hand.batch(*images[i : i + 7]) for i in range(0, 30, 7)], 9)
    maps = np.stack([by_hand.forward(network, image).conv2 for image in images])  # (30, 5, 4, 4)
    for unit in range(5):
        expected = sorted(range(30), key=lambda i: -maps[i, unit].max())[:9]
        assert found.images[unit].tolist() == expected
        for k, i in enumerate(expected):
            assert found.values[unit, k].item() == pytest.approx(maps[i, unit].max())
            assert maps[i, unit, found.rows[unit, k], found.columns[unit, k]] == maps[i, unit].max()


def test_fully_connected_units_have_a_value_without_a_place() -> None:
    network, images = by_hand.network(), [by_hand.image(seed) for seed in range(12)]
    found = most_exciting(network, network.scores, [by_hand.batch(*images)], 3)
    scores = np.stack([by_hand.forward(network, image).scores for image in images])
    assert found.images.T.tolist() == np.argsort(-scores, axis=0)[:3].tolist()
    assert not found.rows.any()
    assert not found.columns.any()


def test_of_equally_exciting_images_the_first_come_first_there_may_be_fewer_and_of_equal_places_it_is_the_middle() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    nn.init.constant_(network[0].bias, -9)  # dead
    found = most_exciting(network, network[1], [torch.zeros(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)], 9)
    assert found.images.tolist() == [[0, 1, 2, 3]] * 2
    assert found.rows.tolist() == found.columns.tolist() == [[1, 1, 1, 1]] * 2
    assert not found.values.any()


def test_what_lies_outside_of_its_crop_has_no_say_in_a_units_value() -> None:
    network, image = by_hand.network(), by_hand.image()
    found = most_exciting(network, network.conv2, [by_hand.batch(image)], 1)
    reach = reaches(network.float(), 2, 11)["conv2"]
    network.double()
    for unit in range(5):
        place = (int(found.rows[unit, 0]), int(found.columns[unit, 0]))
        rows, columns = reach.box(place, 11)
        other = by_hand.image(1)
        other[:, rows, columns] = image[:, rows, columns]
        assert by_hand.forward(network, other).conv2[unit, *place] == pytest.approx(found.values[unit, 0].item())
