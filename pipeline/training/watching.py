"""Whether a training is healthy, once an epoch and layer by layer: gradients, weights, updates, and units that never answer.

Measured at one step in the middle of each epoch: there the batch is whole, and a rate that warms up or falls is not at its end."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.dataset.loaders import Loader, PackedImages
from pipeline.training.callbacks import Follower
from pipeline.training.classifier import Classifier

MOST = 12  # layers that get a chart each; of more, the first, the last, and the least, the median and the largest of all
SAMPLE = 128  # validation images, by which a unit is called dead

Values = dict[str, float]  # layer -> value, in the order of the forward pass


class Watcher(Callback):
    """Tells the follower, for each layer whose weights learn (layers are named as in weights.freeze):

    gradient/<layer>  norm of the loss's gradient by its weights, before any clipping
    weight/<layer>    norm of its weights
    update/<layer>    norm of what the step added to them, as a share of that: about 0.001 is usual; far more is too high a
                      learning rate, far less too low a one (Karpathy, CS231n, "Ratio of weights:updates")
    dead/<layer>      of a ReLU: share of its channels or units that are 0 for every one of SAMPLE validation images

    and prints which layer gets no gradient at all or is dead as a whole. Weights are matrices and filters here: no biases, no
    scales of a normalisation. Numbers that are not finite (a step that mixed precision leaves out) are not told."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.found: dict[str, Values] = {}  # kind -> values, of this epoch
        self.before: dict[str, Tensor] = {}  # weights before the step that is measured
        self.is_measured = False
        self.remarked: set[str] = set()

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self.found = {}
        cast(Classifier, module).alone = (int(trainer.num_training_batches) - 1) // 2

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_index: int) -> None:
        classifier = cast(Classifier, module)
        self.is_measured = classifier.next_batch == classifier.alone

    def on_before_optimizer_step(self, trainer: L.Trainer, module: L.LightningModule, optimizer: Optimizer) -> None:
        if self.is_measured:
            weights = learning_weights(cast(Classifier, module).network)
            self.before = {name: weight.detach().clone() for name, weight in weights.items()}
            self.found["gradient"] = {name: 0.0 if weight.grad is None else _norm(weight.grad) for name, weight in weights.items()}
            self.found["weight"] = {name: _norm(weight) for name, weight in weights.items()}

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_index: int) -> None:
        if self.before:
            weights, sizes = learning_weights(cast(Classifier, module).network), self.found["weight"]
            self.found["update"] = {
                name: _norm(weights[name].detach() - before) / sizes[name] for name, before in self.before.items() if sizes[name]
            }
            self.before = {}

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        classifier, loader = cast(Classifier, module), cast(Loader, trainer.val_dataloaders)
        epoch = trainer.current_epoch + 1
        images = cast(PackedImages, loader.dataset).spread(SAMPLE).to(module.device)
        self.found["dead"] = dead_units(classifier.network, classifier.prepared(images))
        charts = {f"{kind}/{name}": value for kind, values in self.found.items() for name, value in shown(values).items()}
        self.follower.log_metrics({name: value for name, value in charts.items() if math.isfinite(value)}, epoch)
        for remark in self._remarks():
            print(f"remark: in epoch {epoch} {remark}", flush=True)

    def _remarks(self) -> Iterator[str]:
        """Yield what is wrong with whole layers, each once in a training."""
        still = [name for name, value in self.found.get("gradient", {}).items() if value == 0]
        dead = [name for name, value in self.found["dead"].items() if value == 1]
        for names, what in ((still, "{} got no gradient: it learns nothing"), (dead, "{} was 0 for every image looked at: it is dead")):
            for name in names:
                if (remark := what.format(name)) not in self.remarked:
                    self.remarked.add(remark)
                    yield remark


def learning_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return layer -> the weights of each that has filters or a matrix which learn; a layer used twice once."""
    layers = ((name, getattr(layer, "weight", None)) for name, layer in network.named_modules())
    return {name: weight for name, weight in layers if isinstance(weight, nn.Parameter) and weight.ndim > 1 and weight.requires_grad}


def dead_units(network: nn.Module, images: Tensor) -> Values:
    """Return, for each ReLU, the share of its channels or units that are 0 for all of `images`, (B, C, H, W); used twice, of both uses.

    The network is left as it was."""
    units: dict[str, list[Tensor]] = {}

    def look(name: str, values: Tensor) -> None:
        units.setdefault(name, []).append((values != 0).transpose(0, 1).flatten(1).any(dim=1))  # (C,): answers to some image

    relus = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.ReLU | nn.ReLU6)]
    hooks = [layer.register_forward_hook(lambda _layer, _given, values, name=name: look(name, values)) for name, layer in relus]
    try:
        with evaluating(network), torch.no_grad(), torch.compiler.set_stance("force_eager"):  # compiled code would not call the hooks
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: 1 - torch.cat(answering).float().mean().item() for name, answering in units.items()}


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its layers back into its own."""
    modes = {layer: layer.training for layer in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def shown(values: Mapping[str, float]) -> Values:
    """Return what charts show of layers: all of them up to MOST."""
    if len(values) <= MOST:
        return dict(values)
    first, *_, last = values
    every = list(values.values())
    return {first: values[first], last: values[last], "least": min(every), "median": median(every), "largest": max(every)}


def _norm(values: Tensor) -> float:
    return values.detach().float().norm().item()
