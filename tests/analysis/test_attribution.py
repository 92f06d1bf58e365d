"""Attributions against NumPy, finite differences and closed forms."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.analysis.attribution import grad_cam, guided_backprop, integrated_gradients, last_maps, saliency
from tests.analysis import by_hand


def test_saliency_is_the_largest_slope_of_a_pixels_channels() -> None:
    network, image = by_hand.network(), by_hand.image()
    found = saliency(network, by_hand.batch(image), 1)[0].numpy()
    step, slopes = 1e-6, np.zeros(image.shape)
    for place in np.ndindex(*image.shape):
        more, less = image.copy(), image.copy()
        more[place] += step
        less[place] -= step
        slopes[place] = (by_hand.forward(network, more).scores[1] - by_hand.forward(network, less).scores[1]) / (2 * step)
    np.testing.assert_allclose(found, np.abs(slopes).max(axis=0), atol=1e-6)


def test_guided_backprop_is_as_worked_out_by_hand() -> None:
    network, image = by_hand.network(), by_hand.image()
    expected = by_hand.back_from_score(network, by_hand.forward(network, image), 2, "guided")
    np.testing.assert_allclose(guided_backprop(network, by_hand.batch(image), 2)[0].numpy(), expected, atol=1e-12)


class Square(nn.Module):
    """The score of class 0 is 0, of class 1 the square of w · image."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, images: Tensor) -> Tensor:
        square = (self.weight * images).flatten(1).sum(1).square()
        return torch.stack([torch.zeros_like(square), square], dim=1)


def test_integrated_gradients_of_a_square_are_its_closed_form() -> None:
    weight, image = torch.from_numpy(by_hand.image(1)), by_hand.batch(by_hand.image(0))
    found = integrated_gradients(Square(weight), image, 1)
    torch.testing.assert_close(found, weight * image * (weight * image).sum())  # the integral of 2 a w (w · x) x over a in 0..1


@pytest.mark.parametrize("target", range(3))
def test_integrated_gradients_add_up_to_what_the_image_changed(target: int) -> None:
    network, image = by_hand.network(), by_hand.image()
    changed = by_hand.forward(network, image).scores[target] - by_hand.forward(network, 0 * image).scores[target]
    found = integrated_gradients(network, by_hand.batch(image), target, steps=500)
    assert found.sum().item() == pytest.approx(changed, rel=0.01, abs=0.002)


def upscaled(heat: np.ndarray, side: int) -> np.ndarray:
    """Interpolate a square linearly between the middles of its values, constant beyond the outermost."""
    middles = (np.arange(len(heat)) + 0.5) * side / len(heat)
    at = np.arange(side) + 0.5
    along = np.array([np.interp(at, middles, row) for row in heat])
    return np.array([np.interp(at, middles, column) for column in along.T]).T


@pytest.mark.parametrize("target", range(3))
def test_grad_cam_is_its_formula(target: int) -> None:
    network, image = by_hand.network(), by_hand.image()
    maps = by_hand.forward(network, image).relu2
    slopes = by_hand.weights(network, "scores")[0][target].reshape(maps.shape)  # of the score by each value of the maps
    heat = np.maximum(sum(slopes[k].mean() * maps[k] for k in range(len(maps))), 0)
    found = grad_cam(network, network.relu2, by_hand.batch(image), target).numpy()
    np.testing.assert_allclose(found, upscaled(heat, 11), atol=1e-12)
    assert not by_hand.batch(image).requires_grad


def test_grad_cam_of_an_inner_layer_takes_the_slopes_behind_it() -> None:
    network, image = by_hand.network(), by_hand.image()
    seen = by_hand.forward(network, image)
    slopes = by_hand.relu_back(by_hand.weights(network, "scores")[0][0].reshape(seen.conv2.shape), seen.conv2, "chain")
    heat = np.maximum(sum(slopes[k].mean() * seen.conv2[k] for k in range(5)), 0)
    np.testing.assert_allclose(grad_cam(network, network.conv2, by_hand.batch(image), 0).numpy(), upscaled(heat, 11), atol=1e-12)


def test_the_last_maps_are_those_before_the_pooling_and_the_units() -> None:
    network, image = by_hand.network(), by_hand.batch(by_hand.image())
    assert last_maps(network, image) is network.relu2
    pooled = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.Flatten()).double()
    assert last_maps(pooled, image) is pooled[1]
    assert last_maps(nn.Sequential(nn.Flatten(), nn.Linear(242, 3)).double(), image) is None
