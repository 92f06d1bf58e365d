"""The three maps of Zeiler and Fergus, figure 7, by brute force: one image per place, covered pixel by pixel."""

import numpy as np
import pytest

from pipeline.analysis.occlusion import occlusion
from tests.analysis import by_hand


@pytest.mark.parametrize(("side", "stride"), [(3, 1), (4, 2), (3, 3), (1, 4)])
def test_the_three_maps_are_those_of_images_covered_one_by_one(side: int, stride: int) -> None:
    network, image = by_hand.network(), by_hand.image()
    found = occlusion(network, by_hand.batch(image), 1, network.relu2, side, stride)
    strongest = by_hand.forward(network, image).relu2.sum(axis=(1, 2)).argmax()
    places = range(stride // 2, 11, stride)
    for i, row in enumerate(places):
        for j, column in enumerate(places):
            covered = image.copy()
            for y in range(11):
                for x in range(11):
                    if 0 <= y - row + side // 2 < side and 0 <= x - column + side // 2 < side:
                        covered[:, y, x] = 0
            seen = by_hand.forward(network, covered)
            shares = np.exp(seen.scores) / np.exp(seen.scores).sum()
            assert found.activation is not None
            assert found.activation[i, j] == pytest.approx(seen.relu2[strongest].sum())
            assert found.probability[i, j] == pytest.approx(shares[1])
            assert found.predicted[i, j] == shares.argmax()
    assert found.probability.shape == found.predicted.shape == (len(places), len(places))


def test_the_square_covers_every_pixel_the_corners_too() -> None:
    network, image = by_hand.network(), 0 * by_hand.image()
    whole = by_hand.forward(network, image).relu2.sum()
    for corner in ((0, 0), (0, 10), (10, 0), (10, 10)):
        marked = image.copy()
        marked[:, *corner] = 50
        found = occlusion(network, by_hand.batch(marked), 0, network.relu2, 3, 3)
        strongest = by_hand.forward(network, marked).relu2.sum(axis=(1, 2)).argmax()
        clean = by_hand.forward(network, image).relu2[strongest].sum()
        assert found.activation is not None
        places = np.argwhere(np.isclose(found.activation, clean))
        assert [tuple(place) for place in places] == [(3 * (corner[0] > 0), 3 * (corner[1] > 0))]
    assert whole > 0


def test_without_a_layer_there_is_no_map_of_its_activation() -> None:
    network, image = by_hand.network(), by_hand.batch(by_hand.image())
    found, other = (occlusion(network, image, 1, layer, 3, 2) for layer in (None, network.relu2))
    assert found.activation is None
    np.testing.assert_array_equal(found.probability, other.probability)
    assert not any(module._forward_hooks for module in network.modules())
