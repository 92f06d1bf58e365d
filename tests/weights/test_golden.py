"""The same weights give the same outputs here and in torchvision or timm, whose outputs stand in golden/reference_networks.json.

There: names and shapes of their tensors (their digest where the names are ours), filled by `filled`; outputs of `filled("image", …)`."""

import hashlib
import json
import math
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.config.build import build
from pipeline.weights.pretrained import Pretrained
from pipeline.weights.start import in_our_names, load
from tests.conftest import MakeConfig

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "golden" / "reference_networks.json").read_text())
FAST = {"resnet18", "googlenet_torchvision", "densenet121"}
PRIME = 2**31 - 1
CLASSES = [str(label) for label in range(1000)]
Shapes = dict[str, list[int]]


def filled(name: str, shape: list[int]) -> Tensor:
    """Return float64 values that follow from name and place by whole numbers alone, so they are the same on every machine."""
    places = torch.arange(math.prod(shape)) + zlib.crc32(name.encode()) % 10**9
    uniform = (places * places % PRIME * 48271 % PRIME).double().div_(PRIME).sub_(0.5).reshape(shape)  # -0.5..0.5
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    if name == "image":
        return uniform * 4
    if len(shape) > 1:
        return uniform * math.sqrt(24 / math.prod(shape[1:]))  # the deviation of He et al.'s first values
    return 0.2 * uniform + name.endswith(("weight", "running_var"))  # of batch norm: near 1; the others near 0


def digest(shapes: Shapes) -> str:
    return hashlib.sha256(json.dumps(sorted(shapes.items())).encode()).hexdigest()


def network_for(case: dict[str, Any], config: MakeConfig) -> nn.Module:
    model = config(f"model={case['network']}").model
    with torch.device("meta"):
        return build("model", model, nn.Module, in_channels=3, num_classes=len(CLASSES), image_size=224)


def shapes_of(network: nn.Module) -> Shapes:
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case["network"] in FAST else pytest.mark.slow) for case in CASES],
    ids=lambda case: f"{case['network']} of {case['of']}",
)
def test_given_weights_give_the_outputs_of_their_own_network(case: dict[str, Any], config: MakeConfig) -> None:
    network = network_for(case, config)
    theirs = case.get("tensors") or shapes_of(network)
    assert digest(theirs) == case["digest"]
    network = network.to_empty(device="cpu").double()
    given = Pretrained({name: filled(name, shape) for name, shape in theirs.items()}, None)
    assert load(network, given, CLASSES, case["names"]) == []
    with torch.no_grad():
        scores = network.eval()(filled("image", [1, 3, 224, 224]))[0]
    expected = torch.tensor(case["outputs"], dtype=torch.float64)
    torch.testing.assert_close(scores[: len(expected)], expected, rtol=0, atol=1e-8 * case["largest"])


@pytest.mark.parametrize("case", [case for case in CASES if "tensors" in case], ids=lambda case: f"{case['network']} of {case['of']}")
def test_every_tensor_of_numbered_layers_finds_its_layer(case: dict[str, Any], config: MakeConfig) -> None:
    network = network_for(case, config)
    given = {name: torch.empty(shape, device="meta") for name, shape in case["tensors"].items()}
    assert {name: list(tensor.shape) for name, tensor in in_our_names(given, network, case["names"]).items()} == shapes_of(network)
