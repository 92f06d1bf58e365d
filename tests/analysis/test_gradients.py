"""Each way back against the network worked out by hand in NumPy (tests/analysis/by_hand.py)."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.analysis.gradients import CHAIN_RULE, DECONVNET, GUIDED, Rule, Unit, deconvnet, has_relu, input_gradient, output_of
from pipeline.model.layers import LocalResponseNorm
from tests.analysis import by_hand

RULES = {"chain": CHAIN_RULE, "guided": GUIDED, "deconvnet": DECONVNET}


@pytest.mark.parametrize("target", [0, 2])
@pytest.mark.parametrize(("name", "rule"), RULES.items())
def test_a_score_goes_back_to_the_image_by_each_rule_as_worked_out_by_hand(name: str, rule: Rule, target: int) -> None:
    network, image = by_hand.network(), by_hand.image()
    seen = by_hand.forward(network, image)
    found = input_gradient(network, by_hand.batch(image), Unit(target), rule)[0].numpy()
    np.testing.assert_allclose(found, by_hand.back_from_score(network, seen, target, name), atol=1e-12)
    assert np.abs(found).max() > 0


def test_the_rules_differ() -> None:
    network, images = by_hand.network(), by_hand.batch(by_hand.image())
    chain, guided, deconvolved = (input_gradient(network, images, Unit(0), rule) for rule in RULES.values())
    for one, other in ((chain, guided), (guided, deconvolved), (chain, deconvolved)):
        assert (one - other).norm() > 0.1 * one.norm()


def strongest(maps: np.ndarray, channel: int) -> tuple[int, int]:
    row, column = np.unravel_index(maps[channel].argmax(), maps[channel].shape)
    return int(row), int(column)


@pytest.mark.parametrize("channel", range(5))
def test_the_deconvnet_projects_a_unit_through_switches_and_overlapping_pools_as_by_hand(channel: int) -> None:
    network, image = by_hand.network(), by_hand.image()
    seen = by_hand.forward(network, image)
    place = strongest(seen.relu2, channel)
    alone = np.zeros_like(seen.relu2)
    alone[channel, *place] = seen.relu2[channel, *place]
    found = deconvnet(network, by_hand.batch(image), Unit(channel, network.relu2, place))[0].numpy()
    np.testing.assert_allclose(found, by_hand.back_from_relu2(network, seen, alone, "deconvnet"), atol=1e-12)
    assert alone.max() > 0
    assert np.abs(found).max() > 0


def test_windows_do_share_maxima_here_so_that_overwriting_them_would_be_another_answer() -> None:
    seen = by_hand.forward(by_hand.network(), by_hand.image())
    places = [(channel, *place) for (channel, _, _), place in seen.switches.items()]
    assert len(set(places)) < len(places)


def test_each_image_of_a_batch_may_have_its_own_unit_and_place() -> None:
    network, images = by_hand.network(), [by_hand.image(seed) for seed in range(3)]
    channels, places = [3, 0, 4], [(0, 1), (3, 3), (2, 0)]
    rows, columns = map(torch.tensor, zip(*places, strict=True))
    together = deconvnet(network, by_hand.batch(*images), Unit(torch.tensor(channels), network.conv2, (rows, columns)))
    for i, image in enumerate(images):
        alone = deconvnet(network, by_hand.batch(image), Unit(channels[i], network.conv2, places[i]))
        torch.testing.assert_close(together[i], alone[0])


def test_a_map_without_a_place_is_the_sum_over_it() -> None:
    network, images = by_hand.network(), by_hand.batch(by_hand.image(0), by_hand.image(1))
    values = Unit(2, network.relu2).values(network, images)
    torch.testing.assert_close(values, output_of(network, network.relu2, images, -1)[:, 2].sum(dim=(1, 2)))


def test_the_deconvnet_leaves_contrast_normalisation_out() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 4, 3).double()
    with_norm = nn.Sequential(conv, nn.ReLU(), LocalResponseNorm(3, alpha=1.0)).eval()
    without = nn.Sequential(conv, nn.ReLU()).eval()
    images = torch.randn(1, 1, 5, 5, dtype=torch.float64)
    found = input_gradient(with_norm, images, Unit(1, with_norm[2], (1, 1)), DECONVNET)
    torch.testing.assert_close(found, input_gradient(without, images, Unit(1, without[1], (1, 1)), DECONVNET))
    assert not torch.equal(found, input_gradient(with_norm, images, Unit(1, with_norm[2], (1, 1))))


@pytest.mark.parametrize("rule", RULES.values())
def test_looking_leaves_the_network_and_the_images_as_they_were(rule: Rule) -> None:
    network, images = by_hand.network(), by_hand.batch(by_hand.image())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scores, given = network(images).detach(), images.clone()
    input_gradient(network, images, Unit(0), rule)
    assert torch.equal(images, given)
    assert not images.requires_grad
    assert torch.equal(network(images), scores)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_it_works_with_frozen_weights_and_where_gradients_are_off() -> None:
    network, images = by_hand.network().requires_grad_(False), by_hand.batch(by_hand.image())
    with torch.no_grad():
        found = input_gradient(network, images, Unit(1))
    torch.testing.assert_close(found, input_gradient(by_hand.network(), images, Unit(1)))


def test_a_score_that_does_not_depend_on_the_image_has_no_gradient() -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.zeros(len(images), 2) + 0 * images.detach().flatten(1).sum(1, keepdim=True) + torch.ones(2, requires_grad=True)

    assert not input_gradient(Constant(), torch.ones(1, 1, 4, 4), Unit(0)).any()


def test_a_unit_at_its_relus_zero_projects_to_nothing() -> None:
    network, image = by_hand.network(), by_hand.image()
    seen = by_hand.forward(network, image)
    channel, row, column = np.argwhere(seen.relu2 == 0)[0].tolist()
    assert not deconvnet(network, by_hand.batch(image), Unit(channel, network.relu2, (row, column))).any()


def test_a_network_is_asked_for_its_relus() -> None:
    assert has_relu(by_hand.network())
    assert not has_relu(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Tanh()))
