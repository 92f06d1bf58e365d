"""Parameter groups by role, and Muon for convolutions.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, https://kellerjordan.github.io/posts/muon/, and
airbench94_muon in https://github.com/KellerJordan/cifar10-airbench. torch.optim.Muon takes matrices only, no filters."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer
from torch.optim.sgd import sgd

from pipeline.model.init import heads_of
from pipeline.model.lenet import Subsampling

Group = dict[str, Any]

SCALES = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, Subsampling)  # layers that scale and shift each feature map
QUINTIC = (3.4445, -4.7750, 2.0315)  # coefficients of x, x^3, x^5: steepest at 0 while singular values end in 0.7..1.2 (Jordan et al.)
TINY = 1e-7  # smallest norm that is divided by


def parameter_groups(network: nn.Module, decay: str) -> list[Group]:
    """Return the trainable parameters as optimizer groups by role, in the network's order; empty roles are left out.

    Roles are weights (filters and matrices), head (those that compute the scores) and vectors (biases, and scales and shifts of
    normalisation). decay: "weights" exempts the vectors from weight decay, "all" does not."""
    heads = {f"{name}.weight" for name in heads_of(network)}
    roles: dict[str, list[nn.Parameter]] = {"weights": [], "head": [], "vectors": []}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            layer = network.get_submodule(name.rpartition(".")[0])
            is_vector = parameter.dim() < 2 or isinstance(layer, SCALES)
            roles["vectors" if is_vector else "head" if name in heads else "weights"].append(parameter)
    groups: list[Group] = [{"params": parameters, "role": role} for role, parameters in roles.items() if parameters]
    if decay == "weights":
        for group in groups:
            if group["role"] == "vectors":
                group["weight_decay"] = 0.0
    return groups


class Muon(Optimizer):
    """Orthogonalises the momentum updates of filters and matrices; heads and vectors are trained by SGD.

    params: groups of `parameter_groups`, or parameters, of which those with two dimensions or more are weights.
    lr: scale of a weight's orthogonal update; with `rescale`, roughly the relative change of a filter bank per step.
    momentum: Nesterov momentum of the weights; sgd_momentum: of all others.
    iterations: of Newton-Schulz. rescale: hold a bank's norm at the square root of its number of filters (batch norm follows).
    head_lr, vector_lr: learning rates of SGD. weight_decay: share of a weight that a step removes at the full rate."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float,
        iterations: int,
        rescale: bool,
        head_lr: float,
        vector_lr: float,
        sgd_momentum: float,
        weight_decay: float,
    ) -> None:
        given = list(params)
        groups = given if isinstance(given[0], dict) else _by_dimension(given)
        rates = {"weights": lr, "head": head_lr, "vectors": vector_lr}
        made = []
        for group in groups:
            rate = rates[group["role"]]
            made.append({"lr": rate, "weight_decay": weight_decay / rate, **group})
        super().__init__(made, {"momentum": momentum, "iterations": iterations, "rescale": rescale, "sgd_momentum": sgd_momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Perform one optimization step; return the value of `closure`, None without one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            gradients = {parameter: parameter.grad for parameter in group["params"] if parameter.grad is not None}
            (self._step_orthogonally if group["role"] == "weights" else self._step_plainly)(group, gradients)
        return loss

    def _step_orthogonally(self, group: Group, gradients: dict[Tensor, Tensor]) -> None:
        alike = defaultdict(list)  # banks of one shape are orthogonalised at once: they are many and small
        for weight, gradient in gradients.items():
            self._sum(weight).mul_(group["momentum"]).add_(gradient)
            alike[weight.shape].append(weight)
        for banks in alike.values():
            ahead = [gradients[bank].add(self._sum(bank), alpha=group["momentum"]).flatten(1) for bank in banks]  # each (out, in kh kw)
            steps = orthogonal(torch.stack(ahead), group["iterations"])
            length = max(1, steps.shape[1] / steps.shape[2]) ** 0.5  # a tall matrix: its rows would each move less
            for bank, step in zip(banks, steps, strict=True):
                if group["rescale"]:
                    bank.mul_(len(bank) ** 0.5 / bank.norm().clamp(min=TINY))
                bank.mul_(1 - group["lr"] * group["weight_decay"])
                bank.add_(step.view(bank.shape), alpha=-group["lr"] * length)

    def _step_plainly(self, group: Group, gradients: dict[Tensor, Tensor]) -> None:
        sgd(
            list(gradients),
            list(gradients.values()),
            [self._sum(parameter) for parameter in gradients],
            fused=True,
            weight_decay=group["weight_decay"],
            momentum=group["sgd_momentum"],
            lr=group["lr"],
            dampening=0,
            nesterov=True,
            maximize=False,
        )

    def _sum(self, parameter: Tensor) -> Tensor:
        """Return a parameter's momentum buffer."""
        state = self.state[parameter]
        if not state:
            state["sum"] = torch.zeros_like(parameter)
        return state["sum"]


def orthogonal(matrices: Tensor, iterations: int) -> Tensor:
    """Orthogonalise (B, rows, columns) approximately, U S V^T -> U V^T; return float32 of that shape, bfloat16 on a GPU.

    Newton-Schulz iteration with the coefficients of Jordan et al.: singular values end near 1."""
    x, cubed, fifth = QUINTIC
    rows, columns = matrices.shape[1:]
    wide = matrices.mT if rows > columns else matrices
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp(min=TINY)  # no singular value above 1
    wide = wide.bfloat16() if wide.is_cuda else wide
    for _ in range(iterations):
        gram = wide @ wide.mT  # (B, fewer, fewer)
        wide = torch.baddbmm(wide, torch.baddbmm(gram, gram, gram, beta=cubed, alpha=fifth), wide, beta=x)
    return wide.mT if rows > columns else wide


def _by_dimension(parameters: list[Tensor]) -> list[Group]:
    roles: dict[str, list[Tensor]] = {"weights": [], "vectors": []}
    for parameter in parameters:
        roles["weights" if parameter.dim() > 1 else "vectors"].append(parameter)
    return [{"params": members, "role": role} for role, members in roles.items() if members]
