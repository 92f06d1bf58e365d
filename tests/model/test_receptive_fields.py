"""What the trace says that a value sees is what a gradient reaches: in the small variant of one network of each family."""

import pytest
import torch
from torch import Tensor, nn

from pipeline.model.tracing import trace
from tests.conftest import Compose
from tests.model.measures import option

SIDE = 32  # pixels
QUICK = ("lenet", "alexnet", "zfnet", "vgg11", "resnet20", "wrn_16_4")
SLOW = ("googlenet", "resnet18", "preact_resnet18", "densenet121")
LAYERS = 20  # of a network that are looked at, evenly chosen
CUT = {("vgg11", "pool3"): 27}  # pixels; its four fields of 30, 8 apart, all reach beyond the image's border


def without_gaps(network: nn.Module) -> nn.Module:
    """Return a network whose every value depends on all that its layer sees.

    Weights are above 0, so that nothing cancels, and sum to one in each filter, so that nothing grows beyond numbers;
    an average takes the place of each maximum, which has a gradient at one pixel of its window only."""
    for weight in network.parameters():
        weight.data = torch.ones_like(weight) / max(1, weight[0].numel())
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode))
    return network.eval().double()


def reached(network: nn.Module, layers: set[str]) -> dict[str, int]:
    """Return how many of the image's rows the gradient of a layer's middle row reaches, of two in the middle the farther."""
    made: dict[str, Tensor] = {}
    for name in layers:
        network.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: made.update({name: output}))
    image = torch.ones(1, 3, SIDE, SIDE, dtype=torch.double, requires_grad=True)
    network(image)
    found = {}
    for name, maps in made.items():
        middle = maps.shape[2] // 2
        extents = []
        for row in {max(0, middle - 1), middle}:
            (gradient,) = torch.autograd.grad(maps[:, :, row].sum(), image, retain_graph=True)
            seen = gradient[0].abs().sum(dim=(0, 2)).nonzero().flatten()
            extents.append(int(seen[-1] - seen[0]) + 1)
        found[name] = max(extents)
    return found


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_small_form_s_receptive_fields_are_the_rows_that_have_a_gradient(name: str, composed: Compose) -> None:
    network = without_gaps(option(composed, name, SIDE))
    calls = [call for call in trace(network, 3, SIDE) if call.window]
    fields = {call.layer: call.field.size for call in [*calls[:: 1 + len(calls) // LAYERS], calls[-1]]}
    within = {layer: CUT.get((name, layer), min(field, SIDE)) for layer, field in fields.items()}
    assert reached(network, set(fields)) == within
