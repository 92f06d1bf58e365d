"""Features of the last layer, and who is near to whom by them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cosine_similarity

from pipeline.analysis.features import Nearest, flat_map, last_features
from pipeline.config.build import build
from tests.conftest import Compose


def test_the_features_are_what_the_layer_that_gives_the_scores_takes(composed: Compose) -> None:
    torch.manual_seed(0)
    model = composed("model=lenet")["model"]
    network = build("model", model, nn.Module, in_channels=1, num_classes=10, image_size=28).eval()
    images = torch.randn(3, 1, 28, 28)
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    found = last_features(network, images)
    with torch.no_grad():
        torch.testing.assert_close(last(found), network(images))


@pytest.mark.parametrize(("name", "features"), [("lenet5", 84), ("googlenet", 1024), ("resnet20", 64)])  # an RBF, auxiliary heads, a mean
def test_networks_of_other_kinds_have_features_too(name: str, features: int, composed: Compose) -> None:
    model = composed(f"model={name}", "dataset=digits")["model"]
    network = build("model", model, nn.Module, in_channels=1, num_classes=10, image_size=32).eval()
    assert last_features(network, torch.randn(2, 1, 32, 32)).shape == (2, features)


def test_of_a_convolution_that_gives_the_scores_the_means_of_its_maps_count() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    images = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(last_features(network, images), network[:2](images).mean(dim=(2, 3)))


def test_the_nearest_are_those_of_brute_force_however_the_images_come() -> None:
    torch.manual_seed(0)
    queries, images = torch.randn(4, 16), torch.randn(50, 16)
    images[31] = 3 * queries[2]  # a planted copy, of another length
    cosines = cosine_similarity(queries[:, None], images[None], dim=2)
    wanted = cosines.sort(dim=1, descending=True)
    for batch in (1, 7, 50):
        found = Nearest(queries, 5)
        for first in range(0, 50, batch):
            found.add(images[first : first + batch], first)
        assert torch.equal(found.images, wanted.indices[:, :5])
        torch.testing.assert_close(found.cosines, wanted.values[:, :5])
    assert found.images[2, 0] == 31


def test_of_fewer_images_all_are_near_and_equal_ones_keep_their_order() -> None:
    found = Nearest(torch.ones(1, 2), 5)
    found.add(torch.tensor([[1.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), 0)
    assert found.images.tolist() == [[1, 2, 0]]


def test_a_map_keeps_groups_together_and_is_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 20)
    features = torch.from_numpy((10 * np.eye(3, 64)[groups] + rng.normal(size=(60, 64))).astype(np.float32))
    places = flat_map(features)
    assert torch.equal(places, flat_map(features))
    assert (places.min(), places.max()) == (0, 1)
    distances = torch.cdist(places, places).fill_diagonal_(9)
    assert (groups[distances.argmin(dim=1)] == groups).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_images_have_places_too(count: int) -> None:
    places = flat_map(torch.randn(count, 8))
    assert places.shape == (count, 2)
    assert places.isfinite().all()
    assert flat_map(torch.ones(5, 8)).isfinite().all()  # all alike
