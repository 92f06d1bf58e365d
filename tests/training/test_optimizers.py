"""Who is in which group; Muon against its definition in float64; every optimizer of conf/ repeats and goes on bit for bit."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from pipeline.config.build import build
from pipeline.training.optimizers import Group, Muon, orthogonal, parameter_groups
from tests.conftest import MakeConfig
from tests.samples import TWO_CLASSES, options


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, bias=False),
        nn.LayerNorm([4, 4, 4]),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def roles(network: nn.Module, decay: str = "weights") -> dict[str, list[str]]:
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {group["role"]: [names[parameter] for parameter in group["params"]] for group in parameter_groups(network, decay)}


def muon(params: Any, **changes: Any) -> Muon:
    usual = {"lr": 0.1, "momentum": 0.9, "iterations": 5, "rescale": False, "head_lr": 0.2, "vector_lr": 0.3, "sgd_momentum": 0.8}
    return Muon(params, **usual | {"weight_decay": 0.0} | changes)


def trained(network: nn.Module, optimizer: Optimizer, first: int, last: int) -> list[Tensor]:
    """Return the weights after steps `first` to `last`, whose images are their numbers'."""
    for step in range(first, last):
        images = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        F.cross_entropy(network(images), torch.arange(6) % 3).backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


def made(name: str, config: MakeConfig, network: nn.Module) -> Optimizer:
    return build("optimizer", config(f"optimizer={name}").optimizer, Optimizer, parameter_groups(network, "weights"))


def test_biases_and_normalisation_of_any_rank_are_vectors_and_the_last_layer_is_the_head() -> None:
    assert roles(small_network()) == {
        "weights": ["0.weight", "3.weight"],
        "head": ["6.weight"],
        "vectors": ["0.bias", "1.weight", "1.bias", "4.weight", "4.bias", "6.bias"],
    }


def test_weight_decay_leaves_the_vectors_out_or_takes_them_in() -> None:
    network = small_network()
    for decay, expected in (("weights", [0.5, 0.5, 0.0]), ("all", [0.5, 0.5, 0.5])):
        optimizer = torch.optim.SGD(parameter_groups(network, decay), lr=0.1, weight_decay=0.5)
        assert [group["weight_decay"] for group in optimizer.param_groups] == expected


def test_what_is_frozen_is_in_no_group() -> None:
    network = small_network()
    network[0].requires_grad_(False)
    network[1].requires_grad_(False)
    assert roles(network) == {"weights": ["3.weight"], "head": ["6.weight"], "vectors": ["4.weight", "4.bias", "6.bias"]}


@pytest.mark.parametrize("name", options("model"))
def test_every_model_has_what_learns_in_one_group_and_filters_and_matrices_decay(name: str, config: MakeConfig) -> None:
    with torch.device("meta"):
        classes = 2 if name in TWO_CLASSES else 10
        size = 300 if name.startswith("keras") else 224 if name.startswith(("alexnet", "zfnet", "googlenet", "resnet")) else 32
        network = build("model", config(f"model={name}").model, nn.Module, in_channels=1, num_classes=classes, image_size=size)
    found = roles(network)
    learning = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    assert sorted(name for names in found.values() for name in names) == sorted(learning)
    filters = {f"{name}.weight" for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
    assert {*found["weights"], *found.get("head", [])} == filters & {*learning}


def test_lenet_5_s_coefficients_of_subsampling_do_not_decay_and_its_drawings_leave_it_without_a_head(config: MakeConfig) -> None:
    network = build("model", config("model=lenet5").model, nn.Module, in_channels=1, num_classes=10, image_size=32)
    found = roles(network)
    assert {"s2.weight", "s2.bias", "s4.weight", "s4.bias"} < set(found["vectors"])
    assert "c3.weight" in found["weights"]
    assert "head" not in found


def reference(matrix: Tensor, iterations: int) -> Tensor:
    """Apply the quintic to the singular values themselves, in float64."""
    left, values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    values = values / values.square().sum().sqrt()
    for _ in range(iterations):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left @ values.diag() @ right


@pytest.mark.parametrize("shape", [(8, 8), (6, 54), (54, 6), (1, 9)])
def test_orthogonal_brings_singular_values_near_1_and_is_the_polynomial_of_them(shape: tuple[int, int]) -> None:
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    for many in (1e-6, 1.0, 1e6):
        found = orthogonal(many * matrices, iterations=5)
        torch.testing.assert_close(found.double(), torch.stack([reference(matrix, 5) for matrix in matrices]), atol=1e-4, rtol=0)
    values = torch.linalg.svdvals(orthogonal(matrices, iterations=7))
    assert values.min() > 0.65
    assert values.max() < 1.25


def test_no_gradient_at_all_gives_no_step() -> None:
    assert not orthogonal(torch.zeros(2, 3, 4), iterations=5).any()


def plain_muon(weight: Tensor, gradients: list[Tensor], lr: float, momentum: float, decay: float, rescale: bool) -> Tensor:
    """Compute Muon's definition, one weight at a time, in float64."""
    weight, total = weight.double(), torch.zeros_like(weight.double())
    for gradient in gradients:
        total = momentum * total + gradient.double()
        ahead = (gradient.double() + momentum * total).flatten(1)
        if rescale:
            weight = weight / weight.norm() * len(weight) ** 0.5
        rows, columns = ahead.shape
        weight = (1 - decay) * weight - lr * max(1, rows / columns) ** 0.5 * reference(ahead, 5).view(weight.shape)
    return weight


@pytest.mark.parametrize("rescale", [False, True])
def test_muon_steps_weights_by_its_definition(rescale: bool) -> None:
    torch.manual_seed(0)
    shapes = [(4, 3, 3, 3), (4, 3, 3, 3), (32, 2, 2, 2), (5, 7), (6, 5, 5)]  # two alike; more filters than inputs; a matrix; a table's
    weights = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    gradients = [[torch.randn(shape) for _ in range(3)] for shape in shapes]
    expected = [plain_muon(weight.detach(), given, 0.1, 0.9, 0.01, rescale) for weight, given in zip(weights, gradients, strict=True)]
    optimizer = muon(weights, weight_decay=0.01, rescale=rescale)
    for step in range(3):
        for weight, given in zip(weights, gradients, strict=True):
            weight.grad = given[step].clone()
        optimizer.step()
    for weight, right in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach().double(), right, atol=1e-4, rtol=0)


def test_muon_steps_heads_and_vectors_as_sgd_does_with_their_own_rates() -> None:
    ours, theirs = small_network(), small_network()
    optimizer = muon(parameter_groups(ours, "weights"), weight_decay=0.01)
    groups: list[Group] = [group for group in parameter_groups(theirs, "weights") if group["role"] != "weights"]
    for group, rate, decay in zip(groups, (0.2, 0.3), (0.01 / 0.2, 0.0), strict=True):
        group |= {"lr": rate, "weight_decay": decay}
    sgd = torch.optim.SGD(groups, momentum=0.8, nesterov=True, fused=True)
    for step in range(3):
        gradients = torch.Generator().manual_seed(step)
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.grad = torch.randn(mine.shape, generator=gradients)
            other.grad = mine.grad.clone()
        optimizer.step()
        sgd.step()
    for name in ("0.bias", "1.weight", "1.bias", "4.weight", "6.weight", "6.bias"):
        assert torch.equal(ours.get_parameter(name), theirs.get_parameter(name)), name


def test_muon_without_gradients_changes_nothing_and_returns_the_closure_s_loss() -> None:
    network = small_network()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    loss = torch.tensor(3.0)
    assert muon(parameter_groups(network, "weights")).step(lambda: loss) is loss
    assert all(torch.equal(was, now) for was, now in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize("name", options("optimizer"))
def test_every_optimizer_repeats_and_goes_on_from_its_state_bit_for_bit(name: str, config: MakeConfig) -> None:
    network = small_network()
    whole = trained(network, made(name, config, network), 0, 8)
    network = small_network()
    optimizer = made(name, config, network)
    trained(network, optimizer, 0, 3)
    stream = io.BytesIO()
    torch.save((network.state_dict(), optimizer.state_dict()), stream)
    stream.seek(0)
    weights, state = torch.load(stream, weights_only=True)
    network = small_network()
    network.load_state_dict(weights)
    optimizer = made(name, config, network)
    optimizer.load_state_dict(state)
    for at_once, resumed in zip(whole, trained(network, optimizer, 3, 8), strict=True):
        assert torch.equal(at_once, resumed)
