"""Which layers' units are looked at, and that their values are those behind normalisation and ReLU, also of a ReLU that is called often."""

import torch
from torch import Tensor, nn

from pipeline.analysis.gradients import Unit
from pipeline.analysis.unit_layers import UnitLayer, strips, unit_layers, watch
from tests.analysis import by_hand


def values(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    layers = unit_layers(network, images[:1])
    watch(network, layers, images, lambda layer, outputs: seen.update({layer.name: outputs.clone()}))
    return seen


def test_values_are_those_behind_the_relu_and_scores_are_no_units() -> None:
    network, images = by_hand.network(), by_hand.batch(by_hand.image(0), by_hand.image(1))
    seen = values(network, images)
    assert list(seen) == ["conv1", "conv2"]
    torch.testing.assert_close(
        seen["conv2"], torch.stack([torch.from_numpy(by_hand.forward(network, by_hand.image(i)).relu2) for i in (0, 1)])
    )


class Block(nn.Module):
    """One ReLU for two convolutions, the second of which is added to before it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.norm2 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu, self.hidden, self.scores = nn.ReLU(), nn.Linear(64, 5), nn.Linear(5, 3)

    def forward(self, images: Tensor) -> Tensor:
        first = self.relu(self.norm1(self.conv1(images)))
        second = self.norm2(self.conv2(first))
        second += first  # in place: what the second convolution gave is overwritten
        return self.scores(self.relu(self.hidden(self.relu(second).flatten(1))))


def test_a_relu_of_several_layers_counts_call_by_call() -> None:
    torch.manual_seed(0)
    network, images = Block().eval(), torch.randn(3, 1, 4, 4)
    found = unit_layers(network, images[:1])
    assert [(layer.name, layer.output, layer.call, layer.size, layer.has_relu) for layer in found] == [
        ("conv1", network.relu, 0, (4, 4), True),
        ("conv2", network.norm2, 0, (4, 4), False),
        ("hidden", network.relu, 2, (), True),
    ]
    seen = values(network, images)
    with torch.no_grad():
        first = network.norm1(network.conv1(images)).relu()
        torch.testing.assert_close(seen["conv1"], first)
        torch.testing.assert_close(seen["conv2"], network.norm2(network.conv2(first)))
    for layer in found:
        for unit in range(2):
            wanted = seen[layer.name][:, unit].reshape(3, -1).sum(dim=1)
            torch.testing.assert_close(Unit(unit, layer.output, call=layer.call).values(network, images), wanted)


def test_a_network_of_scores_alone_has_no_units() -> None:
    assert unit_layers(nn.Sequential(nn.Flatten(), nn.Linear(16, 10)), torch.zeros(1, 1, 4, 4)) == []


def test_fully_connected_layers_that_are_hidden_have_units() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2))
    [layer] = unit_layers(network, torch.zeros(1, 1, 4, 4))
    assert layer == UnitLayer("1", network[1], network[2], 0, 8, ())


def test_a_strip_has_the_values_of_hidden_fully_connected_units_and_no_scores() -> None:
    torch.manual_seed(0)
    network, image = Block().eval(), torch.randn(1, 1, 4, 4)
    [strip] = strips(network, image, 3)
    wanted = values(network, image)["hidden"][0, :3]
    assert (strip.name, strip.kind, strip.units) == ("hidden", "fully connected, ReLU", 5)
    torch.testing.assert_close(torch.from_numpy(strip.values), wanted)
    assert strips(by_hand.network(), by_hand.batch(by_hand.image(0)), 3) == []
