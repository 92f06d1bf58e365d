"""The learning-rate range test: train while the rate rises with every step, until the loss diverges (pipeline/analysis/lr_curve.py)."""

import math
from contextlib import suppress
from copy import deepcopy
from pathlib import Path

import numpy as np
from torch import nn

from pipeline.analysis.lr_curve import SETTLED, RateCurve, came_apart
from pipeline.config.errors import DivergedError
from pipeline.config.schema import Config
from pipeline.config.wording import counted
from pipeline.dataset.manifest import Manifest
from pipeline.training.distributed import require_variance
from pipeline.training.fit import launch_fabric, make_classifier, train_images, train_loader
from pipeline.training.loop import Callback, Loop

LOWEST, HIGHEST = 1e-6, 10.0  # learning rates; with batch norm SGD tolerates more than 1
STEPS = 210  # 30 for each power of ten


class Ramp(Callback):
    """Sets the learning rate of each step, records its loss, and stops when the loss diverges.

    base: the config's rate; groups with rates of their own are scaled by the same factor."""

    def __init__(self, base: float) -> None:
        self.base = base
        self.rates = np.geomspace(LOWEST, HIGHEST, STEPS)
        self.losses: list[float] = []

    def on_before_step(self, loop: Loop) -> None:
        for group in loop.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.rates[loop.step] / self.base

    def on_step_end(self, loop: Loop) -> None:
        self.losses.append(float(loop.loss))
        if loop.step == STEPS or came_apart(np.array(self.losses)):
            loop.should_stop = True


def rate_test(cfg: Config, network: nn.Module, manifest: Manifest, prepared: Path) -> RateCurve:
    """Train `network` as configured, but with a rising learning rate; its weights are useless afterwards, and nothing is written.

    Raises DivergedError where the loss diverges before there is a curve, ConfigError as `require_variance` does."""
    cfg = deepcopy(cfg)
    cfg.scheduler = {"name": "constant", "_target_": "torch.optim.lr_scheduler.ConstantLR", "factor": 1.0}
    cfg.training.epochs, cfg.training.budget = STEPS, None  # at least a step each
    cfg.training.devices = cfg.training.nodes = 1  # batch_size is that of all devices together
    cfg.training.average, cfg.training.compile = None, False
    require_variance(network, manifest, cfg.training)
    ramp, batches = Ramp(cfg.optimizer["lr"]), train_loader(cfg, train_images(cfg, prepared))
    loop = Loop(launch_fabric(cfg.training), make_classifier(cfg, network, manifest), STEPS, [ramp])
    with suppress(DivergedError):  # the loop may notice it first
        loop.fit(batches, None, cfg.training.epochs)
    losses = np.array([loss for loss in ramp.losses if math.isfinite(loss)])
    if len(losses) <= SETTLED:
        rate = ramp.rates[len(losses)]
        raise DivergedError(
            f"the loss is no number after {counted(len(losses), 'step')}, at a learning rate of {rate:.1e}: it is not the rate's fault"
        )
    return RateCurve(ramp.rates, losses)
