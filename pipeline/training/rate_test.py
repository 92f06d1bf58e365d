"""The learning-rate range test: a training whose rate rises with every step, until it comes apart (pipeline/analysis/rate_curve.py)."""

import math
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from torch import nn

from pipeline.analysis.rate_curve import SETTLED, RateCurve, came_apart
from pipeline.config.counted import counted
from pipeline.config.errors import DivergedError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.training.classifier import Classifier
from pipeline.training.fit import classifier_of, train_batches, train_images, trainer_of
from pipeline.training.variance import require_variance

LOWEST, HIGHEST = 1e-6, 10.0  # learning rates; with batch norm gradient descent bears more than 1
STEPS = 210  # 30 for each power of ten


class Ramp(Callback):
    """Gives each optimizer step its rate, keeps its loss, and ends the training when it comes apart.

    base: the config's rate; where layers have rates of their own, all rise alike."""

    def __init__(self, base: float) -> None:
        self.base = base
        self.rates = np.geomspace(LOWEST, HIGHEST, STEPS)
        self.losses: list[float] = []

    def on_fit_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        cast(Classifier, module).turn = 0

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_index: int) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * self.rates[trainer.global_step] / self.base

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_index: int) -> None:
        self.losses.append(float(cast(Classifier, module).found["train"].losses[-1]))
        if trainer.global_step == STEPS or came_apart(np.array(self.losses)):
            trainer.should_stop = True


def rate_test(cfg: Config, network: nn.Module, manifest: Manifest, prepared: Path) -> RateCurve:
    """Train `network` on the training images as configured, but with rising rates; it is spoilt then, and nothing is written.

    Raises DivergedError where it comes apart before there is a curve, ConfigError as `require_variance`."""
    cfg = deepcopy(cfg)
    cfg.scheduler = {"name": "constant", "_target_": "torch.optim.lr_scheduler.ConstantLR", "factor": 1.0}
    cfg.training.epochs, cfg.training.budget = STEPS, None  # at least a step each
    cfg.training.devices = cfg.training.nodes = 1  # which batch_size stays the same for
    cfg.training.average, cfg.training.compile = None, False
    require_variance(network, manifest, cfg.training)
    ramp = Ramp(cfg.optimizer["lr"])
    trainer = trainer_of(cfg, [ramp])
    with suppress(DivergedError):  # the classifier may see it first
        trainer.fit(classifier_of(cfg, network, manifest), train_batches(cfg, train_images(cfg, prepared)))
    losses = np.array([loss for loss in ramp.losses if math.isfinite(loss)])
    if len(losses) <= SETTLED:
        rate = ramp.rates[len(losses)]
        raise DivergedError(
            f"the loss is no number after {counted(len(losses), 'step')}, at a learning rate of {rate:.1e}: it is not the rate's fault"
        )
    return RateCurve(ramp.rates, losses)
