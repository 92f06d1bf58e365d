"""Filters over the time of a training, for the bundle: the first convolution's after each epoch, a part of the others' after some."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.config.schema import KeptFilters
from pipeline.training.callbacks import Filters, Logger
from pipeline.training.loop import Callback, Loop


class FilterHistory(Callback):
    """Keeps the first layer's filters before training (step 0) and after each epoch, for the bundle and the logger."""

    def __init__(self, layer: nn.Conv2d, logger: Logger) -> None:
        self.layer = layer
        self.logger = logger
        self.kept: list[Filters] = []

    def state_dict(self) -> dict[str, Any]:
        return {"kept": [torch.from_numpy(weight) for weight in self.kept]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = [weight.numpy() for weight in state["kept"]]
        for step, weight in enumerate(self.kept):
            self.logger.log_filters(weight, step)

    def on_train_start(self, loop: Loop) -> None:
        if not self.kept:
            self._keep()

    def on_epoch_end(self, loop: Loop) -> None:
        self._keep()

    def _keep(self) -> None:
        weight = self.layer.weight.detach().cpu().float().contiguous().numpy().copy()
        self.logger.log_filters(weight, len(self.kept))
        self.kept.append(weight)


class LayerFilters(Callback):
    """Keeps a part of some convolutions' filters before training (step 0), after some epochs and after the last.

    It only reads weights, and what it keeps is bounded, whatever the network's size: see conf/training/default.yaml."""

    def __init__(self, network: nn.Module, config: KeptFilters) -> None:
        self.layers = later_convolutions(network, config.layers)
        self.config = config
        self.kept: dict[int, dict[str, Tensor]] = {}  # epoch -> layer -> (filters, channels, kh, kw)

    def state_dict(self) -> dict[str, Any]:
        return {"kept": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = state["kept"]

    def on_train_start(self, loop: Loop) -> None:
        if not self.kept:
            self._keep(0)

    def on_epoch_end(self, loop: Loop) -> None:
        if (last := max(self.kept)) not in self.config.epochs:
            del self.kept[last]  # it was kept as the last so far
        self._keep(loop.epoch)

    def _keep(self, epoch: int) -> None:
        part = np.s_[: self.config.filters, : self.config.channels]
        self.kept[epoch] = {name: layer.weight.detach()[part].cpu().float().contiguous().clone() for name, layer in self.layers.items()}


def later_convolutions(network: nn.Module, most: int) -> dict[str, nn.Conv2d]:
    """Return at most `most` convolutions by name, without the first and those that see single pixels; of more, evenly spaced."""
    convolutions = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)]
    whole = [(name, layer) for name, layer in convolutions[1:] if layer.weight.ndim == 4]  # LeNet-5's table has a list of slices
    wide = [(name, layer) for name, layer in whole if max(layer.kernel_size) > 1]
    places = np.linspace(0, len(wide) - 1, min(most, len(wide))).round().astype(int)
    return dict(wide[place] for place in places)
