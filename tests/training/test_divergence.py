"""What is said of a forward pass that leaves the finite numbers."""

import math
import warnings

import pytest
import torch
from torch import Tensor, nn

from pipeline.training.divergence import describe


class Steep(nn.Module):
    """Adds what is too large to what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, values: Tensor) -> Tensor:
        return self.layer(values) * 3e38 + 3e38


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = {"flat": nn.Flatten(), "one": nn.Linear(16, 4), "norm": nn.BatchNorm1d(4), "drop": nn.Dropout(), "two": nn.Linear(4, 3)}
    network = nn.Sequential()
    for name, layer in layers.items():
        network.add_module(name, layer)
    return network


IMAGES = torch.linspace(-2, 2, 64).reshape(4, 1, 4, 4)


def test_the_first_layer_in_the_order_of_the_pass_is_named_with_the_parameter_that_is_spoilt(network: nn.Sequential) -> None:
    with torch.no_grad():
        network.get_parameter("two.bias")[0] = math.nan
        network.get_parameter("one.weight")[2, 3] = math.inf
    assert describe(network, IMAGES) == (
        "one is the first to give values that are not finite, 4 of 16: its weight is not finite since an earlier step; "
        "the largest value before it is 2, of the images"
    )


def test_finite_weights_that_overflow_are_told_with_the_largest_value_before(network: nn.Sequential) -> None:
    with torch.no_grad():
        network.get_parameter("one.bias")[:] = 1e4
        network.get_parameter("norm.weight")[:] = 3e38
    said = describe(network, IMAGES)
    assert said.startswith("norm is the first to give values that are not finite, ")
    assert said.endswith("of 16; its weights are finite, and the largest value before it is 1e+04, of one")


def test_a_buffer_that_is_spoilt_is_named(network: nn.Sequential) -> None:
    network.eval()
    network.get_buffer("norm.running_mean")[1] = math.nan
    assert "norm is the first to give values that are not finite, 4 of 16: its running_mean is not finite" in describe(network, IMAGES)


def test_what_a_module_does_between_its_layers_is_its_own_fault() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), Steep())
    assert describe(network, IMAGES).startswith("2 is the first to give values that are not finite, ")
    assert describe(Steep(), IMAGES.view(16, 4)).startswith("the network's last step is the first to give values that are not finite")


def test_where_all_layers_are_finite_it_is_the_loss(network: nn.Sequential) -> None:
    said = describe(network.eval(), IMAGES)
    assert said == "all layers give finite values, the largest is 2, of the images; so the loss itself is not finite"


def test_images_that_are_not_finite_are_told_before_any_layer(network: nn.Sequential) -> None:
    images = IMAGES.clone()
    images[1, 0, 2, 2] = math.inf
    assert describe(network, images) == "1 of 64 of the images are not finite themselves"


def test_half_precision_is_told_with_its_largest_number() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).half()
    with torch.no_grad():
        network.get_parameter("1.weight")[:] = torch.arange(-8, 8)
    said = describe(network, IMAGES.half() * 3e4)
    assert "1 is the first to give values that are not finite, " in said
    assert "in float16, which ends at 65,504; its weights are finite, and the largest value before it is 6e+04, of the images" in said


def test_auxiliary_scores_are_looked_at() -> None:
    class Two(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return images, images / 0

    assert "the network's last step is the first to give values that are not finite, " in describe(Two(), IMAGES)


def test_nothing_of_the_network_changes(network: nn.Sequential) -> None:
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    describe(network, IMAGES)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [layer.training for layer in network.modules()] == [True, True, False, True, True, True]
    assert not any(layer._forward_hooks for layer in network.modules())


def test_a_compiled_network_is_looked_into(network: nn.Sequential) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.compile(backend="eager")
        network(IMAGES)
    with torch.no_grad():
        network.get_parameter("two.bias")[0] = math.nan
    assert describe(network, IMAGES).startswith("two is the first to give values that are not finite, 4 of 12: its bias is not finite")
