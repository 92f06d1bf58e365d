"""The LightningModule: steps of training, a turn at a time, and of validation, and an epoch's metrics.

Nothing is logged step by step: Lightning's self.log costs as much as a small network's layer (benchmarks/README.md)."""

import math
import operator
import sys
import time
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.config.errors import DivergedError
from pipeline.config.rank import at_once
from pipeline.config.schema import Training
from pipeline.dataset.loaders import Batch
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.normalise import scaled, scaling
from pipeline.model.blocks import constrained
from pipeline.training.average import Average
from pipeline.training.divergence import describe
from pipeline.training.draws import seed_draws, seeds_of_draws
from pipeline.training.losses import counted, whole_loss
from pipeline.training.mixing import Mixing
from pipeline.training.parts import Part, in_parts
from pipeline.training.processor import laid_out
from pipeline.training.ranks import agree_on_buffers, factor_of_rank
from pipeline.training.sums import Sums

MakeOptimizer = Callable[[nn.Module], Optimizer]
MakeScheduler = Callable[[Optimizer, int], LRScheduler]  # the number of optimizer steps

LOOK = 50  # steps between two looks whether the loss is finite, where a look would make an accelerator wait
TURN = 0.1  # seconds of steps for each time that Lightning asks all its hooks, which takes as long as a layer of a small network


class Classifier(L.LightningModule):
    """Trains `network`, (B, C, H, W) -> (B, classes), on batches of uint8 (B, H, W, C) and labels (B,).

    The metrics are of the main scores, also where auxiliary heads take part in training, so that it compares with validation.
    They are of the images as they are fed: augmented in training, and where two are mixed, of the one with the larger share."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        manifest: Manifest,
        loss: nn.Module,
        make_optimizer: MakeOptimizer,
        make_scheduler: MakeScheduler,
        mixing: Mixing | None,
        training: Training,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False  # Lightning's own way to a step takes as long as a small layer
        self.network = laid_out(network, training.layout)
        self.average = Average(self.network, training.average) if training.average else None
        self.loss = loss
        self.make_optimizer = make_optimizer
        self.make_scheduler = make_scheduler
        self.mixing = mixing
        self.training_config = training
        self.seed = seed
        self.constrained = constrained(network)
        self.loss_limit = training.divergence * math.log(len(manifest.classes))
        self.found = {"train": Sums(), "validation": Sums()}
        self.scaling: tuple[int, tuple[Tensor, Tensor]] | None = None  # of images of that width
        self.turn = TURN  # seconds
        self.alone: int | None = None  # the batch of each epoch that callbacks look at, before and after
        self.next_batch = 0  # its place in the epoch, between turns
        self.register_buffer("mean", torch.tensor(manifest.mean))
        self.register_buffer("std", torch.tensor(manifest.std))
        if training.compile:
            self.network.compile()

    @property
    def kept(self) -> nn.Module:
        """The network whose weights are validated and kept: the average where there is one."""
        return self.average.network if self.average else self.network

    @property
    def images_of_epoch(self) -> int:
        """How many images the last epoch trained on."""
        return self.images

    def prepared(self, images: Tensor) -> Tensor:
        """Return (B, H, W, C) of bytes as the network takes them, (B, C, H, W)."""
        width, layout = images.shape[2], self.training_config.layout
        if self.scaling is None or self.scaling[0] != width:
            self.scaling = width, scaling(self.mean, self.std, width, layout)
        return scaled(images, self.scaling[1], layout)

    def training_step(self, dataloader_iter: Iterator[tuple[Batch, int, int]]) -> None:
        """Make the steps of a turn: as many as its time allows, and at least one.

        On several devices one, as DDP prepares for a step and callbacks talk to each other after it."""
        end = time.monotonic() + (0 if self.trainer.world_size > 1 else self.turn)
        is_over = False
        while not is_over:
            (images, labels), place, _ = next(dataloader_iter)
            self._learn(images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True), place)
            self.next_batch = place + 1
            is_looked_at = self.alone in (place, self.next_batch)
            is_over = is_looked_at or self.next_batch == self.trainer.num_training_batches or time.monotonic() >= end
        self.found["train"].count()

    def _learn(self, images: Tensor, labels: Tensor, place: int) -> None:
        """Make the step of the epoch's batch at this place; (B, H, W, C), (B,)."""
        seed_draws(self.device, self.seeds[place])
        seen, others, share = self.prepared(images), labels, 1.0
        if self.mixing:
            step = self.current_epoch * int(self.trainer.num_training_batches) + place
            seen, others, share = self.mixing(seen, labels, step)
        count = counted(self.loss, labels)
        factor = factor_of_rank(count)
        parts = in_parts(seen, labels, others, share, self.loss, at_once(self.training_config))
        losses = [self._learn_part(part, factor, place) for part in parts]
        self.found["train"].add(reduce(operator.add, losses), count)
        self._make_step()

    def _learn_part(self, part: Part, factor: Tensor | None, place: int) -> Tensor:
        """Add a part's share of its batch's gradient; return that of the batch's loss. factor: of this rank."""
        scores, loss, whole = part.losses(self.network, self.loss, self.network(part.images))
        self.found["train"].answer(scores, part.larger)
        if (whole.device.type == "cpu" or place % LOOK == 0) and not math.isfinite(whole.item()):
            self._stop(f"the loss became {whole.item()} at step {self.global_step}: {describe(self.network, part.images)}")
        self.manual_backward(whole if factor is None else whole * factor)
        return loss.detach()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.training_config.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.training_config.clip)

    def _make_step(self) -> None:
        optimizer, scheduler = cast(LightningOptimizer, self.optimizers()), cast(LRScheduler, self.lr_schedulers())
        optimizer.step()
        optimizer.zero_grad()
        for layer in self.constrained:
            layer.constrain()
        if self.average:
            self.average.update(self.network, self.global_step)
        if is_per_step(scheduler):
            scheduler.step()

    def on_train_epoch_end(self) -> None:
        if not is_per_step(scheduler := cast(LRScheduler, self.lr_schedulers())):
            scheduler.step()

    def on_validation_start(self) -> None:
        if self.trainer.world_size > 1:
            agree_on_buffers(self)

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        images, labels = batch
        scores, loss, _ = whole_loss(self.kept, self.loss, self.kept(self.prepared(images)), labels)
        self.found["validation"].add(loss, counted(self.loss, labels))
        self.found["validation"].answer(scores, labels)
        self.found["validation"].count()

    def on_train_epoch_start(self) -> None:
        self.next_batch = 0
        self.seeds = seeds_of_draws(int(self.trainer.num_training_batches), self.seed, self.current_epoch, self.global_rank)
        self.found = {"train": Sums(), "validation": Sums()}
        self.metrics: dict[str, float] = {}

    def epoch_metrics(self) -> dict[str, float]:
        """Return loss and accuracy of both splits over the epoch that has just ended, of all devices together.

        Raises DivergedError where they are not those of a training that works."""
        if not self.metrics:
            for split, sums in self.found.items():
                loss, count, right, images = self.all_sums(sums.total()).tolist()
                self.metrics |= {f"{split}/accuracy": right / images, f"{split}/loss": loss / count}
                if split == "train":
                    self.images = round(images)
            self._require_sense()
        return self.metrics

    def all_sums(self, sums: Tensor) -> Tensor:
        return self.trainer.strategy.reduce(sums.to(self.device), reduce_op="sum").cpu() if self.trainer.world_size > 1 else sums

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.network)
        batches = self.trainer.estimated_stepping_batches  # of all epochs; endless where a clock ends the training
        steps = int(batches) if math.isfinite(batches) else sys.maxsize
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer, steps)}

    def _require_sense(self) -> None:
        epoch, loss = self.current_epoch + 1, self.metrics["train/loss"]
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                self._stop(f"the {name.replace('/', ' ')} of epoch {epoch} is {value}")
        if loss > self.loss_limit:
            self._stop(f"the loss of epoch {epoch} is {loss:.4g}, guessing would be far below {self.loss_limit:.3g}")

    def _stop(self, what: str) -> None:
        rate = self.trainer.optimizers[0].param_groups[0]["initial_lr"]  # of the config, before any schedule
        raise DivergedError(f"training diverged: {what}. The learning rate was {rate:g}; try optimizer.lr={rate / 10:g}")


def is_per_step(scheduler: LRScheduler) -> bool:
    """Tell whether a schedule goes by optimizer steps; torch's own go by epochs here."""
    return getattr(scheduler, "per_step", False)
