"""Activation maximisation against the authors' recipe in NumPy, and on a network that has learned the ten digits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pipeline.analysis.gradients import Unit
from pipeline.analysis.maximisation import TABLE_1, Regularisers, maximised

MEAN, STD = torch.tensor([0.3, 0.5]), torch.tensor([0.2, 0.25])


class Linear(nn.Module):
    """Scores w · image; so the gradient is known."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = 0.01 * torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(0))

    def forward(self, images: Tensor) -> Tensor:
        return torch.einsum("bchw,kchw->bk", images, self.weight)


def recipe(weight: np.ndarray, start: np.ndarray, by: Regularisers) -> np.ndarray:
    """The authors' loop for one image less its mean, (2, 6, 6), in the order of optimize/gradient_optimizer in their toolbox."""
    mean, std = (255 * values.double().numpy()[:, None, None] for values in (MEAN, STD))
    x, gradient = start.astype(np.float64), weight / std
    most = by.rate * 0.02 / np.linalg.norm(gradient) ** 2  # 100 makes a progress of 2 with a gradient whose squared norm is 0.02
    for step in range(by.steps):
        x = np.minimum(255, np.maximum(0, x + mean)) - mean
        if step < by.steps - 1:
            rate = most if by.progress is None else min(most, by.progress / np.linalg.norm(gradient) ** 2)
            x = (x + rate * gradient) * (1 - by.decay)
            if by.blur > 0 and step % by.blur_every == 0:
                x = np.stack([gaussian_filter(channel, by.blur) for channel in x])
            if by.small_norm > 0:
                norms = np.linalg.norm(x, axis=0)
                x = x * (norms >= np.percentile(norms, by.small_norm))
            if by.small_contribution > 0:
                benefit = np.abs((gradient * -x).sum(axis=0))
                x = x * (benefit >= np.percentile(benefit, by.small_contribution))
    return x + mean


@pytest.mark.parametrize("by", TABLE_1)
def test_each_set_of_regularisers_does_the_steps_of_the_authors(by: Regularisers) -> None:
    few, network = replace(by, steps=12), Linear()
    found = maximised(network, Unit(torch.tensor([1, 0])), 2, 6, MEAN, STD, few, seed=3)
    start = 10 * torch.randn(2, 2, 6, 6, generator=torch.Generator().manual_seed(3))
    for i, unit in enumerate((1, 0)):
        np.testing.assert_allclose(found[i], recipe(network.weight[unit].double().numpy(), start[i].numpy(), few), atol=0.02)
    assert not torch.allclose(found, start + 255 * MEAN[:, None, None], atol=1)


@pytest.fixture(scope="module")
def digits() -> nn.Module:
    """A small network that knows most of scikit-learn's digits, at 16x16 pixels."""
    data, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(data).float().reshape(-1, 1, 8, 8) / 16
    images = nn.functional.interpolate(images, scale_factor=2, mode="bilinear")
    images, labels = (images - 0.3) / 0.38, torch.from_numpy(labels)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(6):
        for part in torch.randperm(len(images)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(images[part]), labels[part]).backward()
            optimizer.step()
    assert (network(images).argmax(dim=1) == labels).float().mean() > 0.95
    return network.eval()


GRAY = torch.tensor([0.3]), torch.tensor([0.38])


def scores(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network((images / 255 - 0.3) / 0.38)


@pytest.mark.parametrize("by", TABLE_1)
def test_images_of_a_class_raise_its_score_and_are_classified_as_it(digits: nn.Module, by: Regularisers) -> None:
    few = replace(by, steps=200)
    found = maximised(digits, Unit(torch.arange(10)), 10, 16, *GRAY, few)
    before = maximised(digits, Unit(torch.arange(10)), 10, 16, *GRAY, replace(by, steps=1))
    assert (scores(digits, found).diagonal() > scores(digits, before).diagonal()).all()
    assert (scores(digits, found).argmax(dim=1) == torch.arange(10)).sum() >= 8
    assert found.min() >= 0
    assert found.max() <= 255


def roughness(images: Tensor) -> Tensor:
    """Return the share of an image's energy, less its mean, in differences of neighbours, (B,)."""
    differences = images.diff(dim=2).square().sum(dim=(1, 2, 3)) + images.diff(dim=3).square().sum(dim=(1, 2, 3))
    return differences / (images - images.mean(dim=(1, 2, 3), keepdim=True)).square().sum(dim=(1, 2, 3))


def test_a_blurred_image_is_smoother_than_one_without_regularisers(digits: nn.Module) -> None:
    rough, smooth = (maximised(digits, Unit(torch.arange(10)), 10, 16, *GRAY, Regularisers(100, 100, blur=blur)) for blur in (0.0, 1.0))
    assert (roughness(smooth) < roughness(rough)).all()


def test_the_middle_of_a_map_can_be_raised_too(digits: nn.Module) -> None:
    unit = Unit(torch.arange(8), digits[0], (3, 3))
    before, after = (maximised(digits, unit, 8, 16, *GRAY, Regularisers(steps, 100)) for steps in (1, 50))
    normalised = ((images / 255 - 0.3) / 0.38 for images in (before, after))
    low, high = (unit.values(digits, images) for images in normalised)
    assert (high > low).all()


def test_the_same_seed_gives_the_same_image_and_another_another() -> None:
    one, same, other = (maximised(Linear(), Unit(0), 1, 6, MEAN, STD, Regularisers(5, 100), seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_unit_without_a_gradient_leaves_the_first_image_to_the_regularisers() -> None:
    dead = nn.Sequential(nn.Conv2d(2, 1, 3), nn.ReLU(), nn.Flatten())
    nn.init.constant_(dead[0].bias, -100)
    for progress in (None, 2.0):
        start, found = (maximised(dead, Unit(0), 1, 6, MEAN, STD, Regularisers(steps, 100, progress)) for steps in (1, 5))
        assert torch.equal(start, found)
