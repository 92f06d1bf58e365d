import pytest
import torch
from torch import Tensor, nn

from pipeline.config.errors import ConfigError
from pipeline.weights.start import in_our_names


def layers(**named: nn.Module) -> nn.Sequential:
    network = nn.Sequential()
    for name, layer in named.items():
        network.add_module(name, layer)
    return network


@pytest.fixture
def network() -> nn.Module:
    return layers(
        conv1_1=nn.Conv2d(1, 2, 3), bn1_1=nn.BatchNorm2d(2), relu=nn.ReLU(), flatten=nn.Flatten(), fc6=nn.Linear(8, 4), fc8=nn.Linear(4, 3)
    )


def numbered(*names: str, network: nn.Module) -> dict[str, Tensor]:
    """Return the network's tensors with its layers called by these names."""
    ours = ["conv1_1", "bn1_1", "fc6", "fc8"]
    return {
        f"{names[ours.index(layer)]}.{kind}": value for name, value in network.state_dict().items() for layer, kind in [name.split(".")]
    }


def test_torchvision_s_numbers_become_the_papers_names_in_order(network: nn.Module) -> None:
    theirs = numbered("features.0", "features.1", "classifier.0", "classifier.3", network=network)
    found = in_our_names(theirs, network, "torchvision")
    assert all(found[name] is theirs_of for name, theirs_of in zip(network.state_dict(), theirs.values(), strict=True))


def test_the_order_is_that_of_the_numbers_not_of_the_file(network: nn.Module) -> None:
    theirs = numbered("features.2", "features.10", "classifier.1", "classifier.11", network=network)
    found = in_our_names(dict(sorted(theirs.items())), network, "torchvision")
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {n: tuple(t.shape) for n, t in network.state_dict().items()}


def test_timm_s_first_linear_layers_are_convolutions_over_whole_maps(network: nn.Module) -> None:
    theirs = numbered("features.0", "features.1", "pre_logits.fc1", "head.fc", network=network)
    as_linear = theirs["pre_logits.fc1.weight"]
    theirs["pre_logits.fc1.weight"] = as_linear.reshape(4, 2, 2, 2)
    found = in_our_names(theirs, network, "timm")
    assert torch.equal(found["fc6.weight"], as_linear)
    assert found["fc8.bias"] is theirs["head.fc.bias"]


def test_another_number_of_layers_is_refused_with_what_the_network_says_of_its_form(network: nn.Module) -> None:
    network.notes = ["small variant for images of 32x32 pixels"]
    theirs = numbered("features.0", "features.1", "classifier.0", "classifier.3", network=network) | {"classifier.6.bias": torch.zeros(3)}
    with pytest.raises(
        ConfigError,
        match=r"weights\.source has 5 layers with weights, and the network has 4; choose the model that they belong to; small variant",
    ):
        in_our_names(theirs, network, "torchvision")


def test_our_own_numbers_are_not_counted() -> None:
    network = layers(features=layers(), classifier=layers())
    network.features.add_module("0", nn.Conv2d(1, 2, 3))
    own = {"features.3.weight": torch.zeros(1)}
    assert in_our_names(own, network, "ours") == own


def test_torchvision_s_older_densenet_names_become_the_newer_ones() -> None:
    old = ["features.denseblock1.denselayer12.norm.1.weight", "features.denseblock1.denselayer12.conv.2.weight", "features.norm0.weight"]
    found = in_our_names({name: torch.zeros(1) for name in old}, nn.Sequential(), "torchvision")
    assert list(found) == [
        "features.denseblock1.denselayer12.norm1.weight",
        "features.denseblock1.denselayer12.conv2.weight",
        "features.norm0.weight",
    ]
