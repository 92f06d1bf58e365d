"""Receptive fields against the support of the input's gradient, in copies of the networks in which nothing can cancel or saturate."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline.analysis.activations import family
from pipeline.analysis.receptive_field import Reach, reaches
from pipeline.config.build import build
from pipeline.model.forward_pass import hooked
from tests.conftest import Compose

MOST = 8  # layers of a network that are compared, evenly


def all_positive(network: nn.Module) -> nn.Module:
    """Return a copy in which every value depends on all of its receptive field, and more of a pixel is more of every value."""
    network = copy.deepcopy(network).double().eval()
    for name, layer in list(network.named_modules()):
        for parameter in layer.parameters(recurse=False):
            nn.init.constant_(parameter, 1 / parameter[0].numel() if parameter.ndim > 1 else 0)
        replacement: nn.Module | None = None
        if family(layer) in ("activation", "normalisation"):
            replacement = nn.Identity()
        elif isinstance(layer, nn.MaxPool2d):
            replacement = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
        if replacement:
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, replacement)
    return network


Place = tuple[int, int]


def support(maps: Tensor, images: Tensor, place: Place) -> tuple[slice, slice]:
    """Return the rows and columns of the image on which the values at a place of the maps, of all channels, depend."""
    [gradient] = torch.autograd.grad(maps[0, :, *place].sum(), images, retain_graph=True)
    rows, columns = (torch.nonzero(gradient[0].sum(dim=(0, 2 - axis)) > 0).flatten().tolist() for axis in (0, 1))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def check(network: nn.Module, channels: int, side: int) -> list[str]:
    """Compare corners and middles of the maps of layers throughout the network; return the layers' names."""
    found, positive = reaches(network.eval(), channels, side), all_positive(network)
    images, seen = torch.ones(1, channels, side, side, dtype=torch.float64, requires_grad=True), dict[str, Tensor]()
    layers = {name: layer for name, layer in positive.named_modules() if family(layer) in ("convolution", "pooling")}
    with hooked(layers, after=lambda name, maps: seen.update({name: maps})):
        positive(images)
    names = sorted({list(seen)[round(i)] for i in torch.linspace(0, len(seen) - 1, MOST).tolist()})
    for name in names:
        last = seen[name].shape[2] - 1
        for place in {(0, 0), (0, last), (last // 2, last // 3), (last, last)}:
            assert found[name].box(place, side) == support(seen[name], images, place), (name, place)
    return names


@pytest.mark.parametrize(
    ("choice", "side"), [("lenet", 28), ("lenet", 32), ("resnet20", 16), ("googlenet", 32), ("densenet_40_12", 16), ("zfnet", 64)]
)
def test_the_receptive_field_is_the_support_of_the_gradient(composed: Compose, choice: str, side: int) -> None:
    node = composed(f"model={choice}")["model"]
    assert len(check(build("model", node, nn.Module, in_channels=1, num_classes=4, image_size=side), 1, side)) >= 4


def test_strides_dilation_uneven_padding_and_windows_beyond_the_edge() -> None:
    network = nn.Sequential(
        nn.ZeroPad2d((1, 2, 1, 2)),
        nn.Conv2d(2, 3, 4, stride=2, padding=1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(3, 3, 3, dilation=2),
    )
    assert check(network, 2, 20) == ["1", "2", "3"]


def test_pooling_to_a_given_size_reaches_its_part_of_the_map() -> None:
    found = reaches(nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(2)), 1, 10)["1"]
    assert found.box((0, 1), 10) == (slice(0, 6), slice(4, 10))


def test_two_paths_to_a_value_reach_as_far_as_both() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.large, self.small, self.sum = nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, 1), nn.Identity()

        def forward(self, images: Tensor) -> Tensor:
            return self.small(images) + self.large(images)

    found = reaches(Two(), 1, 9)
    assert found[""] == Reach(-2, 2, 1)
    assert found["small"] == Reach(0, 0, 1)
    assert found[""].box((0, 4), 9) == (slice(0, 3), slice(2, 7))


def test_a_repeated_border_is_the_pixels_that_it_repeats() -> None:
    found = reaches(nn.Sequential(nn.ReplicationPad2d(4), nn.Conv2d(1, 1, 3)), 1, 8)["1"]
    assert found.box((0, 0), 8) == (slice(0, 1), slice(0, 1))
    assert found.box((2, 13), 8) == (slice(0, 1), slice(7, 8))
