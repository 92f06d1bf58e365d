"""Training health, once per epoch and layer: norms of gradients, weights and updates, and dead units.

Measured at one step in the middle of the epoch, where the batch is complete and the learning rate is at no extreme of its schedule."""

import math
from collections.abc import Iterator, Mapping
from statistics import median

import torch
from torch import Tensor, nn

from pipeline.model.forward_pass import hooked, in_mode
from pipeline.training.callbacks import Logger
from pipeline.training.loop import Callback, Loop

MOST = 12  # layers with a chart each; of more, the first and last, and the minimum, median and maximum
SAMPLE = 128  # validation images on which a unit has to be 0 to be called dead

Values = dict[str, float]  # layer -> value, in the order of the forward pass


class Health(Callback):
    """Logs for each layer with trainable weights (named as in weights.freeze):

    gradient/<layer>  norm of the gradient, before clipping
    weight/<layer>    norm of the weights
    update/<layer>    norm of the step relative to that of the weights: about 0.001 is usual; far more means too high a
                      learning rate, far less too low a one (Karpathy, CS231n, "Ratio of weights:updates")
    dead/<layer>      of a ReLU: share of its channels or units that are 0 for all of `images`

    and prints which layer gets no gradient or is entirely dead. Weights are matrices and filters here, without biases and the
    scales of normalisation layers. Values that are not finite (a step that mixed precision skips) are not logged.

    images: uint8 images of the validation split, (B, H, W, C)."""

    def __init__(self, logger: Logger, images: Tensor) -> None:
        self.logger = logger
        self.images = images
        self.found: dict[str, Values] = {}  # kind -> values, of this epoch
        self.before: dict[str, Tensor] = {}  # weights before the step that is measured
        self.warned: set[str] = set()

    def on_before_step(self, loop: Loop) -> None:
        if loop.batches_done == (loop.batches - 1) // 2:
            weights = learning_weights(loop.module.network)
            self.before = {name: weight.detach().clone() for name, weight in weights.items()}
            self.found["gradient"] = {name: 0.0 if weight.grad is None else _norm(weight.grad) for name, weight in weights.items()}
            self.found["weight"] = {name: _norm(weight) for name, weight in weights.items()}

    def on_step_end(self, loop: Loop) -> None:
        if self.before:
            weights, sizes = learning_weights(loop.module.network), self.found["weight"]
            self.found["update"] = {
                name: _norm(weights[name].detach() - before) / sizes[name] for name, before in self.before.items() if sizes[name]
            }
            self.before = {}

    def on_epoch_end(self, loop: Loop) -> None:
        self.found["dead"] = dead_units(loop.module.network, loop.module.prepared(self.images.to(loop.module.device)))
        charts = {f"{kind}/{name}": value for kind, values in self.found.items() for name, value in shown(values).items()}
        self.logger.log_metrics({name: value for name, value in charts.items() if math.isfinite(value)}, loop.epoch)
        for warning in self._warnings():
            print(f"warning: in epoch {loop.epoch} {warning}", flush=True)
        self.found = {}

    def _warnings(self) -> Iterator[str]:
        """Yield what is wrong with entire layers, once per training each."""
        still = [name for name, value in self.found.get("gradient", {}).items() if value == 0]
        dead = [name for name, value in self.found["dead"].items() if value == 1]
        for names, what in ((still, "{} got no gradient: it learns nothing"), (dead, "{} was 0 for every image looked at: it is dead")):
            for name in names:
                if (warning := what.format(name)) not in self.warned:
                    self.warned.add(warning)
                    yield warning


def learning_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return layer -> its trainable filters or matrix; a layer that is used twice counts once."""
    layers = ((name, getattr(layer, "weight", None)) for name, layer in network.named_modules())
    return {name: weight for name, weight in layers if isinstance(weight, nn.Parameter) and weight.ndim > 1 and weight.requires_grad}


def dead_units(network: nn.Module, images: Tensor) -> Values:
    """Return for each ReLU the share of its channels or units that are 0 for all of `images`, (B, C, H, W), over all its uses.

    The network is left unchanged."""
    units: dict[str, list[Tensor]] = {}

    def look(name: str, values: Tensor) -> None:
        units.setdefault(name, []).append((values != 0).transpose(0, 1).flatten(1).any(dim=1))  # (C,): is active for some image

    relus = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.ReLU | nn.ReLU6)}
    eager = torch.compiler.set_stance("force_eager")  # compiled code skips hooks
    with hooked(relus, after=look), in_mode(network, training=False), torch.no_grad(), eager:
        network(images)
    return {name: 1 - torch.cat(answering).float().mean().item() for name, answering in units.items()}


def shown(values: Mapping[str, float]) -> Values:
    """Return the values that get a chart: all of up to MOST layers, else a summary."""
    if len(values) <= MOST:
        return dict(values)
    first, *_, last = values
    every = list(values.values())
    return {first: values[first], last: values[last], "least": min(every), "median": median(every), "largest": max(every)}


def _norm(values: Tensor) -> float:
    return values.detach().float().norm().item()
